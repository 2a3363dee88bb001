"""Who opens somebody else's run by its link watches it: nothing a stranger presses is felt by it or by its owner."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from fake_engine import FakeEngine
from open_pages import html, open_page, press, query, standing
from streamlit.testing.v1 import AppTest

from replora.config import RaceOptions
from replora.jobs.engine import JobState, Submitter
from replora.ui.live.private import SOMEBODY
from replora.ui.live.standing import LEAVE, WATCHED
from replora.ui.visitor import lasting
from replora.ui.visitor.who import SECRET

# of each live page: the button that starts, those that steer, and the one that leaves
BUTTONS: dict[str, tuple[str, Sequence[str], str]] = {
    "race": ("race.play", ("race.pause", "race.step", "race.cancel"), "race.reset"),
    **{
        page: (f"{page}.run", (f"{page}.stop",), f"{page}.reset")
        for page in ("data_efficiency", "learning_rate", "recover_update", "rates")
    },
}
SECRETS = {"owner": "o" * 43, "stranger": "s" * 43}


@pytest.fixture(params=BUTTONS)
def page(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def opened(page: str, who: str, **link: Any) -> AppTest:
    test = open_page(page, state={SECRET: SECRETS[who]}, **link)
    assert not test.exception
    return test


@pytest.fixture
def owners(engine: FakeEngine, page: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The owner's page, with a job that is on and has told nothing yet."""
    monkeypatch.setattr(lasting, "_session", lambda: st.session_state[SECRET])  # headless pages share one otherwise
    engine.tells = dict.fromkeys(engine.tells, lambda spec: ())
    test = press(opened(page, "owner"), BUTTONS[page][0])
    assert engine.last.state is JobState.RUNNING
    return test


@pytest.fixture
def strangers(owners: AppTest, engine: FakeEngine, page: str) -> AppTest:
    """The page of somebody else who has the link to that job."""
    return opened(page, "stranger", run="job0")


def test_a_stranger_sees_the_run_and_is_told_in_a_sentence(strangers: AppTest, page: str) -> None:
    start, steering, leaving = BUTTONS[page]
    label = strangers.button(key=start).label
    assert "Running" in standing(strangers)
    assert f"{WATCHED} Press {label} for one of your own.".replace("'", "&#x27;") in standing(strangers)
    assert not strangers.button(key=start).disabled
    assert {strangers.button(key=each).disabled for each in steering} == {True}
    assert {strangers.button(key=each).help for each in steering} == {WATCHED}
    assert not strangers.button(key=leaving).disabled
    assert strangers.button(key=leaving).help.startswith(LEAVE)


def test_who_owns_the_run_is_told_nothing_of_the_kind_and_steers(owners: AppTest, page: str) -> None:
    assert "else" not in standing(owners)
    assert not owners.button(key=BUTTONS[page][1][-1]).disabled


@pytest.mark.slow
@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.PAUSED, JobState.QUEUED])
def test_nothing_a_stranger_presses_is_felt(strangers: AppTest, engine: FakeEngine, page: str, state: JobState) -> None:
    engine.jobs["job0"].state = state
    strangers.run()
    start, steering, _ = BUTTONS[page]
    for button in steering:
        strangers.button(key=button).proto.disabled = False  # a client of one's own may press what a browser does not
        press(strangers, button)
    press(strangers, start)
    assert (engine.jobs["job0"].state, engine.jobs["job0"].controls) == (state, [])
    assert query(strangers)["run"] == list(engine.jobs)[-1] != "job0"


def test_reset_leaves_the_run_and_it_goes_on(strangers: AppTest, engine: FakeEngine, page: str) -> None:
    press(strangers, BUTTONS[page][2])
    assert "run" not in query(strangers)
    assert "Recorded" in html(strangers)
    assert engine.last.state is JobState.RUNNING


def test_only_its_owner_keeps_a_run_or_leaves_it(
    owners: AppTest, strangers: AppTest, engine: FakeEngine, page: str
) -> None:
    assert len(engine.last.viewers) == 1
    press(strangers, BUTTONS[page][2])
    assert len(engine.last.viewers) == 1
    press(owners, BUTTONS[page][2])
    assert engine.jobs["job0"].viewers == set()
    assert engine.jobs["job0"].state is JobState.CANCELLED


def test_the_owner_steers_on_after_a_reload(owners: AppTest, engine: FakeEngine, page: str) -> None:
    again = opened(page, "owner", run=query(owners)["run"])
    press(again, BUTTONS[page][1][-1])
    assert engine.last.state is JobState.CANCELLED


def test_a_stranger_moves_the_learning_rate_of_the_next_race_only(engine: FakeEngine, recordings: Path) -> None:
    press(opened("race", "owner"), "race.play")
    engine.advance(2)
    strangers = opened("race", "stranger", run="job0")
    slider = strangers.select_slider(key="race.learning_rate")
    slider.set_value(1e-2).run()
    assert not strangers.exception
    assert engine.last.controls == []
    press(strangers, "race.play")
    assert engine.jobs["job0"].state is JobState.RUNNING
    assert engine.last.spec["runs"][0]["learning_rate"] != engine.jobs["job0"].spec["runs"][0]["learning_rate"]


def test_a_run_of_an_older_version_is_nobodys_and_everybody_steers_it(engine: FakeEngine, recordings: Path) -> None:
    engine.submit("race", RaceOptions().race().to_dict())
    strangers = opened("race", "stranger", run="job0")
    assert "else" not in standing(strangers)
    press(strangers, "race.cancel")
    assert engine.last.state is JobState.CANCELLED


def test_the_engine_knows_a_digest_of_the_visitor_and_pages_not_even_that(
    strangers: AppTest, page: str, engine: FakeEngine
) -> None:
    assert engine.last.by == Submitter(hashlib.sha256(SECRETS["owner"].encode()).hexdigest())
    assert strangers.session_state[f"{page}.session"].status.visitor == SOMEBODY
