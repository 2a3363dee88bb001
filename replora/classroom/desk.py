"""What the instructor of a room does: settings for all, start, pause, reset, close."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from replora.classroom.room import NotInstructor, Phase, Room
from replora.classroom.rooms import Rooms
from replora.classroom.rows import bump, check_open, get_room, has_desk
from replora.classroom.setup import Setup
from replora.jobs.engine import Submitter

KEPT_ROUNDS = 12  # of a room, the latest; the results of earlier ones go


class Desk:
    """`by` acts on a room; `NotInstructor` where they have not shown its key, `RoomError` once it is closed."""

    def __init__(self, rooms: Rooms, room: str, by: Submitter) -> None:
        self._rooms, self._room, self._by = rooms, room, by

    def push(self, setup: Setup) -> None:
        """From now on all seats have these settings: a new round, unless nobody has begun the one at hand.

        Where races run, those of the new round begin; what is not finished of the old one goes.
        """
        with self._acting() as (database, room):
            if setup == room.setup:
                return
            if _touched(database, room):
                _new_round(database, room, setup)
            else:
                database.execute(
                    "UPDATE rounds SET setup = ? WHERE room = ? AND number = ?",
                    (json.dumps(setup.to_dict()), room.id, room.round),
                )
            if room.phase is Phase.PAUSED:
                _set_phase(database, room, Phase.OPEN)

    def start(self) -> None:
        """All races begin, or go on; who comes later begins at once."""
        with self._acting() as (database, room):
            _set_phase(database, room, Phase.RUNNING)

    def pause(self) -> None:
        """All races are held."""
        with self._acting() as (database, room):
            _set_phase(database, room, Phase.PAUSED)

    def reset(self) -> None:
        """A new round with the same settings, which waits to be started."""
        with self._acting() as (database, room):
            if _touched(database, room):
                _new_round(database, room, room.setup)
            _set_phase(database, room, Phase.OPEN)

    def close(self) -> None:
        """The room is over; what was found is shown for a day."""
        with self._acting() as (database, room):
            _set_phase(database, room, Phase.CLOSED)
            database.execute("UPDATE rooms SET ends = ? WHERE id = ?", (self._rooms.clock(), room.id))

    @contextmanager
    def _acting(self) -> Iterator[tuple[sqlite3.Connection, Room]]:
        with self._rooms.file.writing() as database:
            room = get_room(database, self._room, self._rooms.clock())
            if not has_desk(database, room.id, self._by.visitor):
                raise NotInstructor
            check_open(room)
            yield database, room
            bump(database, room.id, "version")


def _touched(database: sqlite3.Connection, room: Room) -> bool:
    """Whether any seat has said what it expects, or begun, in the round at hand."""
    found = database.execute("SELECT 1 FROM turns WHERE room = ? AND round = ?", (room.id, room.round)).fetchone()
    return found is not None


def _new_round(database: sqlite3.Connection, room: Room, setup: Setup) -> None:
    following = room.round + 1
    database.execute("UPDATE rooms SET round = ? WHERE id = ?", (following, room.id))
    database.execute("INSERT INTO rounds VALUES (?, ?, ?)", (room.id, following, json.dumps(setup.to_dict())))
    for table, column in (("rounds", "number"), ("turns", "round"), ("further", "round")):
        database.execute(f"DELETE FROM {table} WHERE room = ? AND {column} <= ?", (room.id, following - KEPT_ROUNDS))


def _set_phase(database: sqlite3.Connection, room: Room, phase: Phase) -> None:
    database.execute("UPDATE rooms SET phase = ? WHERE id = ?", (phase, room.id))
