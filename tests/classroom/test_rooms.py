"""Rooms: opened, found, entered and left; they last, end by themselves, and are bounded."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from class_rooms import TEACHER, TINY, Clock, pupil

from replora.classroom import rooms as rooms_module
from replora.classroom.codes import LETTERS, WORDS, read_code, read_words, shown_code
from replora.classroom.database import FILE, TABLES
from replora.classroom.desk import KEPT_ROUNDS, Desk
from replora.classroom.limits import RoomLimits
from replora.classroom.room import Expectation, NotInstructor, Phase, RoomError
from replora.classroom.rooms import KEPT_SECONDS, MOST_DESKS, Rooms
from replora.classroom.seat_races import MOST_FURTHER, note_further, races_of
from replora.classroom.setup import FREE, Setup
from replora.config import RaceOptions
from replora.jobs.engine import Submitter
from replora.options import SpecError

WIDE = replace(TINY, race=replace(TINY.race, mlp_width=16))


def test_a_room_is_found_by_its_code_however_it_is_typed(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    assert len(room.code) == 6
    assert set(room.code) <= set(LETTERS)
    for typed in (room.code, room.code.lower(), f" {shown_code(room.code)} ", "-".join(room.code)):
        assert rooms.find(typed, pupil(1)) == room


def test_codes_have_no_letters_that_look_alike() -> None:
    assert not set(LETTERS) & set("AEIOUYL0123456789")
    assert read_code("abcdef") == read_code("BCDFG") == read_code("BCDFGHJ") == read_code("") == ""


def test_there_are_four_words_of_a_small_list_and_none_begins_another(rooms: Rooms) -> None:
    assert len(WORDS) == len(set(WORDS)) == 256
    assert not [one for one in WORDS for other in WORDS if one != other and other.startswith(one)]
    room, _ = rooms.open(TINY, TEACHER)
    words = rooms.join(room, pupil(1)).words
    assert len(words.split()) == 4
    assert set(words.split()) <= set(WORDS)
    assert read_words("  Acorn, bacon-CABIN\tdaisy ") == "acorn bacon cabin daisy"


def test_the_key_is_not_in_the_file_and_opens_the_desk(rooms: Rooms, tmp_path: Path) -> None:
    room, key = rooms.open(TINY, TEACHER)
    held = b"".join(path.read_bytes() for path in tmp_path.glob("rooms.sqlite*"))
    assert room.code.encode() in held
    assert key.encode() not in held
    assert rooms.instructs(room, TEACHER)
    assert not rooms.instructs(room, pupil(1))
    with pytest.raises(RoomError, match="key"):
        rooms.take_desk(room, key[:-1], pupil(1))
    assert not rooms.instructs(room, pupil(1))
    rooms.take_desk(room, key, pupil(1))
    assert rooms.instructs(room, pupil(1))


def test_nobody_in_particular_instructs_nothing(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, Submitter())
    assert not rooms.instructs(room, Submitter())


def test_a_key_opens_so_many_desks_and_the_latest_stay(rooms: Rooms) -> None:
    room, key = rooms.open(TINY, TEACHER)
    for number in range(MOST_DESKS):
        rooms.take_desk(room, key, pupil(number))
    assert not rooms.instructs(room, TEACHER)
    assert rooms.instructs(room, pupil(0))


def test_keys_and_words_are_compared_in_constant_time(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def never(_: str, other: str) -> bool:
        compared.append(other)
        return False

    monkeypatch.setattr(rooms_module, "same", never)
    room, _ = rooms.open(TINY, TEACHER)
    seats = [rooms.join(room, pupil(number)) for number in range(3)]
    with pytest.raises(RoomError):
        rooms.take_desk(room, "key", pupil(9))
    with pytest.raises(RoomError):
        rooms.restore(room, "acorn", pupil(9))
    assert compared[1:] == [seat.words for seat in seats]


def test_a_visitor_has_one_seat_and_seats_are_numbered_as_they_come(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    first, second = rooms.join(room, pupil(1)), rooms.join(room, pupil(2))
    assert (first.number, second.number) == (1, 2)
    assert rooms.join(room, pupil(1)) == first
    assert rooms.seat_of(room, pupil(2)) == second
    assert rooms.seat_of(room, pupil(3)) is None


def test_four_words_restore_a_seat_on_another_device(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    seat = rooms.join(room, pupil(1))
    there = rooms.restore(room, seat.words.upper(), pupil(7))
    assert there.number == seat.number
    assert there.submitter == seat.submitter
    assert rooms.seat_of(room, pupil(7)) == there
    with pytest.raises(RoomError, match="four words"):
        rooms.play(room, pupil(1))
    assert rooms.restore(room, seat.words, pupil(1)).number == seat.number
    assert rooms.seat_of(room, pupil(7)) is None


def test_who_restores_another_seat_leaves_the_one_at_hand_for_its_words(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    first, second = rooms.join(room, pupil(1)), rooms.join(room, pupil(2))
    assert rooms.restore(room, second.words, pupil(1)).number == 2
    assert rooms.restore(room, first.words, pupil(2)).number == 1


def test_words_open_no_seat_of_another_room(rooms: Rooms) -> None:
    one, _ = rooms.open(TINY, TEACHER)
    other, _ = rooms.open(TINY, TEACHER)
    words = rooms.join(one, pupil(1)).words
    with pytest.raises(RoomError, match="not the four words"):
        rooms.restore(other, words, pupil(2))


def test_a_room_survives_its_process(rooms: Rooms, tmp_path: Path, clock: Clock) -> None:
    room, _ = rooms.open(replace(TINY, free=("rank",), expect=True), TEACHER)
    rooms.join(room, pupil(1))
    rooms.choose(room, {"rank": 8}, pupil(1))
    rooms.expect(room, Expectation(-1.0, 4.0), pupil(1))
    Desk(rooms, room.id, TEACHER).start()
    again = Rooms(tmp_path, RoomLimits, clock)  # as another process would: the first was not closed
    found = again.find(room.code, pupil(1))
    assert found == rooms.get(room.id)
    assert (found.phase, found.setup) == (Phase.RUNNING, room.setup)
    seat = again.seat_of(found, pupil(1))
    assert seat
    assert (seat.own, seat.expectation) == ({"rank": 8}, Expectation(-1.0, 4.0))
    assert again.instructs(found, TEACHER)
    again.close()


def test_a_room_ends_by_itself_and_is_forgotten_a_day_later(rooms: Rooms, clock: Clock) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    rooms.join(room, pupil(1))
    clock.now += 3600 * RoomLimits().room_hours
    assert rooms.get(room.id).phase is Phase.CLOSED
    assert rooms.marks(room.id)[2] is False
    with pytest.raises(RoomError, match="closed"):
        rooms.join(room, pupil(2))
    with pytest.raises(RoomError, match="closed"):
        rooms.play(room, pupil(1))
    with pytest.raises(RoomError, match="closed"):
        Desk(rooms, room.id, TEACHER).start()
    clock.now += KEPT_SECONDS + 1
    rooms.open(TINY, pupil(9))
    with pytest.raises(RoomError, match="not here any more"):
        rooms.get(room.id)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"max_rooms": 2}, "2 rooms are open already"),
        ({"max_visitor_rooms": 2}, "2 rooms of yours"),
        ({"max_address_rooms": 2}, "2 rooms from your network"),
    ],
)
def test_rooms_are_bounded(tmp_path: Path, limits: dict[str, int], sentence: str) -> None:
    rooms = Rooms(tmp_path, lambda: RoomLimits(**limits))
    by = TEACHER if "visitor" in sentence or "yours" in sentence else None
    opened = [rooms.open(TINY, by or pupil(number))[0] for number in range(2)]
    with pytest.raises(RoomError, match=sentence):
        rooms.open(TINY, by or pupil(3))
    Desk(rooms, opened[0].id, by or pupil(0)).close()
    rooms.open(TINY, by or pupil(3))
    rooms.close()


def test_others_open_rooms_while_one_has_too_many(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path, lambda: RoomLimits(max_visitor_rooms=1))
    rooms.open(TINY, TEACHER)
    with pytest.raises(RoomError):
        rooms.open(TINY, TEACHER)
    rooms.open(TINY, Submitter("other", TEACHER.address))
    rooms.close()


def test_seats_are_bounded(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path, lambda: RoomLimits(max_seats=2))
    room, _ = rooms.open(TINY, TEACHER)
    rooms.join(room, pupil(1))
    seat = rooms.join(room, pupil(2))
    with pytest.raises(RoomError, match="All 2 seats"):
        rooms.join(room, pupil(3))
    assert rooms.join(room, pupil(2)) == seat
    rooms.close()


def test_rooms_are_bounded_in_bytes(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path, lambda: RoomLimits(max_rooms_mb=1))
    room, _ = rooms.open(TINY, TEACHER)
    seat = rooms.join(room, pupil(1))
    rooms.note(seat, room.round, result={"padding": "x" * 1_100_000})
    for refused in (lambda: rooms.open(TINY, TEACHER), lambda: rooms.join(room, pupil(2))):
        with pytest.raises(RoomError, match="all the space"):
            refused()
    rooms.close()


def test_a_full_room_of_a_day_stays_far_below_its_bytes(rooms: Rooms) -> None:
    """What the limits allow together: rooms x seats x rounds that are kept, of the size that a turn has."""
    room, _ = rooms.open(TINY, TEACHER)
    before = rooms.file.used_bytes()
    seats = [rooms.join(room, pupil(number)) for number in range(40)]
    for seat in seats:
        rooms.note(seat, 1, result={"race": TINY.race_of(seat.number, {}).to_dict(), "runs": [{}] * 3})
    assert (rooms.file.used_bytes() - before) / len(seats) < 6_000


@pytest.mark.parametrize("act", ["push", "start", "pause", "reset", "close"])
def test_only_the_instructor_acts_on_a_room(rooms: Rooms, act: str) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    rooms.join(room, pupil(1))
    values: tuple[Any, ...] = (WIDE,) if act == "push" else ()
    for stranger in (pupil(1), pupil(2), Submitter(), Submitter("", TEACHER.address)):
        with pytest.raises(NotInstructor):
            getattr(Desk(rooms, room.id, stranger), act)(*values)
    assert rooms.get(room.id) == replace(room, news=1)
    getattr(Desk(rooms, room.id, TEACHER), act)(*values)
    assert rooms.get(room.id).version == room.version + 1


def test_a_push_is_a_new_round_once_somebody_has_begun(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    desk = Desk(rooms, room.id, TEACHER)
    desk.push(WIDE)
    assert (rooms.get(room.id).round, rooms.get(room.id).setup) == (1, WIDE)
    rooms.join(room, pupil(1))
    rooms.play(rooms.get(room.id), pupil(1))
    desk.push(TINY)
    now = rooms.get(room.id)
    assert (now.round, now.setup) == (2, TINY)
    assert [setup for _, setup in rooms.rounds(now)] == [WIDE, TINY]
    fresh = rooms.seat_of(now, pupil(1))
    assert fresh
    assert not fresh.wants
    assert [seat.wants for seat in rooms.seats(now, 1)] == [True]


def test_a_push_of_what_is_there_changes_nothing(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    rooms.join(room, pupil(1))
    rooms.play(room, pupil(1))
    Desk(rooms, room.id, TEACHER).push(TINY)
    assert rooms.get(room.id).round == 1


def test_rounds_are_bounded(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    rooms.join(room, pupil(1))
    for _ in range(KEPT_ROUNDS + 3):
        rooms.play(rooms.get(room.id), pupil(1))
        Desk(rooms, room.id, TEACHER).reset()
    now = rooms.get(room.id)
    assert now.round == KEPT_ROUNDS + 4
    assert len(rooms.rounds(now)) == KEPT_ROUNDS
    with sqlite3.connect(rooms.file._file) as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone()[0] == KEPT_ROUNDS - 1


def test_a_seat_says_what_it_expects_before_it_plays(rooms: Rooms) -> None:
    room, _ = rooms.open(replace(TINY, expect=True), TEACHER)
    seat = rooms.join(room, pupil(1))
    with pytest.raises(RoomError, match="what you expect"):
        rooms.play(room, pupil(1))
    for low, high in ((1.0, 1.0), (2.0, 1.0), (-500.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(RoomError, match="An expectation"):
            rooms.expect(room, Expectation(low, high), pupil(1))
    rooms.expect(room, Expectation(-1, 3), pupil(1))
    rooms.play(room, pupil(1))
    rooms.note(seat, 1, job="job0")
    for late in (lambda: rooms.expect(room, Expectation(0, 9), pupil(1)), lambda: rooms.choose(room, {}, pupil(1))):
        with pytest.raises(RoomError, match="has begun"):
            late()


def test_a_seat_waits_where_the_instructor_starts_all(rooms: Rooms) -> None:
    room, _ = rooms.open(replace(TINY, play=False), TEACHER)
    rooms.join(room, pupil(1))
    with pytest.raises(RoomError, match="instructor starts"):
        rooms.play(room, pupil(1))


def test_news_and_version_are_apart(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    version, news, is_open = rooms.marks(room.id)
    assert is_open
    rooms.join(room, pupil(1))
    assert rooms.marks(room.id)[:2] == (version, news + 1)
    Desk(rooms, room.id, TEACHER).start()
    assert rooms.marks(room.id)[:2] == (version + 1, news + 1)
    assert rooms.marks("nothing") == (-1, -1, False)


def test_many_who_join_at_once_get_a_seat_each(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    found: list[int] = []
    crowd = [threading.Thread(target=lambda n=n: found.append(rooms.join(room, pupil(n)).number)) for n in range(20)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    assert sorted(found) == list(range(1, 21))


def test_the_races_of_a_seat_are_kept_in_order_and_those_beyond_are_bounded(rooms: Rooms) -> None:
    room, _ = rooms.open(TINY, TEACHER)
    seat, other = rooms.join(room, pupil(1)), rooms.join(room, pupil(2))
    rooms.note(seat, 1, job="counts", result={})
    for number in range(MOST_FURTHER + 2):
        note_further(rooms, room, f"further{number}", pupil(1))
    desk = Desk(rooms, room.id, TEACHER)
    desk.push(WIDE)
    rooms.note(seat, 2, job="later")
    kept = [f"further{number}" for number in range(2, MOST_FURTHER + 2)]
    assert [each.job for each in races_of(rooms, seat)] == ["counts", *kept, "later"]
    assert [each.job for each in races_of(rooms, seat) if each.counts] == ["counts", "later"]
    assert not races_of(rooms, other)
    with pytest.raises(RoomError, match="no seat in this room"):
        note_further(rooms, room, "stranger", pupil(3))
    desk.close()
    with pytest.raises(RoomError, match="closed"):
        note_further(rooms, room, "late", pupil(1))


def test_a_file_of_the_first_version_is_read_on(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / FILE)
    database.executescript(f"{TABLES[0]}; PRAGMA user_version = 1")
    database.close()
    made = Rooms(tmp_path, RoomLimits)
    room, _ = made.open(TINY, TEACHER)
    seat = made.join(room, pupil(1))
    note_further(made, room, "further", pupil(1))
    made.close()
    assert [each.job for each in races_of(made, seat)] == ["further"]
    made.close()


def test_a_file_of_a_newer_app_is_a_sentence(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(RoomError, match="update the app"):
        Rooms(tmp_path, RoomLimits).open(TINY, TEACHER)


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database " * 1000)
    with pytest.raises(RoomError, match="cannot be read"):
        Rooms(tmp_path, RoomLimits).open(TINY, TEACHER)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"free": ("steps",)}, "free must be among"),
        ({"race": RaceOptions(task="own:aaaaaaaaaaaaaaaaaaaaaa")}, "task must be"),
        ({"race": RaceOptions(backbone="minilm_l3")}, "backbone must be auto"),
        ({"rates": tuple(1e-3 * step for step in range(1, 14))}, "at most 12"),
        ({"seeds": 0}, "seeds must be"),
    ],
)
def test_settings_that_a_room_cannot_have_are_a_sentence(facts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Setup(**facts)


def test_settings_come_back_from_json_as_they_were() -> None:
    setup = Setup(free=("rank", "sharing"), each="cell", rates=(1e-4, 3e-4), race=RaceOptions(methods=("lora",)))
    assert Setup.from_dict(setup.to_dict()) == setup


def test_each_seat_trains_its_own_seed_or_its_own_cell() -> None:
    race = TINY.race_of(7, {})
    assert {(run.method.name, run.seed) for run in race.runs} == {("lora", 7), ("replora", 7)}
    grid = replace(TINY, each="cell", seeds=2, rates=(1e-4, 1e-3))
    cells = [grid.race_of(number, {}).runs for number in range(1, 10)]
    assert all(len(runs) == 1 for runs in cells)
    told = [(runs[0].seed, runs[0].learning_rate, runs[0].method.name) for runs in cells]
    assert len(set(told[:8])) == 8
    assert told[8] == told[0]
    assert told[:2] == [(1, 1e-4, "lora"), (1, 1e-4, "replora")]


def test_what_is_not_free_stays_as_the_room_has_it() -> None:
    own = {"rank": 8, "mlp_width": 16}
    assert TINY.options_of(own) == TINY.race
    freed = replace(TINY, free=("rank",))
    assert freed.options_of(own) == replace(TINY.race, rank=8)
    assert freed.chosen_otherwise({"rank": TINY.race.rank}) == {}


@pytest.mark.parametrize("own", [{"steps": 10_000}, {"rank": 0}, {"rank": "x"}, {"sharing": "all"}])
def test_what_a_seat_may_not_choose_is_a_sentence(rooms: Rooms, own: dict[str, Any]) -> None:
    room, _ = rooms.open(replace(TINY, free=FREE), TEACHER)
    rooms.join(room, pupil(1))
    with pytest.raises(SpecError, match=r"must be|chooses among"):
        rooms.choose(room, own, pupil(1))
