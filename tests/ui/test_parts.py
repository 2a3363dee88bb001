"""The small parts: the watch, words, and what a session keeps."""

from __future__ import annotations

from typing import Any

import pytest

from replora.config import RaceOptions
from replora.options import options
from replora.statistics.verdict import lost_sentence
from replora.ui.live.engine import Watch
from replora.ui.parts.cards import card
from replora.ui.parts.settings import named, unlike
from replora.ui.parts.text import plain, unbroken
from replora.ui.race.session import EARLIER, RaceSession
from replora.ui.studies.page import verdict_html
from replora.wording import count, counted, duration, listing, scientific, signed

RACE = RaceOptions(learning_rate=1e-3).race()


def test_a_watch_looks_at_one_job_and_leaves_it(engine: Any) -> None:
    first, second = engine.submit("race", RACE.to_dict()), engine.submit("race", RACE.to_dict())
    watch = Watch(engine)
    watch.show(first)
    watch.show(first)
    assert len(engine.jobs[first].viewers) == 1
    watch.show(second)
    assert (len(engine.jobs[first].viewers), len(engine.jobs[second].viewers)) == (0, 1)
    watch.close()
    assert not engine.jobs[second].viewers


def test_a_watch_can_leave_a_job_that_is_forgotten(engine: Any) -> None:
    job = engine.submit("race", RACE.to_dict())
    watch = Watch(engine)
    watch.show(job)
    del engine.jobs[job]
    watch.close()
    assert not engine.jobs


def test_a_session_keeps_few_earlier_races_and_none_of_another_task(engine: Any) -> None:
    session = RaceSession()
    for rank in range(1, EARLIER + 4):
        session.play(engine, RaceOptions(rank=rank).race())
        engine.advance(20)
        session.poll(engine)
    assert len(session.earlier) == EARLIER
    session.play(engine, RaceOptions(task="emoji").race())
    assert session.earlier == []


def test_the_same_race_again_leaves_no_grey_copy(engine: Any) -> None:
    session = RaceSession()
    for _ in range(2):
        session.play(engine, RACE)
        engine.advance()
        session.poll(engine)
    assert session.earlier == []


def test_a_session_whose_job_is_forgotten_says_so(engine: Any) -> None:
    session = RaceSession()
    session.play(engine, RACE)
    engine.jobs.clear()
    session.poll(engine)
    assert session.job is None
    assert "no longer knows this run" in session.problem


def test_settings_are_the_form_that_made_the_race() -> None:
    form = RaceOptions(rank=8, seeds=(0, 3), methods=("lora", "head"), projections=("query",), learning_rate=0.02)
    assert RaceOptions.of(form.race()) == RaceOptions.nearest(form.race()) == form
    assert sorted(unlike(RACE, form.race())) == [
        "learning rate 0.001",
        "methods LoRA and RepLoRA",
        "projections query and value",
        "rank 4",
        "seeds 0",
    ]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lora_rank", 0, "LoRA's rank that of the others"),
        ("lora_rank", 102, "LoRA's rank 102"),
        ("clip_norm", 0.0, "clip gradient off"),
        ("mlp_depth", 0, "MLP depth 0"),
        ("weight_decay", 0.0, "weight decay 0"),
        ("b_rate_ratio", 4.0, "rate of B over A 4"),
    ],
)
def test_a_setting_keeps_its_capitals_and_a_zero_that_stands_for_something_says_it(
    name: str, value: float, said: str
) -> None:
    assert named(name, options(RaceOptions)[name], value) == said


@pytest.mark.parametrize(("seconds", "text"), [(4.21, "4.2 s"), (47.6, "48 s"), (185, "3 min 05 s")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_words() -> None:
    assert count(456_576) == "456\u202f576"
    assert signed(-4.24) == "\u22124.2"
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert plain("![x](http://y)") == r"\!\[x\]\(http\://y\)"


def test_numbers_with_a_noun_and_numbers_with_a_power() -> None:
    assert [counted(number, "thread") for number in (0, 1, 2)] == ["0 threads", "1 thread", "2 threads"]
    assert (scientific(6.13e-6), scientific(2e7, 0)) == ("6.1\u00b710\u207b\u2076", "2\u00b710\u2077")


def test_a_card_explains_its_words_where_a_finger_can_open_it() -> None:
    assert "<details" not in card("lora", "LoRA", "1", "", [])
    made = card("lora", "LoRA", "1", "", [], about="What it is.")
    assert '<summary aria-label="What this says"' in made
    assert "<p>What it is.</p></details>" in made


def test_which_runs_diverged_is_told_on_demand() -> None:
    lost = lost_sentence([("replora", 0.03, 0), ("replora", 0.03, 1)], 6)
    made = verdict_html("Ahead.", f"More. {lost}", [])
    assert '<p class="details">More. 2 of 6 runs diverged and are not counted.</p>' in made
    assert "<summary>Which runs diverged</summary><p>RepLoRA at rate 0.03 (seeds 0, 1).</p></details>" in made
    assert "<details" not in verdict_html("Ahead.", "More.", [])


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("22 % [20, 24] of 4 tasks", "22_% [20,_24] of 4 tasks"),
        ("2.5 \u00b1 1.1 points", "2.5_\u00b1_1.1 points"),
        ("0.92 [0.64, not reached]", "0.92 [0.64,_not_reached]"),
        ("at 1, 3 and 10 %", "at 1, 3 and 10_%"),
        ("a list [of all that one could say of it here]", "a list [of all that one could say of it here]"),
    ],
)
def test_a_number_stays_on_a_line_with_what_belongs_to_it(text: str, whole: str) -> None:
    assert unbroken(text) == whole.replace("_", "\u00a0")
    assert unbroken(text) in card("lora", "", "", "", [text])
