"""The race of a seat, as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from replora.config import Race
from replora.jobs.engine import Engine, UnknownJob
from replora.options import SpecError
from replora.ui.race.session import RaceSession


@dataclass
class SeatSession(RaceSession):
    """The seat's race of the round at hand; of rounds before, in grey, and until the next one begins."""

    def take_up(self, engine: Engine, job: str) -> None:
        """Show a race of the seat, if it is not shown already; one that is lost is submitted again, and shown then."""
        if not job or job == self.job:
            return
        try:
            following = Race.from_dict(engine.status(job).spec)
        except (UnknownJob, SpecError):
            return
        self._archive(following)
        self.attach(engine, job)
