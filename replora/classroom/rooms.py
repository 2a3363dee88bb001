"""The rooms of this server: opened, found by code, entered, and what sits in them. What an instructor does to a room is
`replora.classroom.desk`.

Whoever asks says by a `Submitter` who they are; what is not theirs to do raises a `RoomError`.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from replora.classroom.codes import digest, new_code, new_key, new_words, read_code, read_words, same
from replora.classroom.database import RoomsFile
from replora.classroom.guesses import Guesses
from replora.classroom.limits import RoomLimits
from replora.classroom.room import Expectation, Phase, Room, RoomError, Seat
from replora.classroom.rows import (
    belongs,
    bump,
    check_open,
    find_room,
    get_room,
    has_desk,
    note_turn,
    read_setup,
    seated,
    seats_of,
    sitting,
)
from replora.classroom.setup import Setup, read_own
from replora.jobs.engine import Submitter

KEPT_SECONDS = 24 * 3600.0  # how long a room that is closed still shows what was found
MOST_DESKS = 5  # browsers that have shown the key of a room, the latest
MOST_POINTS = 100.0  # of a difference of accuracies
MEGABYTE = 1e6


class Rooms:
    """Rooms in a data folder, by default the environment's. limits: asked each time. clock: seconds of the epoch."""

    def __init__(
        self,
        folder: Path | None = None,
        limits: Callable[[], RoomLimits] = RoomLimits.from_environment,
        clock: Callable[[], float] = time.time,
        guesses: Guesses | None = None,
    ) -> None:
        self.file = RoomsFile(folder)
        self._limits = limits
        self.clock = clock
        self._guesses = guesses or Guesses()

    def close(self) -> None:
        """Lets go of the file."""
        self.file.close()

    # A room is opened and found.

    def open(self, setup: Setup, by: Submitter) -> tuple[Room, str]:
        """A new room, and the key of its instructor, who is `by`; `RoomError` where there is no place for it."""
        limits, now, key, name = self._limits(), self.clock(), new_key(), secrets.token_hex(8)
        with self.file.writing() as database:
            _forget_old(database, now, limits.max_rooms)
            _check_places(database, now, limits, by)
            self._check_bytes(limits)
            code = _free_code(database)
            row = (name, code, digest(key), by.visitor, by.address, Phase.OPEN, 1, now, now + 3600 * limits.room_hours)
            database.execute(
                "INSERT INTO rooms (id, code, key, visitor, address, phase, round, opened, ends) "
                f"VALUES ({', '.join('?' * len(row))})",
                row,
            )
            database.execute("INSERT INTO rounds VALUES (?, 1, ?)", (name, json.dumps(setup.to_dict())))
            if by.visitor:
                database.execute("INSERT INTO desks VALUES (?, ?)", (name, by.visitor))
            return get_room(database, name, now), key

    def find(self, text: str, by: Submitter) -> Room:
        """The room of a code; `RoomError` where there is none, `TooManyGuesses` for who has tried too many.

        Who sits in a room, or instructs it, is no guesser and always finds it.
        """
        code, now = read_code(text), self.clock()
        with self.file.reading() as database:
            room = find_room(database, "code", code, now) if code else None
            if room is not None and belongs(database, room.id, by.visitor):
                return room
        self._guesses.check(by.address)
        if room is None:
            self._guesses.wrong(by.address)
            raise RoomError(f"There is no room with the code {text[:20]!r}: it has six letters, without vowels.")
        return room

    def get(self, room: str) -> Room:
        """The room of an id; `RoomError` where it is gone."""
        with self.file.reading() as database:
            return get_room(database, room, self.clock())

    def marks(self, room: str) -> tuple[int, int, bool]:
        """`version` and `news` of a room, and whether it is open: what is asked several times a second."""
        with self.file.reading() as database:
            found = database.execute("SELECT version, news, ends FROM rooms WHERE id = ?", (room,)).fetchone()
        return (found[0], found[1], self.clock() < found[2]) if found else (-1, -1, False)

    # The instructor's desk.

    def instructs(self, room: Room, by: Submitter) -> bool:
        """Whether a visitor opened this room or has shown its key."""
        with self.file.reading() as database:
            return has_desk(database, room.id, by.visitor)

    def take_desk(self, room: Room, key: str, by: Submitter) -> None:
        """From now on a visitor instructs; `RoomError` where this is not the key, counted as a guess."""
        self._guesses.check(by.address)
        with self.file.writing() as database:
            kept = database.execute("SELECT key FROM rooms WHERE id = ?", (room.id,)).fetchone()
            right = same(digest(key), kept[0] if kept else "")
            if right:
                database.execute("INSERT OR IGNORE INTO desks VALUES (?, ?)", (room.id, by.visitor))
                database.execute(
                    "DELETE FROM desks WHERE room = ? AND rowid NOT IN "
                    "(SELECT rowid FROM desks WHERE room = ? ORDER BY rowid DESC LIMIT ?)",
                    (room.id, room.id, MOST_DESKS),
                )
        if not right:
            self._guesses.wrong(by.address)
            raise RoomError("The key of this link is not that of this room's instructor.")

    # Seats.

    def seats(self, room: Room, round_: int | None = None) -> Sequence[Seat]:
        """All seats by number, as they are in the round at hand, or were in an earlier one."""
        with self.file.reading() as database:
            return seats_of(database, room.id, room.round if round_ is None else round_)

    def seat_of(self, room: Room, by: Submitter) -> Seat | None:
        """Where a visitor sits."""
        with self.file.reading() as database:
            return sitting(database, room, by)

    def rounds(self, room: Room) -> Sequence[tuple[int, Setup]]:
        """The rounds that are kept, the first one first, with what was set in each."""
        with self.file.reading() as database:
            rows = database.execute("SELECT number, setup FROM rounds WHERE room = ? ORDER BY number", (room.id,))
            return [(number, read_setup(setup)) for number, setup in rows]

    def left_over(self, room: Room) -> Sequence[tuple[int, Seat]]:
        """Seats whose races of earlier rounds were not finished when their round ended, with that round."""
        with self.file.reading() as database:
            rounds = database.execute(
                "SELECT DISTINCT round FROM turns WHERE room = ? AND round < ? AND job != '' AND result = ''",
                (room.id, room.round),
            ).fetchall()
            found = [(round_, seat) for (round_,) in rounds for seat in seats_of(database, room.id, round_)]
        return [(round_, seat) for round_, seat in found if seat.job and seat.result is None]

    def join(self, room: Room, by: Submitter) -> Seat:
        """A visitor's seat, a new one unless they have one; `RoomError` where the room is full or over."""
        limits = self._limits()
        self._check_bytes(limits)
        with self.file.writing() as database:
            room = get_room(database, room.id, self.clock())
            seat = sitting(database, room, by)
            if seat is not None:
                return seat
            check_open(room)
            taken, last = database.execute(
                "SELECT count(*), max(number) FROM seats WHERE room = ?", (room.id,)
            ).fetchone()
            if taken >= limits.max_seats:
                raise RoomError(f"All {limits.max_seats} seats of this room are taken.")
            known = {words for (words,) in database.execute("SELECT words FROM seats WHERE room = ?", (room.id,))}
            words = next(words for words in iter(new_words, "") if words not in known)
            row = (room.id, (last or 0) + 1, words, by.visitor, by.address)
            database.execute("INSERT INTO seats (room, number, words, visitor, address) VALUES (?, ?, ?, ?, ?)", row)
            bump(database, room.id, "news")
            return seats_of(database, room.id, room.round, "AND number = ?", row[1])[0]

    def restore(self, room: Room, text: str, by: Submitter) -> Seat:
        """Sits down again by the four words of a seat, whatever device had it; `RoomError` where they open none.

        What the visitor sat on before is left for its own words.
        """
        self._guesses.check(by.address)
        words = read_words(text)
        with self.file.writing() as database:
            rows = database.execute("SELECT number, words FROM seats WHERE room = ?", (room.id,)).fetchall()
            found = [number for number, kept in rows if same(words, kept)]
            if found:
                left = f"left {secrets.token_hex(8)}"
                database.execute(
                    "UPDATE seats SET visitor = ? WHERE room = ? AND visitor = ?", (left, room.id, by.visitor)
                )
                database.execute(
                    "UPDATE seats SET visitor = ?, address = ? WHERE room = ? AND number = ?",
                    (by.visitor, by.address, room.id, found[0]),
                )
                bump(database, room.id, "version")
                return seats_of(database, room.id, room.round, "AND number = ?", found[0])[0]
        self._guesses.wrong(by.address)
        raise RoomError("These are not the four words of a seat in this room.")

    # What a seat does.

    def choose(self, room: Room, own: Mapping[str, Any], by: Submitter) -> None:
        """What a seat sets of what is free, before its race of a round; `SpecError`, `RoomError`."""
        checked = read_own(own)
        room.setup.options_of(checked)
        with self.file.writing() as database:
            room, seat = seated(database, room, by, self.clock())
            _check_not_begun(seat)
            database.execute(
                "UPDATE seats SET own = ? WHERE room = ? AND number = ?", (json.dumps(checked), room.id, seat.number)
            )

    def expect(self, room: Room, expectation: Expectation, by: Submitter) -> None:
        """What a seat expects; once its race is on, it is too late. `RoomError`."""
        low, high = expectation.low, expectation.high
        if not -2 * MOST_POINTS <= low < high <= 2 * MOST_POINTS:
            raise RoomError(f"An expectation must reach over some points between {-2 * MOST_POINTS:g} and "
                            f"{2 * MOST_POINTS:g}, got {low:g} to {high:g}.")  # fmt: skip
        with self.file.writing() as database:
            room, seat = seated(database, room, by, self.clock())
            _check_not_begun(seat)
            note_turn(database, seat, room.round, low=low, high=high)

    def play(self, room: Room, by: Submitter) -> None:
        """A seat wants its race to begin; `RoomError` where the instructor starts all, or an expectation is missing."""
        with self.file.writing() as database:
            room, seat = seated(database, room, by, self.clock())
            if not room.setup.play and room.phase is not Phase.RUNNING:
                raise RoomError("The instructor starts all races of this room.")
            if room.setup.expect and seat.expectation is None:
                raise RoomError("Say first what you expect.")
            note_turn(database, seat, room.round, wants=1)

    def note(self, seat: Seat, round_: int, **facts: Any) -> None:
        """What became of a seat's race in a round: `job`, `tries`, `begun`, `message`, `result`."""
        if "result" in facts:
            facts["result"] = json.dumps(facts["result"])
        with self.file.writing() as database:
            note_turn(database, seat, round_, **facts)

    def _check_bytes(self, limits: RoomLimits) -> None:
        if self.file.used_bytes() > limits.max_rooms_mb * MEGABYTE:
            raise RoomError(
                "The rooms of this server take all the space that they may; try again when some have ended."
            )


def _check_not_begun(seat: Seat) -> None:
    if seat.job or seat.result is not None:
        raise RoomError("Your race of this round has begun; what you set and expected for it stands.")


def _free_code(database: sqlite3.Connection) -> str:
    while True:
        code = new_code()
        if database.execute("SELECT 1 FROM rooms WHERE code = ?", (code,)).fetchone() is None:
            return code


def _forget_old(database: sqlite3.Connection, now: float, most: int) -> None:
    """Rooms that have been over for long, and of those that are over all but the latest."""
    database.execute("DELETE FROM rooms WHERE ends < ?", (now - KEPT_SECONDS,))
    database.execute(
        "DELETE FROM rooms WHERE ends <= ? "
        "AND id NOT IN (SELECT id FROM rooms WHERE ends <= ? ORDER BY ends DESC LIMIT ?)",
        (now, now, most),
    )


def _check_places(database: sqlite3.Connection, now: float, limits: RoomLimits, by: Submitter) -> None:
    def opened(where: str = "1", *values: str) -> int:
        return int(
            database.execute(f"SELECT count(*) FROM rooms WHERE ends > ? AND {where}", (now, *values)).fetchone()[0]
        )

    if by.visitor and opened("visitor = ?", by.visitor) >= limits.max_visitor_rooms:
        raise RoomError(f"{limits.max_visitor_rooms} rooms of yours are open already; close one first.")
    if by.address and opened("address = ?", by.address) >= limits.max_address_rooms:
        raise RoomError(f"{limits.max_address_rooms} rooms from your network are open already; close one first.")
    if opened() >= limits.max_rooms:
        raise RoomError(f"{limits.max_rooms} rooms are open already; try again when some have closed.")
