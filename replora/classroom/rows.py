"""Rooms and seats out of the rows of their file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from replora.classroom.room import Expectation, Phase, Room, RoomError, Seat
from replora.classroom.setup import Setup
from replora.jobs.engine import Submitter
from replora.options import SpecError

GONE = "This room is not here any more: it was closed some time ago, or its server has begun anew."
UNSEATED = "This browser has no seat in this room any more; enter the four words of its seat."
OVER = "This room is closed."
ROOM = """
    SELECT rooms.id, code, phase, round, setup, opened, ends, version, news
    FROM rooms JOIN rounds ON rounds.room = rooms.id AND rounds.number = rooms.round
"""
SEAT = """
    SELECT seats.room, number, words, address, own, low, high, wants, job, tries, begun, message, result
    FROM seats LEFT JOIN turns ON turns.room = seats.room AND turns.seat = seats.number AND turns.round = ?
    WHERE seats.room = ?
"""


def find_room(database: sqlite3.Connection, column: str, value: str, now: float) -> Room | None:
    """The room whose `id` or `code` this is, as it stands at a time."""
    found = database.execute(f"{ROOM} WHERE rooms.{column} = ?", (value,)).fetchone()
    if found is None:
        return None
    name, code, phase, round_, setup, opened, ends, version, news = found
    stands = Phase.CLOSED if now >= ends else Phase(phase)
    return Room(name, code, stands, round_, read_setup(setup), opened, ends, version, news)


@lru_cache(64)
def read_setup(text: str) -> Setup:
    """The settings of a row, read once, since a class asks for the same ones all the time; `RoomError`."""
    try:
        return Setup.from_dict(json.loads(text))
    except (SpecError, ValueError) as error:
        raise RoomError(f"The settings of this room cannot be read: {error}") from error


def get_room(database: sqlite3.Connection, room: str, now: float) -> Room:
    """The room of an id; `RoomError` where there is none."""
    found = find_room(database, "id", room, now)
    if found is None:
        raise RoomError(GONE)
    return found


def seats_of(database: sqlite3.Connection, room: str, round_: int, where: str = "", *values: Any) -> Sequence[Seat]:
    """The seats of a room by number, as they were in a round; `where` leaves some."""
    rows = database.execute(f"{SEAT} {where} ORDER BY number", (round_, room, *values)).fetchall()
    return [_seat(row) for row in rows]


def _seat(row: Sequence[Any]) -> Seat:
    room, number, words, address, own, low, high, wants, job, tries, begun, message, result = row
    return Seat(
        room,
        number,
        words,
        address,
        own=json.loads(own),
        expectation=None if low is None else Expectation(low, high),
        wants=bool(wants),
        job=job or "",
        tries=tries or 0,
        begun=bool(begun),
        message=message or "",
        result=json.loads(result) if result else None,
    )


def sitting(database: sqlite3.Connection, room: Room, by: Submitter) -> Seat | None:
    return next(iter(seats_of(database, room.id, room.round, "AND visitor = ?", by.visitor)), None)


def seated(database: sqlite3.Connection, room: Room, by: Submitter, now: float) -> tuple[Room, Seat]:
    """The room as it stands, and where a visitor sits; `RoomError` where it is over or they have no seat."""
    room = get_room(database, room.id, now)
    check_open(room)
    seat = sitting(database, room, by)
    if seat is None:
        raise RoomError(UNSEATED)
    return room, seat


def check_open(room: Room) -> None:
    if room.phase is Phase.CLOSED:
        raise RoomError(OVER)


def note_turn(database: sqlite3.Connection, seat: Seat, round_: int, **facts: Any) -> None:
    """Notes facts of a seat's turn in a round."""
    key = (seat.room, round_, seat.number)
    database.execute("INSERT OR IGNORE INTO turns (room, round, seat) VALUES (?, ?, ?)", key)
    changes = ", ".join(f"{name} = ?" for name in facts)
    database.execute(f"UPDATE turns SET {changes} WHERE room = ? AND round = ? AND seat = ?", (*facts.values(), *key))
    bump(database, seat.room, "news")


def bump(database: sqlite3.Connection, room: str, mark: str) -> None:
    database.execute(f"UPDATE rooms SET {mark} = {mark} + 1 WHERE id = ?", (room,))


def has_desk(database: sqlite3.Connection, room: str, visitor: str) -> bool:
    found = database.execute("SELECT 1 FROM desks WHERE room = ? AND visitor = ?", (room, visitor)).fetchone()
    return bool(visitor) and found is not None


def belongs(database: sqlite3.Connection, room: str, visitor: str) -> bool:
    """Whether a visitor sits in a room or instructs it."""
    sits = database.execute("SELECT 1 FROM seats WHERE room = ? AND visitor = ?", (room, visitor)).fetchone()
    return has_desk(database, room, visitor) or (bool(visitor) and sits is not None)
