"""Who guesses codes and keys gets nowhere, and others are not slowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from class_rooms import TEACHER, TINY, Clock, pupil

from replora.classroom.codes import new_code, new_words
from replora.classroom.guesses import ADDRESSES, MOST, MOST_OF_ALL, PERIOD, Guesses, TooManyGuesses
from replora.classroom.limits import RoomLimits
from replora.classroom.room import RoomError
from replora.classroom.rooms import Rooms
from replora.jobs.engine import Submitter

STRANGER = Submitter("stranger", "198.51.100.7")


@pytest.fixture
def guarded(tmp_path: Path, clock: Clock) -> Rooms:
    return Rooms(tmp_path, RoomLimits, clock, Guesses(clock))


def test_a_thousand_guesses_within_a_minute_get_nowhere(guarded: Rooms, clock: Clock) -> None:
    """Spread over the minute, the right code, key and words among them; a class elsewhere joins all the while."""
    room, key = guarded.open(TINY, TEACHER)
    seat = guarded.join(room, pupil(0))
    listened = 0
    for number in range(1000):
        clock.now += PERIOD / 1000
        late = number > 300
        tries = {
            0: lambda: guarded.find(room.code if late else new_code(), STRANGER),  # noqa: B023
            1: lambda: guarded.take_desk(room, key if late else "guess", STRANGER),  # noqa: B023
            2: lambda: guarded.restore(room, seat.words if late else new_words(), STRANGER),  # noqa: B023
        }
        if late:  # whatever they know by now
            guarded._guesses.wrong(STRANGER.address)
        try:
            tries[number % 3]()
        except TooManyGuesses:
            pass
        except RoomError:
            listened += 1
        else:
            pytest.fail("a guess was let in")
        if number % 50 == 0:
            assert guarded.join(guarded.find(room.code, pupil(number)), pupil(number))
    assert listened <= 2 * MOST
    assert not guarded.instructs(room, STRANGER)
    assert guarded.seat_of(room, STRANGER) is None


def test_a_refusal_says_for_how_long_and_that_is_true(clock: Clock) -> None:
    guesses = Guesses(clock)
    for _ in range(MOST):
        guesses.check("198.51.100.7")
        guesses.wrong("198.51.100.7")
    with pytest.raises(TooManyGuesses, match="try again in 2 s"):
        guesses.check("198.51.100.7")
    clock.now += 2
    guesses.check("198.51.100.7")


def test_who_belongs_to_a_room_gets_in_whatever_was_guessed_from_its_network(guarded: Rooms) -> None:
    room, _ = guarded.open(TINY, TEACHER)
    guarded.join(room, pupil(1))
    for _ in range(MOST):
        with pytest.raises(RoomError):
            guarded.find(new_code(), pupil(3))
    assert guarded.find(room.code, pupil(1)) == guarded.find(room.code, TEACHER)
    with pytest.raises(TooManyGuesses):
        guarded.find(room.code, pupil(2))


def test_many_addresses_together_have_one_try_each_and_new_ones_still_that(clock: Clock) -> None:
    guesses = Guesses(clock)
    for number in range(MOST_OF_ALL // MOST):
        for _ in range(MOST):
            guesses.check(f"10.0.0.{number}")
            guesses.wrong(f"10.0.0.{number}")
    guesses.check("203.0.113.1")
    guesses.wrong("203.0.113.1")
    with pytest.raises(TooManyGuesses):
        guesses.check("203.0.113.1")
    guesses.check("203.0.113.2")


def test_what_is_remembered_of_addresses_is_bounded(clock: Clock) -> None:
    guesses = Guesses(clock)
    for number in range(ADDRESSES + 100):
        guesses.wrong(f"address {number}")
    assert len(guesses._spent) == ADDRESSES
