"""Rooms in a folder of the test's own, and the clock that they go by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from class_rooms import Clock

from replora.classroom.limits import RoomLimits
from replora.classroom.rooms import Rooms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rooms(tmp_path: Path, clock: Clock) -> Iterator[Rooms]:
    made = Rooms(tmp_path, RoomLimits, clock)
    yield made
    made.close()
