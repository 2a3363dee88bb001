"""Rooms and seats as plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from replora.classroom.setup import Setup
from replora.jobs.engine import Submitter
from replora.options import UserError


class RoomError(UserError):
    """What a room does not allow, or that there is none; the message says why in a sentence."""


class NotInstructor(RoomError):
    """Only who holds the room's key may do that."""

    def __init__(self) -> None:
        super().__init__("Only the instructor of this room may do that; open the instructor's link first.")


class Phase(StrEnum):
    """What a room does: seats gather, all race, all races are held, or it is over."""

    OPEN = "open"
    RUNNING = "running"
    PAUSED = "paused"
    CLOSED = "closed"


@dataclass(frozen=True)
class Room:
    """A room as it stands. round: counts what was pushed or reset, races of a round are pooled. ends: seconds of the
    epoch after which it is closed. version: changes with what all see of it; news: with what its seats do.
    """

    id: str
    code: str
    phase: Phase
    round: int
    setup: Setup
    opened: float
    ends: float
    version: int
    news: int


@dataclass(frozen=True)
class Expectation:
    """What a seat expects of the difference of accuracy, in points: from `low` to `high`, four times out of five."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Seat:
    """A seat in the round at hand. own: what it chose of what is free. wants: whether it pressed Play. job: its race,
    '' before it is submitted; tries: how often it was. result: what came of it, None before.
    """

    room: str
    number: int
    words: str
    address: str
    own: Mapping[str, Any]
    expectation: Expectation | None = None
    wants: bool = False
    job: str = ""
    tries: int = 0
    begun: bool = False
    message: str = ""
    result: Mapping[str, Any] | None = None

    @property
    def submitter(self) -> Submitter:
        """Whose a seat's races are: the seat's, on whatever device somebody sits in it."""
        owner = hashlib.sha256(f"seat {self.room} {self.number} {self.words}".encode()).hexdigest()
        return Submitter(owner, self.address)

    def may_race(self, room: Room) -> bool:
        """Whether its race is to be on: it was started, and the seat has said what it expects where that is asked."""
        if room.phase is not Phase.RUNNING and not (room.phase is Phase.OPEN and self.wants):
            return False
        return self.expectation is not None or not room.setup.expect
