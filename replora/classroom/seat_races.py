"""All races of a seat in the order in which they began: those that the class counts, and those beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replora.classroom.room import Room, Seat
from replora.classroom.rooms import Rooms
from replora.classroom.rows import seated
from replora.jobs.engine import Submitter

MOST_FURTHER = 8  # races beyond those that count that are remembered of a seat, the latest


@dataclass(frozen=True)
class Raced:
    """A race of a seat in a round."""

    job: str
    round: int
    counts: bool


def note_further(rooms: Rooms, room: Room, job: str, by: Submitter) -> None:
    """A visitor's seat races on, for itself; `RoomError` where the room is over or they have no seat."""
    with rooms.file.writing() as database:
        room, seat = seated(database, room, by, rooms.clock())
        database.execute("INSERT INTO further VALUES (?, ?, ?, ?)", (room.id, room.round, seat.number, job))
        database.execute(
            "DELETE FROM further WHERE room = ? AND seat = ? AND rowid NOT IN "
            "(SELECT rowid FROM further WHERE room = ? AND seat = ? ORDER BY rowid DESC LIMIT ?)",
            (room.id, seat.number, room.id, seat.number, MOST_FURTHER),
        )


def races_of(rooms: Rooms, seat: Seat) -> Sequence[Raced]:
    """What a seat has raced in the rounds that are kept, the first one first."""
    whose = (seat.room, seat.number)
    with rooms.file.reading() as database:
        rows = database.execute(
            "SELECT job, round, 1 AS counts, 0 AS place FROM turns WHERE room = ? AND seat = ? AND job != '' "
            "UNION ALL SELECT job, round, 0, rowid FROM further WHERE room = ? AND seat = ? ORDER BY round, place",
            (*whose, *whose),
        ).fetchall()
    return [Raced(job, round_, bool(counts)) for job, round_, counts, _ in rows]
