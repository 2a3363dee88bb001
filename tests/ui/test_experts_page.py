"""The page 'Attention as experts' without a browser, on answers computed from the recorded races."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from fake_engine import FakeEngine, FakeJob
from open_pages import open_page
from PIL import Image
from streamlit.testing.v1 import AppTest

from replora.catalog import ASSETS
from replora.config import RaceOptions
from replora.events import read_events, to_line
from replora.jobs.engine import JobState
from replora.lens.service import answer
from replora.pictures import square
from replora.tasks import load_task
from replora.ui.components.live_slider import _within

Open = Callable[..., AppTest]


@pytest.fixture
def engine(connect: Callable[[FakeEngine], FakeEngine]) -> FakeEngine:
    """An engine that answers in this process; it knows one finished race of topics, without a head-only run."""
    fake = connect(FakeEngine(answer))
    spec = RaceOptions(task="wordnet_topics").race().to_dict()
    lines = [to_line(each) for each in read_events(ASSETS / "recorded" / "race_wordnet_topics.jsonl.gz")]
    folder = ASSETS / "recorded" / "lens_wordnet_topics"
    fake.jobs["ownrace1"] = FakeJob("race", spec, lines, JobState.FINISHED, len(lines), folder=folder)
    return fake


@pytest.fixture
def visit(engine: FakeEngine) -> Open:
    """`visit(**query)`: the page, once it has run."""

    def start(**query: Any) -> AppTest:
        test = open_page("experts", **query)
        assert not test.exception
        return test

    return start


def said(test: AppTest) -> str:
    """All HTML and Markdown on the page."""
    return " ".join([*(each.value for each in test.markdown), *(each.proto.body for each in test.get("html"))])


def warned(test: AppTest) -> list[str]:
    """The warnings, without the marks that keep Markdown from reading them."""
    return [each.value.replace("\\", "") for each in test.warning]


def test_it_opens_on_the_first_recorded_race_with_what_all_three_methods_say(visit, engine):
    test = visit()
    page = said(test)
    for name in ("Head only", "LoRA", "RepLoRA"):
        assert name in page
    task = load_task("digits")
    assert f"Test example 0: {task.classes[int(task.test.labels[0])]}" in page
    assert "rounding" in page
    assert not test.warning


def test_one_interaction_is_one_question(visit, engine):
    test = visit()
    engine.asked.clear()
    test.number_input(key="experts.example").set_value(7).run()
    assert not test.exception
    assert len(engine.asked) == 1
    assert engine.asked[0]["example"]["index"] == 7
    engine.asked.clear()
    test.number_input(key="experts.example").set_value(0).run()
    assert engine.asked == []  # known from before


def test_a_link_shows_its_race_example_layer_head_and_step(visit, engine):
    test = visit(run="recorded:wordnet_topics", example="3", layer="1", head="5", token="2", step="30")
    assert not test.warning
    last = engine.asked[-1]
    assert (last["layer"], last["head"], last["step"]) == (0, 4, 30)
    assert last["example"]["index"] == 3
    assert test.query_params["step"] == "30"
    assert test.query_params["run"] == "recorded:wordnet_topics"


def test_ones_own_race_is_looked_into_and_lacks_what_it_lacks(visit, engine):
    test = visit(run="ownrace1")
    assert not test.warning
    assert "not in this race" in said(test)
    assert engine.asked[-1]["folder"].endswith("lens_wordnet_topics")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"run": "nosuchrun"}, "run must be a race known here, got 'nosuchrun'. Another one is shown instead."),
        ({"layer": "many"}, "layer must be a whole number from 0 to 256, got 'many'. The default is used instead."),
    ],
)
def test_what_a_link_cannot_have_is_a_sentence(visit, query, sentence):
    test = visit(**query)
    assert warned(test) == [sentence]


def test_a_head_that_this_model_lacks_falls_back_to_the_first(visit, engine):
    test = visit(run="recorded:digits", layer="2", head="12", token="1000", example="5000", step="35")
    assert warned(test) == [
        "example must be at most 999 in this race, got 5\u202f000. The last one is shown instead.",
        "head must be at most 6 in this race, got 12. Head 1 of layer 6 is shown instead.",
        "token must be at most 26 in this race, got 1\u202f000. The last one is shown instead.",
        "step must be one that is kept, from 0 to 100 in this race, got 35. Step 30 is shown instead.",
    ]
    test.number_input(key="experts.example").set_value(0).run()
    assert [each.split()[0] for each in warned(test)] == ["head", "token", "step"]
    assert (engine.asked[-1]["layer"], engine.asked[-1]["head"]) == (-1, 0)


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("word " * 3000, "128"),
        ("🦄 שלום مرحبا", "unknown"),
        ("a bird\x00that sings", ""),
    ],
    ids=["long", "strange", "control characters"],
)
def test_a_sentence_of_ones_own_is_answered(visit, engine, text, noted):
    test = visit(run="recorded:wordnet_topics")
    test.segmented_control[0].set_value("Write").run()
    test.text_area(key="experts.sentence").set_value(text).run()
    assert not test.exception
    assert engine.asked[-1]["example"]["sentence"]
    assert "Your sentence" in said(test)
    assert noted in said(test)


@pytest.mark.parametrize("text", ["   ", "x" * 30_000], ids=["blank", "too long"])
def test_a_sentence_that_is_none_is_refused_and_the_example_before_stays(visit, engine, text):
    test = visit(run="recorded:wordnet_topics")
    test.segmented_control[0].set_value("Write").run()
    engine.asked.clear()
    test.text_area(key="experts.sentence").set_value(text).run()
    assert not test.exception
    assert len(test.warning) == 1
    assert warned(test)[0].startswith("text must")
    assert "Test example 0" in said(test)


@pytest.mark.parametrize(("race", "way"), [("recorded:digits", "Draw"), ("recorded:wordnet_topics", "Write")])
def test_what_is_still_shown_until_there_is_something_of_ones_own_is_said_to_be(visit, race, way):
    test = visit(run=race)
    assert "Nothing of yours yet" not in said(test)
    test.segmented_control[0].set_value(way).run()
    assert "<b>Nothing of yours yet: still Test example 0" in said(test)
    assert '<div class="stale">' in said(test)
    test.segmented_control[0].set_value("Test example").run()
    assert "Nothing of yours yet" not in said(test)


def upload(test: AppTest, name: str, data: bytes) -> AppTest:
    test.segmented_control[0].set_value("Upload").run()
    return test.file_uploader[0].set_value((name, data, "image/png")).run()


def png(size: tuple[int, int]) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(sink, "PNG")
    return sink.getvalue()


def test_a_picture_is_read_apart_and_once(visit, engine, monkeypatch):
    read = []

    def reader(data, limits, *, owner, address):
        assert len(owner) == 64
        assert address == ""
        read.append(data)
        return square(data)

    monkeypatch.setattr("replora.ui.inside.experts.form.square_apart", reader)
    test = upload(visit(run="recorded:fashion"), "mine.png", png((300, 200)))
    test.run()
    assert read == [png((300, 200))]
    assert "Your picture" in said(test)


def test_a_picture_of_ones_own_is_answered(visit, engine):
    test = upload(visit(run="recorded:fashion"), "mine.png", png((300, 200)))
    assert not test.exception
    assert engine.asked[-1]["example"]["picture"]
    assert "Your picture" in said(test)
    assert "square" in said(test)


@pytest.mark.parametrize(
    "data", [b"not a picture", png((300, 200))[:200], b""], ids=["no picture", "truncated", "empty"]
)
def test_a_picture_that_is_none_is_refused_and_the_example_before_stays(visit, engine, data):
    test = upload(visit(run="recorded:fashion"), "mine.png", data)
    assert not test.exception
    assert len(test.warning) == 1
    assert "Test example 0" in said(test)


def test_no_answer_is_a_sentence(visit, engine):
    engine.problem = "The process that answers crashed with signal 11 (SIGSEGV)."
    test = visit()
    assert warned(test) == [engine.problem]


def test_the_model_as_it_was_can_stand_beside(visit, engine):
    test = visit()
    test.multiselect[0].set_value([-1, 2]).run()
    assert not test.exception
    assert engine.asked[-1]["runs"] == [-1, 2, 0, 1]


def test_the_page_ends_with_what_was_seen_at_the_chosen_runs(visit, engine):
    test = visit()
    seen = [each for each in (html.proto.body for html in test.get("html")) if "In this example" in each]
    assert len(seen) == 1
    assert "LoRA moves outputs by" in seen[0]
    assert "RepLoRA moves outputs by" in seen[0]
    test.multiselect[0].set_value([2]).run()
    assert said(test).count("moves outputs by") == 1


def test_the_first_race_that_is_picked_is_shown_and_known_again(visit, engine):
    test = visit()
    test.selectbox[0].set_value("recorded:emoji").run()
    assert not test.exception
    assert test.selectbox[0].value == "recorded:emoji"
    assert engine.asked[-1]["folder"].endswith("lens_emoji")
    assert test.query_params["run"] == "recorded:emoji"


def test_a_run_whose_snapshots_are_gone_is_one_sentence(visit, engine, monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "folder", lambda job: tmp_path / "gone")
    assert warned(visit(run="ownrace1")) == [
        "This run has nothing left to look into: it was deleted, or is one of many older ones."
    ]


@pytest.mark.parametrize("told", ["x", None, [1], {"a": 1}, float("nan"), float("inf"), True])
def test_a_slider_takes_nothing_but_numbers_from_a_browser(told):
    assert _within(told, 3.0, 0.0, 10.0) == 3.0
    assert _within(99, 3.0, 0.0, 10.0) == 10.0
