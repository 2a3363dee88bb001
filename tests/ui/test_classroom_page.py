"""The Classroom page headless: the ways in, the desk, a seat, the projector, and who may do what."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from class_rooms import TINY
from fake_engine import FakeEngine
from open_pages import html, open_page, press, query, said
from streamlit.testing.v1 import AppTest

from replora.classroom.desk import Desk
from replora.classroom.room import Room
from replora.classroom.setup import Setup
from replora.jobs.engine import JobState, Submitter
from replora.methods import OURS
from replora.ui.classroom.seat_form import FIXED
from replora.ui.classroom.server import conductor, rooms
from replora.ui.classroom.words import STATES
from replora.ui.forms.knobs import KNOBS
from replora.ui.race.session import GONE
from replora.ui.share.address import own_hosts, qr_html
from replora.ui.shell.style import STYLE
from replora.ui.visitor import lasting
from replora.ui.visitor.who import SECRET

PUPILS = [letter * 43 for letter in "abc"]
TEACHER = "t" * 43
EXPECTING = replace(TINY, expect=True)


@pytest.fixture(autouse=True)
def apart(engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rooms of the test's own; headless pages would share one session otherwise."""
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path))
    monkeypatch.setattr(lasting, "_session", lambda: st.session_state[SECRET])


def visit(who: str, **link: Any) -> AppTest:
    test = open_page("classroom", state={SECRET: who}, **link)
    assert not test.exception
    return test


def taught(test: AppTest) -> Room:
    """The room on the screen, its races brought to where they are to be."""
    room = rooms().find(query(test)["room"], Submitter("test"))
    conductor().tend(room.id, at_once=True)
    return rooms().get(room.id)


@pytest.fixture
def desk() -> AppTest:
    return press(visit(TEACHER), "classroom.open")


@pytest.fixture
def tiny(desk: AppTest) -> AppTest:
    """A desk whose room trains little, and asks nothing first."""
    set_up(desk, TINY)
    return desk.run()


def set_up(desk: AppTest, setup: Setup) -> None:
    Desk(rooms(), taught(desk).id, Submitter(hashlib.sha256(TEACHER.encode()).hexdigest())).push(setup)


def seated(desk: AppTest, who: str = PUPILS[0]) -> AppTest:
    return press(visit(who, room=query(desk)["room"]), "classroom.sit")


def finish(engine: FakeEngine) -> None:
    for job in engine.jobs.values():
        job.told, job.state = len(job.script), JobState.FINISHED


def keys(test: AppTest) -> set[str]:
    return {each.key for each in test.button if each.key}


def test_a_room_is_opened_in_one_press_and_its_code_is_in_the_address(desk: AppTest) -> None:
    room = taught(desk)
    assert query(desk) == {"room": room.code}
    assert f"{room.code[:3]} {room.code[3:]}" in html(desk)
    assert "You teach this room." in html(desk)
    assert "0 seats" in html(desk)


def test_a_link_says_what_a_room_trains_at_first() -> None:
    test = press(visit(TEACHER, rank="8", steps="4", task="emoji"), "classroom.open")
    assert query(test) == {"room": taught(test).code}
    race = taught(test).setup.race
    assert (race.rank, race.steps, race.task) == (8, 4, "emoji")
    assert test.button(key="classroom.push").disabled
    hidden = press(visit(PUPILS[0], weight_decay="0.1", methods="lora"), "classroom.open")
    assert hidden.button(key="classroom.push").disabled, "what has no control stays as the room was opened"
    wrong = visit(TEACHER, rank="0", backbone="minilm_l3")
    assert any("rank must be" in each for each in said(wrong))
    assert wrong.button(key="classroom.open").disabled


@pytest.mark.parametrize("code", ["BCDFGH", "nonsense", "<b>x</b>"])
def test_a_code_that_opens_nothing_is_a_sentence_and_leaves_the_address(code: str) -> None:
    test = visit(PUPILS[0], room=code)
    assert any("There is no room with the code" in each for each in said(test))
    assert query(test) == {}
    assert said(test.run()) == []


def test_a_code_is_typed_as_people_type_it(desk: AppTest) -> None:
    code = query(desk)["room"]
    test = visit(PUPILS[0])
    test.text_input(key="classroom.code").set_value(f"{code[:3].lower()} {code[3:]}")
    test = press(test, "classroom.enter")
    assert query(test) == {"room": code}
    assert "classroom.sit" in keys(test)


def test_the_instructors_link_opens_the_desk_and_its_key_leaves_the_address(desk: AppTest) -> None:
    room = taught(desk)
    key = desk.session_state["classroom.key"][1]
    assert key not in html(desk)
    other = visit(PUPILS[0], room=room.code, instructor=key)
    assert "You teach this room." in html(other)
    assert query(other) == {"room": room.code}
    wrong = visit(PUPILS[1], room=room.code, instructor=key[:-1] + "x")
    assert "You teach this room." not in html(wrong)
    assert query(wrong) == {"room": room.code}
    assert any("not that of this room's instructor" in each for each in said(wrong))


def test_a_learner_has_no_desk_and_a_projector_nothing_to_press(desk: AppTest) -> None:
    room = taught(desk)
    seat = seated(desk)
    acts = {f"classroom.{name}" for name in ("push", "start", "pause", "reset", "close")}
    assert acts <= keys(desk)
    assert not acts & keys(seat)
    projector = visit(PUPILS[1], room=room.code, projector="true")
    assert not keys(projector)
    assert room.code[:3] in html(projector)


def test_a_seat_says_what_it_expects_then_plays_then_sees_all(desk: AppTest, engine: FakeEngine) -> None:
    set_up(desk, EXPECTING)
    seat = seated(desk)
    assert "Seat 1" in html(seat)
    assert "classroom.play" not in keys(seat)
    press(seat, "classroom.commit")
    assert "You expect RepLoRA ahead by 2.0 points" in html(seat)
    press(seat, "classroom.play")
    taught(desk)
    assert engine.last.by.visitor == rooms().seats(taught(desk))[0].submitter.visitor
    finish(engine)
    taught(desk)
    seat.run()
    assert not seat.exception
    assert "The class" in html(seat)
    assert "with one seed: an anecdote" in html(seat)
    assert "intervals held what came" in html(seat)
    assert "classroom.play" not in keys(seat)


def test_a_race_that_waits_for_what_its_seat_expects_says_so(desk: AppTest, engine: FakeEngine) -> None:
    set_up(desk, EXPECTING)
    seats = [seated(desk, who) for who in PUPILS[:2]]
    assert "Commit, then look" in html(seats[0])
    press(seats[0], "classroom.commit")
    press(desk, "classroom.start")
    room = taught(desk)
    told = "Started: each seat races once it has said what it expects"
    counts = "2 seats, 1 said what they expect, 1 not committed yet, 1 began, 0 finished"
    projector = visit(PUPILS[2], room=room.code, projector="true")
    for shown in (desk.run(), projector):
        assert f"{told}. {counts}." in html(shown)
    late = seats[1].run()
    assert told in html(late)
    assert "Your race begins when you commit" in html(late)
    assert "all race" not in html(late)
    press(late, "classroom.commit")
    taught(desk)
    assert len(engine.jobs) == 2
    assert "Your race begins" not in html(late.run())
    assert "2 said what they expect, 2 began" in html(desk.run())


@pytest.mark.parametrize("seen_by", [TEACHER, PUPILS[0]])
def test_a_view_that_there_is_not_is_said_and_leaves_the_address(desk: AppTest, seen_by: str) -> None:
    code = query(desk)["room"]
    for link in ({}, {"room": code}):
        test = visit(seen_by, view="zzz", **link)
        assert "view must be seat, got 'zzz'." in said(test)
        assert query(test) == link
    assert ("You teach this room." in html(test)) == (seen_by == TEACHER)


def test_each_state_of_a_seat_has_a_sign_of_its_own_in_tile_and_legend() -> None:
    css = (STYLE / "classroom.css").read_text(encoding="utf-8")
    for place in (".seats", ".legend"):
        looks = [
            tuple(re.findall(rf"^(?!.*--stripes:).*{re.escape(place)} \.{state}\b[^{{]*{{(.+?)}}", css, re.M))
            for state in STATES
        ]
        assert len(set(looks)) == len(STATES), place


def test_all_are_started_at_once_and_the_desk_counts_them(tiny: AppTest, engine: FakeEngine) -> None:
    seats = [seated(tiny, who) for who in PUPILS]
    assert [f"Seat {number}" in html(seat) for number, seat in enumerate(seats, start=1)] == [True] * 3
    press(tiny, "classroom.start")
    taught(tiny)
    assert len(engine.jobs) == 3
    assert "3 seats, 3 began, 0 finished" in html(tiny.run())
    finish(engine)
    taught(tiny)
    tiny.run()
    assert "3 seats, 3 began, 3 finished" in html(tiny)
    assert "points over 3 paired seeds" in html(tiny)
    assert html(tiny).count('class="finished"') == 3 + 1  # and the legend


def test_a_push_reaches_every_seat_and_keeps_what_was_found(tiny: AppTest, engine: FakeEngine) -> None:
    seat = seated(tiny)
    press(tiny, "classroom.start")
    taught(tiny)
    finish(engine)
    taught(tiny)
    set_up(tiny, replace(TINY, race=replace(TINY.race, mlp_width=16, sharing="tied")))
    seat.run()
    assert "Now everyone: MLP width 16 and sharing tied" in html(seat)
    tiny.run()
    assert "Earlier rounds" in html(tiny)
    assert "Round 1" in html(tiny)


def test_only_what_is_free_is_a_control_of_a_seat(desk: AppTest) -> None:
    set_up(desk, TINY)
    seat = seated(desk)
    assert not [each.key for each in seat.select_slider]
    set_up(desk, replace(TINY, free=("rank",)))
    seat.run()
    (slider,) = seat.select_slider
    assert slider.label == "Rank"
    slider.set_value(8).run()
    assert rooms().seats(taught(desk))[0].own == {"rank": 8}


def knob(test: AppTest, name: str) -> Any:
    return next(each for each in test.segmented_control if str(each.key).endswith(f".{name}"))


def test_the_knobs_of_a_seat_stand_together_and_those_that_are_fixed_say_so(desk: AppTest) -> None:
    set_up(desk, replace(TINY, free=("sharing", "residual", "rank")))
    seat = seated(desk)
    assert "How A and B arise<span>Grey ones are fixed by the instructor" in html(seat)
    assert {name for name in KNOBS if not knob(seat, name).disabled} == {"sharing", "residual"}
    assert knob(seat, "mlp_width").help.startswith(FIXED)
    assert not knob(seat, "sharing").help.startswith(FIXED)
    assert [each.label for each in seat.select_slider] == ["Rank"]
    knob(seat, "sharing").set_value("tied").run()
    assert rooms().seats(taught(desk))[0].own == {"sharing": "tied"}
    knob(seat, "sharing").set_value("trunk").run()
    assert rooms().seats(taught(desk))[0].own == {}


def test_a_push_sets_the_free_knobs_of_a_seat_anew(desk: AppTest) -> None:
    set_up(desk, replace(TINY, free=("sharing",)))
    seat = seated(desk)
    set_up(desk, replace(TINY, race=replace(TINY.race, sharing="separate"), free=("sharing",)))
    assert knob(seat.run(), "sharing").value == "separate"
    assert rooms().seats(taught(desk))[0].own == {}


def test_no_projection_of_a_seat_is_a_sentence_and_its_race_stays(desk: AppTest) -> None:
    set_up(desk, replace(TINY, free=("projections",)))
    seat = seated(desk)
    knob(seat, "projections").set_value(["query"]).run()
    knob(seat, "projections").set_value([]).run()
    assert len(said(seat)) == 1
    assert rooms().seats(taught(desk))[0].own == {"projections": ["query"]} or rooms().seats(taught(desk))[0].own == {
        "projections": ("query",)
    }


def raced(desk: AppTest, engine: FakeEngine, seat: AppTest) -> AppTest:
    """The seat once its race, which the class counts, is over."""
    press(seat, "classroom.play")
    taught(desk)
    assert {name for name in KNOBS if not knob(seat.run(), name).disabled} == set()  # while it is on
    finish(engine)
    taught(desk)
    return seat.run()


def test_after_its_race_a_seat_races_what_it_sets_against_the_last_one(desk: AppTest, engine: FakeEngine) -> None:
    set_up(desk, replace(TINY, free=("sharing", "mlp_width")))
    seat = raced(desk, engine, seated(desk))
    assert "race.against" not in keys(seat)  # nothing else is set
    knob(seat, "sharing").set_value("tied").run()
    press(seat, "race.against")
    assert not seat.exception
    assert [run["method"]["sharing"] for run in engine.last.spec["runs"] if run["method"]["name"] == OURS] == ["tied"]
    finish(engine)
    taught(desk)
    seat.run().run()
    assert "Sharing tied instead of trunk." in html(seat)
    knob(seat, "mlp_width").set_value(16).run()
    press(seat, "race.against")
    assert len(engine.jobs) == 3
    [kept] = rooms().seats(taught(desk))
    assert (kept.job, kept.own) == ("job0", {})  # the class counts the first one
    assert "1 seat, 1 began, 1 finished" in html(desk.run())


@pytest.mark.parametrize("elsewhere", [False, True])
def test_races_beyond_come_back_after_a_reload_and_on_another_device(
    elsewhere: bool, desk: AppTest, engine: FakeEngine
) -> None:
    set_up(desk, replace(TINY, free=("sharing", "mlp_width")))
    seat = raced(desk, engine, seated(desk))
    knob(seat, "sharing").set_value("tied").run()
    press(seat, "race.against")
    finish(engine)
    knob(seat.run(), "mlp_width").set_value(16).run()
    press(seat, "race.against")
    engine.jobs["job2"].told = 3
    shown = html(seat.run())
    assert "MLP width 16 instead of 64." in shown
    again = visit(PUPILS[int(elsewhere)], room=query(desk)["room"])
    if elsewhere:
        again.text_input(key="classroom.words").set_value(rooms().seats(taught(desk))[0].words)
        press(again, "classroom.restore")
    assert html(again) == shown
    assert (knob(again, "sharing").value, knob(again, "mlp_width").value) == ("tied", 16)
    assert "race.against" not in keys(again)  # what is set is what is on the screen
    press(desk, "classroom.close")
    again.run()
    assert engine.jobs["job2"].state is JobState.CANCELLED
    assert rooms().seats(taught(desk))[0].job == "job0"


def test_a_race_beyond_that_is_gone_is_said_after_a_reload(desk: AppTest, engine: FakeEngine) -> None:
    set_up(desk, replace(TINY, free=("sharing",)))
    seat = raced(desk, engine, seated(desk))
    knob(seat, "sharing").set_value("tied").run()
    press(seat, "race.against")
    del engine.jobs["job1"]
    again = visit(PUPILS[0], room=query(desk)["room"])
    assert GONE in said(again)
    assert "Finished" in html(again)


@pytest.mark.parametrize(("act", "state"), [("pause", JobState.PAUSED), ("close", JobState.CANCELLED)])
def test_a_race_beyond_the_one_that_counts_is_held_and_ended_with_the_others(
    act: str, state: JobState, desk: AppTest, engine: FakeEngine
) -> None:
    set_up(desk, replace(TINY, free=("sharing",)))
    seat = raced(desk, engine, seated(desk))
    knob(seat, "sharing").set_value("tied").run()
    press(seat, "race.against")
    press(desk.run(), f"classroom.{act}")
    seat.run()
    assert engine.jobs["job1"].state is state
    if act == "pause":
        press(desk.run(), "classroom.start")
        seat.run()
        assert engine.jobs["job1"].state is JobState.RUNNING


def test_a_push_ends_a_race_beyond_and_keeps_it_in_grey(desk: AppTest, engine: FakeEngine) -> None:
    set_up(desk, replace(TINY, free=("sharing",)))
    seat = raced(desk, engine, seated(desk))
    knob(seat, "sharing").set_value("tied").run()
    press(seat, "race.against")
    engine.jobs["job1"].told = 3
    seat.run()
    set_up(desk, replace(TINY, race=replace(TINY.race, rank=8), free=("sharing",)))
    press(seat.run(), "classroom.play")
    taught(desk)
    seat.run()
    assert engine.jobs["job1"].state is JobState.CANCELLED
    assert rooms().seats(taught(desk))[0].job == "job2"


def test_four_words_bring_a_seat_back_in_another_browser(tiny: AppTest) -> None:
    seated(tiny)
    words = rooms().seats(taught(tiny))[0].words
    other = visit(PUPILS[1], room=query(tiny)["room"])
    other.text_input(key="classroom.words").set_value("acorn acorn acorn acorn")
    press(other, "classroom.restore")
    assert any("not the four words" in each for each in said(other))
    other.text_input(key="classroom.words").set_value(words.title())
    press(other, "classroom.restore")
    assert "Seat 1" in html(other)
    assert len(rooms().seats(taught(tiny))) == 1


def test_a_reload_finds_the_same_seat(tiny: AppTest) -> None:
    seated(tiny)
    again = visit(PUPILS[0], room=query(tiny)["room"])
    assert "Seat 1" in html(again)


def test_a_closed_room_shows_what_was_found_and_takes_nobody(tiny: AppTest) -> None:
    press(tiny, "classroom.close")
    assert "Closed. 0 seats" in html(tiny)
    assert {each.disabled for each in tiny.button if each.key == "classroom.start"} == {True}
    late = visit(PUPILS[0], room=query(tiny)["room"])
    assert [each.disabled for each in late.button if each.key == "classroom.sit"] == [True]


def test_a_room_that_is_full_is_a_sentence(tiny: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_SEATS", "1")
    seated(tiny)
    assert any("All 1 seats" in each for each in said(seated(tiny, PUPILS[1])))


def test_rooms_that_the_environment_sets_wrongly_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_ROOMS", "none")
    test = press(visit(TEACHER), "classroom.open")
    assert any("REPLORA_MAX_ROOMS must be" in each for each in said(test))


def test_what_stands_in_the_qr_code_is_the_link() -> None:
    told = qr_html('http://192.0.2.1/classroom?room=BCDFGH&x="<')
    assert told.startswith('<img class="qr" src="data:image/svg+xml')
    assert told.count("<") == 1
    assert all("." in host and not host.startswith("127.") for host in own_hosts())
