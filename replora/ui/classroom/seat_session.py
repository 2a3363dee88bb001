"""The race of a seat, as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from replora.classroom.room import Phase
from replora.config import Race
from replora.jobs.engine import Action, Engine, JobState, UnknownJob
from replora.options import SpecError
from replora.ui.race.session import RaceSession


@dataclass
class SeatSession(RaceSession):
    """The seat's race of the round at hand; of rounds before, in grey, and until the next one begins.

    After it a seat may race on for itself: `taken` is the race that the class counts.
    """

    taken: str = ""

    @property
    def beyond(self) -> bool:
        """Whether a race is shown that the class does not count."""
        return self.job is not None and self.job != self.taken

    def take_up(self, engine: Engine, job: str) -> None:
        """Show a race of the seat, unless it was already; one that is lost is submitted again, and shown then."""
        if not job or job == self.taken:
            return
        try:
            following = Race.from_dict(engine.status(job).spec)
        except (UnknownJob, SpecError):
            return
        if self.beyond:
            self.cancel(engine)
        self._archive(following)
        self.attach(engine, job)
        self.taken = job

    def obey(self, engine: Engine, phase: Phase) -> None:
        """Hold a race beyond the one that counts while all are held, and end it where all is over."""
        if not self.beyond or not self.steered:
            return
        if phase is Phase.CLOSED:
            self.cancel(engine)
        elif phase is Phase.PAUSED and self.state is not JobState.PAUSED:
            self._control(engine, Action.PAUSE)
        elif phase is not Phase.PAUSED and self.state is JobState.PAUSED:
            self._control(engine, Action.RESUME)
