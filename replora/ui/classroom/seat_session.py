"""The race of a seat, as its page shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replora.classroom.room import Phase
from replora.classroom.seat_races import Raced
from replora.classroom.setup import FREE
from replora.config import Race, RaceOptions
from replora.jobs.engine import Action, Engine, JobState, UnknownJob
from replora.options import SpecError
from replora.ui.race.session import GONE, RaceSession

MOST_RECALLED = 8  # races of a seat that are read again after a reload


@dataclass
class SeatSession(RaceSession):
    """The seat's race of the round at hand; of rounds before, in grey, and until the next one begins.

    After it a seat may race on for itself: `taken` is the race that the class counts, `keep` remembers others by job.
    """

    taken: str = ""
    keep: Callable[[str], None] = field(default=lambda job: None, repr=False)
    recalled: tuple[int, Mapping[str, Any]] = (0, {})  # the round, and what was free, of a race beyond, after a reload

    @property
    def beyond(self) -> bool:
        """Whether a race is shown that the class does not count."""
        return self.job is not None and self.job != self.taken

    def run(self, engine: Engine, spec: Race, *, paused: bool = False) -> None:
        """See `JobSession`; it is remembered for the seat."""
        super().run(engine, spec, paused=paused)
        if not self.problem and self.job is not None:
            self.keep(self.job)

    def recall_row(self, engine: Engine, row: Sequence[Raced]) -> None:
        """Take up what the seat has raced, as after a reload or on another device; a sentence where some is gone."""
        self.taken = next((raced.job for raced in reversed(row) if raced.counts), "")
        lost = ""
        for raced in row[-MOST_RECALLED:]:
            try:
                following = Race.from_dict(engine.status(raced.job).spec)
            except (UnknownJob, SpecError):
                lost = GONE
                continue
            self._archive(following)
            self.attach(engine, raced.job)
        self.problem = self.problem or lost
        self.cut = bool(lost) or len(row) > MOST_RECALLED
        if self.beyond and self.spec is not None and row[-1].job == self.job:
            asked = RaceOptions.of(self.spec)
            self.recalled = row[-1].round, {name: getattr(asked, name) for name in FREE}

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
