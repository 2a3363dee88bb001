"""Keeps the races of a room as its phase asks: submits, holds, takes up again, and notes what came of them.

Nobody waits for it and it has no thread: whoever looks at a room has it tended, at most every `EVERY` seconds, so that
it goes on by itself after the server was killed and begun anew.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from replora.classroom.results import result_of
from replora.classroom.room import Phase, Room, Seat
from replora.classroom.rooms import Rooms
from replora.events import EventError, from_line
from replora.jobs.engine import Action, Engine, JobRefused, JobState, JobStatus, UnknownJob
from replora.options import UserError

EVERY = 0.4  # seconds
MOST_TRIES = 3  # of a race that fails or is lost
MOST_ROOMS = 1000  # whose times it remembers
KIND = "race"


class RoomEngine(Engine, Protocol):
    """An engine that ends the jobs nobody looks at any more."""

    def watch(self, job: str, viewer: str) -> None: ...

    def unwatch(self, job: str, viewer: str) -> None: ...


class Conductor:
    """Of all rooms. engine: the server's own, asked for once there is something to race."""

    def __init__(
        self, rooms: Rooms, engine: Callable[[], RoomEngine], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rooms, self._engine, self._clock = rooms, engine, clock
        self._lock = threading.Lock()
        self._locks: OrderedDict[str, threading.Lock] = OrderedDict()
        self._tended: dict[str, float] = {}

    def tend(self, room: str, *, at_once: bool = False) -> None:
        """Brings the races of a room to where its phase and its seats want them; `RoomError` where it is gone.

        Nothing happens where somebody else does just that, or did a moment ago, unless it is to be `at_once`.
        """
        with self._lock:
            lock = self._locks.setdefault(room, threading.Lock())
            self._locks.move_to_end(room)
            while len(self._locks) > MOST_ROOMS:
                self._tended.pop(self._locks.popitem(last=False)[0], None)
            if not at_once and self._clock() - self._tended.get(room, float("-inf")) < EVERY:
                return
        if not lock.acquire(blocking=at_once):
            return
        try:
            self._tend(room)
            self._tended[room] = self._clock()
        finally:
            lock.release()

    def _tend(self, name: str) -> None:
        room = self._rooms.get(name)
        for round_, seat in self._rooms.left_over(room):
            self._end(room, seat, round_)
        for seat in self._rooms.seats(room):
            if room.phase is Phase.CLOSED:
                self._end(room, seat, room.round)
                continue
            if seat.result is not None:
                continue
            if seat.job:
                self._follow(room, seat)
            elif seat.may_race(room) and seat.tries < MOST_TRIES and not self._submit(room, seat):
                return  # the queue is full: the others would be refused too

    def _submit(self, room: Room, seat: Seat) -> bool:
        """Whether the engine takes a seat's race; why it does not is noted."""
        engine = self._engine()
        try:
            race = room.setup.race_of(seat.number, seat.own)
            job = engine.submit(KIND, race.to_dict(), by=seat.submitter)
        except (JobRefused, UserError) as refusal:
            if seat.message != str(refusal):
                self._rooms.note(seat, room.round, message=str(refusal))
            return isinstance(refusal, UserError)
        engine.watch(job, _viewer(room))
        self._rooms.note(seat, room.round, job=job, tries=seat.tries + 1, begun=0, message="")
        return True

    def _follow(self, room: Room, seat: Seat) -> None:
        """Takes in how a seat's race stands, and holds it or lets it go on."""
        engine = self._engine()
        try:
            status = engine.status(seat.job)
        except UnknownJob:
            self._lose(room, seat, "The engine no longer knows this race.")
            return
        if status.state is JobState.FINISHED:
            self._finish(room, seat)
        elif status.state.final:
            self._lose(room, seat, status.message or "This race was ended.")
        elif room.phase is Phase.PAUSED:
            self._hold(room, seat, status)
        else:
            if status.state is JobState.PAUSED:
                engine.control(seat.job, Action.RESUME, by=seat.submitter)
            if status.events and not seat.begun:
                self._rooms.note(seat, room.round, begun=1)

    def _hold(self, room: Room, seat: Seat, status: JobStatus) -> None:
        """One that has not begun leaves the queue, where it would take a place to be paused in."""
        if status.state is JobState.QUEUED and not status.events:
            self._cancel(room, seat)
            self._rooms.note(seat, room.round, job="", tries=seat.tries - 1, wants=1)
        elif status.state is not JobState.PAUSED:
            self._engine().control(seat.job, Action.PAUSE, by=seat.submitter)

    def _finish(self, room: Room, seat: Seat) -> None:
        try:
            events = [from_line(line) for line in self._engine().events(seat.job)]
        except (EventError, UnknownJob) as error:
            self._lose(room, seat, f"What this race told cannot be read: {error}")
            return
        result = result_of(events, seat.job, room.setup.chosen_otherwise(seat.own))
        if result is None:
            self._lose(room, seat, "This race told no end.")
            return
        self._engine().unwatch(seat.job, _viewer(room))
        self._rooms.note(seat, room.round, result=result, begun=1, message="")

    def _lose(self, room: Room, seat: Seat, why: str) -> None:
        """A race that ended otherwise is submitted again, unless that was done often enough; `why` is said then."""
        message = why if seat.tries >= MOST_TRIES else ""
        self._rooms.note(seat, room.round, job="", begun=0, wants=1, message=message)

    def _end(self, room: Room, seat: Seat, round_: int) -> None:
        """Ends a race that nobody wants any more, if it is on."""
        if seat.job and seat.result is None:
            self._cancel(room, seat)
            self._rooms.note(seat, round_, job="")

    def _cancel(self, room: Room, seat: Seat) -> None:
        engine = self._engine()
        try:
            engine.cancel(seat.job, by=seat.submitter)
            engine.unwatch(seat.job, _viewer(room))
        except UnknownJob:
            return  # lost with its server: there is nothing to end


def _viewer(room: Room) -> str:
    return f"room {room.id}"
