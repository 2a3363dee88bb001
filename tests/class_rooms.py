"""Who is in the rooms of tests, what they train, and a clock that a test sets."""

from __future__ import annotations

from dataclasses import dataclass

from replora.classroom.setup import Setup
from replora.config import RaceOptions
from replora.jobs.engine import Submitter

TEACHER = Submitter("teacher", "192.0.2.1")
TINY = Setup(race=RaceOptions(steps=4, evaluate_every=2), expect=False)


def pupil(number: int) -> Submitter:
    """One of a class behind the teacher's address."""
    return Submitter(f"pupil {number}", "192.0.2.1")


@dataclass
class Clock:
    """Seconds that a test sets."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now
