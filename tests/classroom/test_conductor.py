"""The races of a room: they are the seats', and go as the room's phase asks, also after the server was begun anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
from class_rooms import TEACHER, TINY, pupil
from fake_engine import FakeEngine

from replora.classroom.conductor import MOST_TRIES, Conductor
from replora.classroom.desk import Desk
from replora.classroom.room import Expectation, Room, Seat
from replora.classroom.rooms import Rooms
from replora.jobs.engine import Action, JobState, NotYours

SEATS = 3


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def conductor(rooms: Rooms, engine: FakeEngine) -> Conductor:
    return Conductor(rooms, lambda: engine)


@pytest.fixture
def room(rooms: Rooms) -> Room:
    room, _ = rooms.open(TINY, TEACHER)
    for number in range(SEATS):
        rooms.join(room, pupil(number))
    return room


@pytest.fixture
def desk(rooms: Rooms, room: Room) -> Desk:
    return Desk(rooms, room.id, TEACHER)


def seats(rooms: Rooms, room: Room) -> list[Seat]:
    return list(rooms.seats(rooms.get(room.id)))


def finish(engine: FakeEngine, job: str) -> None:
    engine.jobs[job].told, engine.jobs[job].state = len(engine.jobs[job].script), JobState.FINISHED


def test_a_seat_that_plays_has_a_race_of_its_own_and_nobody_elses(
    rooms: Rooms, room: Room, conductor: Conductor, engine: FakeEngine
) -> None:
    rooms.play(room, pupil(1))
    conductor.tend(room.id)
    (job,) = engine.jobs.values()
    seat = seats(rooms, room)[1]
    assert (seat.number, seat.job) == (2, "job0")
    assert {run["seed"] for run in job.spec["runs"]} == {2}
    assert job.by == seat.submitter
    assert job.by.visitor != pupil(1).visitor
    assert job.viewers == {f"room {room.id}"}
    with pytest.raises(NotYours):
        engine.cancel("job0", by=seats(rooms, room)[0].submitter)


def test_start_begins_all_at_once_and_once(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine
) -> None:
    desk.start()
    for _ in range(3):
        conductor.tend(room.id, at_once=True)
    assert len(engine.jobs) == SEATS
    rooms.join(room, pupil(9))
    conductor.tend(room.id, at_once=True)
    assert len(engine.jobs) == SEATS + 1


def test_who_has_not_said_what_to_expect_begins_once_it_has(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine
) -> None:
    desk.push(replace(TINY, expect=True))
    desk.start()
    conductor.tend(room.id, at_once=True)
    assert not engine.jobs
    rooms.expect(room, Expectation(0, 5), pupil(0))
    conductor.tend(room.id, at_once=True)
    assert len(engine.jobs) == 1


def test_what_a_race_found_is_kept_with_what_reproduces_it(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine
) -> None:
    desk.start()
    conductor.tend(room.id, at_once=True)
    engine.jobs["job0"].told = 2
    conductor.tend(room.id, at_once=True)
    assert [seat.begun for seat in seats(rooms, room)] == [True, False, False]
    finish(engine, "job0")
    conductor.tend(room.id, at_once=True)
    found = seats(rooms, room)[0].result
    assert found
    assert found["race"] == engine.jobs["job0"].spec
    assert {run["method"] for run in found["runs"]} == {"lora", "replora"}
    assert engine.jobs["job0"].viewers == set()


def test_nobody_is_told_twice_of_the_same(rooms: Rooms, room: Room, desk: Desk, conductor: Conductor) -> None:
    desk.start()
    conductor.tend(room.id, at_once=True)
    news = rooms.marks(room.id)
    conductor.tend(room.id, at_once=True)
    assert rooms.marks(room.id) == news


def test_a_pause_holds_those_that_run_and_takes_others_off_the_queue(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine
) -> None:
    desk.start()
    conductor.tend(room.id, at_once=True)
    engine.jobs["job1"].state = engine.jobs["job2"].state = JobState.QUEUED
    desk.pause()
    conductor.tend(room.id, at_once=True)
    assert [job.state for job in engine.jobs.values()] == [JobState.PAUSED, JobState.CANCELLED, JobState.CANCELLED]
    conductor.tend(room.id, at_once=True)
    assert engine.jobs["job0"].controls == [(Action.PAUSE, None)]
    desk.start()
    conductor.tend(room.id, at_once=True)
    conductor.tend(room.id, at_once=True)
    assert engine.jobs["job0"].controls == [(Action.PAUSE, None), (Action.RESUME, None)]
    assert [seat.job for seat in seats(rooms, room)] == ["job0", "job3", "job4"]
    assert [seat.tries for seat in seats(rooms, room)] == [1, 1, 1]


@pytest.mark.parametrize("end", ["reset", "close", "push"])
def test_reset_push_and_close_end_what_is_on_and_nothing_else(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine, end: str
) -> None:
    rooms.play(room, pupil(0))
    conductor.tend(room.id, at_once=True)
    stranger = engine.submit("race", TINY.race_of(1, {}).to_dict(), by=pupil(0))
    if end == "push":
        desk.push(replace(TINY, each="cell"))
    else:
        getattr(desk, end)()
    conductor.tend(room.id, at_once=True)
    assert engine.jobs["job0"].state is JobState.CANCELLED
    assert engine.jobs["job0"].viewers == set()
    assert engine.jobs[stranger].state is JobState.RUNNING
    assert len(engine.jobs) == 2
    assert [seat.job for seat in rooms.seats(room, 1)] == [""] * SEATS


def test_a_push_while_all_race_begins_the_new_round_at_once(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine
) -> None:
    desk.start()
    conductor.tend(room.id, at_once=True)
    finish(engine, "job0")
    conductor.tend(room.id, at_once=True)
    desk.push(replace(TINY, race=replace(TINY.race, mlp_width=16)))
    conductor.tend(room.id, at_once=True)
    fresh = list(engine.jobs.values())[SEATS:]
    assert len(fresh) == SEATS
    assert {run["method"]["mlp_width"] for job in fresh for run in job.spec["runs"]} == {16, 64}  # LoRA has none
    kept = [seat.result is not None for seat in rooms.seats(room, 1)]
    assert kept == [True, False, False]


def test_races_that_were_lost_with_their_server_are_run_again(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine
) -> None:
    desk.start()
    conductor.tend(room.id, at_once=True)
    finish(engine, "job0")
    conductor.tend(room.id, at_once=True)
    engine.jobs["job1"].state, engine.jobs["job1"].message = JobState.FAILED, "The app was restarted."
    later = FakeEngine()
    later.jobs = {name: engine.jobs[name] for name in ("job0", "job1")}  # the third was never stored
    again = Conductor(rooms, lambda: later)
    again.tend(room.id)
    again.tend(room.id, at_once=True)
    assert [seat.result is not None for seat in seats(rooms, room)] == [True, False, False]
    assert [job.spec["runs"][0]["seed"] for job in later.jobs.values()] == [1, 2, 2, 3]
    assert [seat.tries for seat in seats(rooms, room)] == [1, 2, 2]


def test_a_race_that_fails_again_and_again_says_why_and_is_left(
    rooms: Rooms, room: Room, conductor: Conductor, engine: FakeEngine
) -> None:
    rooms.play(room, pupil(0))
    for _ in range(2 * MOST_TRIES + 2):
        conductor.tend(room.id, at_once=True)
        engine.last.state, engine.last.message = JobState.FAILED, "Not enough memory."
    assert len(engine.jobs) == MOST_TRIES
    seat = seats(rooms, room)[0]
    assert (seat.job, seat.message) == ("", "Not enough memory.")


def test_a_full_queue_is_said_and_asked_again(
    rooms: Rooms, room: Room, desk: Desk, conductor: Conductor, engine: FakeEngine
) -> None:
    engine.refusal = "60 runs wait already."
    desk.start()
    conductor.tend(room.id, at_once=True)
    assert [seat.message for seat in seats(rooms, room)] == ["60 runs wait already.", "", ""]
    engine.refusal = ""
    conductor.tend(room.id, at_once=True)
    assert len(engine.jobs) == SEATS
    assert [seat.message for seat in seats(rooms, room)] == ["", "", ""]


def test_a_room_is_tended_no_more_often_than_it_needs(rooms: Rooms, room: Room, engine: FakeEngine) -> None:
    seconds = [0.0]
    conductor = Conductor(rooms, lambda: engine, lambda: seconds[0])
    conductor.tend(room.id)
    rooms.play(room, pupil(0))
    conductor.tend(room.id)
    assert not engine.jobs
    seconds[0] = 1.0
    conductor.tend(room.id)
    assert len(engine.jobs) == 1
