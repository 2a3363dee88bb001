"""The Landscape page, run headless: coarse first, only what is new is asked, sentences from what is measured, links."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, FakeJob
from open_pages import html, open_page, query, said
from present import present
from streamlit.testing.v1 import AppTest
from synthetic_landscape import AT_ONCE, loss, synthetic_landscape
from synthetic_runs import write_recording

from replora.config import RaceOptions
from replora.events import to_line
from replora.figures.inside.landscape import (
    CORNERS,
    LEVELS,
    PlottedLandscape,
    Snapshot,
    finest,
    grid,
    height_at,
    landscape_sentences,
    landscape_surface,
)
from replora.figures.surface import plotly_figure
from replora.jobs.engine import JobState
from replora.lens.questions import LATEST, LandscapeQuestion
from replora.methods import MethodName
from replora.ui.inside import race_picker as pick_race

Open = Callable[..., AppTest]


def answered(question: Mapping[str, Any]) -> Mapping[str, Any]:
    asked = LandscapeQuestion.from_dict(json.loads(json.dumps(dict(question))))
    plain: dict[str, Any] = json.loads(json.dumps(synthetic_landscape(asked).to_dict()))
    return plain


@pytest.fixture
def asked(connect: Callable[..., FakeEngine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Any) -> FakeEngine:
    """The app talks to this engine and has two recorded races: of both methods, and of LoRA alone."""
    races: dict[str, tuple[MethodName, ...]] = {"digits": ("head", "lora", "replora"), "emoji": ("lora",)}
    for task, methods in races.items():
        folder = tmp_path / "recorded" / f"lens_{task}"
        folder.mkdir(parents=True)
        write_recording(folder / "events.jsonl.gz", map(to_line, told(RaceOptions(task=task, methods=methods).race())))
    monkeypatch.setattr(pick_race, "ASSETS", tmp_path)
    return connect(FakeEngine(answered))


@pytest.fixture
def app(asked: FakeEngine) -> Open:
    return partial(open_page, "landscape")


def questions(engine: FakeEngine) -> list[LandscapeQuestion]:
    return [LandscapeQuestion.from_dict(json.loads(json.dumps(dict(each)))) for each in engine.asked]


@pytest.mark.parametrize("warm", [False, True])
def test_it_is_measured_coarse_first_and_each_point_once(app: Open, asked: FakeEngine, warm: bool) -> None:
    test = app(warm=warm)
    assert not test.exception
    assert not said(test)
    assert questions(asked)[0].points[:3] == CORNERS
    assert {each.runs for each in questions(asked)} == {(1, 2)}
    assert [each.step for each in questions(asked)[:2]] == [LATEST, 100]
    for _ in range(20):
        if "All of 17" in html(test):
            break
        test.run()
    assert "All of 17 \u00d7 17 points are measured." in html(test)
    new = [each.points[:AT_ONCE] for each in questions(asked)]
    assert sorted(sum(new, ())) == sorted(grid(17))
    assert [len(each) for each in new] == [25, 40, 16, 40, 40, 40, 40, 40, 8]
    (surface,) = test.get("plotly_chart")
    assert len(surface.proto.alt) > 60
    page = html(test)
    assert f"{loss(1, 0):.3f}" in page
    assert "the race&#x27;s own evaluation: " in page or "the race's own evaluation: " in page
    before = len(asked.asked)
    test.run()  # all is known: nothing is asked any more
    assert len(asked.asked) == before
    assert query(test) == {"run": "recorded:digits"}


def test_a_race_without_both_is_a_sentence(app: Open, asked: FakeEngine) -> None:
    test = app(run="recorded:emoji")
    assert not test.exception
    assert said(test) == ["A plane takes a LoRA and a RepLoRA run, and this race has not both; choose another one."]
    assert not asked.asked


def test_a_run_beyond_the_last_is_said(app: Open) -> None:
    assert said(app(place="7")) == ["place must be at most 1 in this race, got 7. The last one is shown instead."]


def test_no_answer_is_a_sentence_and_can_be_asked_for_again(app: Open, asked: FakeEngine) -> None:
    asked.problem = "The models were not ready."
    test = app()
    assert not test.exception
    assert said(test) == [asked.problem]
    asked.problem = ""
    test.button(key="landscape.again").click().run()
    assert not said(test)
    assert test.get("plotly_chart")


def test_a_race_that_goes_on_keeps_its_plane_until_it_is_laid_anew(
    app: Open, asked: FakeEngine, tmp_path: Path
) -> None:
    spec = RaceOptions(methods=("lora", "replora"), steps=100).race().to_dict()
    job = asked.submit("race", spec)
    running: FakeJob = asked.jobs[job]
    running.told, running.folder = len(running.script) - 30, tmp_path

    def early(question: Mapping[str, Any]) -> Mapping[str, Any]:
        found = LandscapeQuestion.from_dict(json.loads(json.dumps(dict(question))))
        plain: dict[str, Any] = json.loads(json.dumps(synthetic_landscape(found, step=30).to_dict()))
        return plain

    asked.answer = early
    test = app(run=job)
    assert not test.exception
    assert "This is the plane after step 30; the race has gone on to step" in html(test)
    assert test.button(key="landscape.anew")
    running.told, running.state = len(running.script), JobState.FINISHED
    asked.answer = answered
    test.run()
    assert "This is the plane after step" not in html(test)
    assert [each.step for each in questions(asked)].count(LATEST) == 2
    assert "after step 100" in html(test)


def picture(level: int, **facts: Any) -> PlottedLandscape:
    ways = [Snapshot(0, (0.0, 0.0), 0.0, None), Snapshot(50, (0.5, 0.1), 0.4, 1.9), Snapshot(100, (1.0, 0.0), 0.0, 1.5)]
    known = {"methods": ("lora", "replora"), "titles": ("LoRA", "RepLoRA"), "ways": (ways, ways[:1]), "examples": 300}
    return PlottedLandscape(**{**known, "losses": {point: loss(*point) for point in grid(level)}, **facts})


def test_levels_hold_each_other_and_the_corners() -> None:
    for coarse, fine in pairwise(LEVELS):
        assert len(grid(coarse)) == coarse**2
        assert set(CORNERS) <= set(grid(coarse)) <= set(grid(fine))
        assert grid(coarse)[:3] == CORNERS
    assert finest({}) == 0
    assert finest(dict.fromkeys(grid(9)[:-1], 1.0)) == (5 if grid(9)[-1] not in grid(5) else 0)


def test_the_surface_is_that_of_the_finest_whole_level_with_both_ways_on_it() -> None:
    assert landscape_surface(picture(5, losses={})) is None
    surface = present(landscape_surface(picture(9)))
    drawn = plotly_figure(surface)
    assert drawn.data[0].z.shape == (9, 9)
    assert drawn.data[0].z[2, 6] == pytest.approx(loss(1.0, 0.0))  # rows go along b
    assert (drawn.data[0].x[2, 6], drawn.data[0].y[2, 6]) == (1.0, 0.0)
    lora, replora = surface.tracks
    between = 0.6 * loss(0.5, 0.0) + 0.4 * loss(0.5, 0.25)  # on the surface, between two points of the grid
    assert [z for *_, z in lora.points] == pytest.approx([loss(0, 0), between, loss(1, 0)])
    assert [each[:2] for each in lora.points] == [(0.0, 0.0), (0.5, 0.1), (1.0, 0.0)]
    assert "its own loss 1.900" in lora.tips[1]
    assert "40 % of its update lies off the plane" in lora.tips[1]
    assert len(replora.points) == 1
    assert lora.color != replora.color
    assert [mark.point for mark in surface.marks] == [(*corner, loss(*corner)) for corner in CORNERS]
    hash(surface)


def test_a_snapshot_between_or_beyond_the_points_stands_on_the_surface() -> None:
    plane = {(a, b): 3 - a + 2 * b for a, b in grid(5)}
    assert height_at((0.3, 1.2), plane, 5) == pytest.approx(3 - 0.3 + 2.4)
    assert height_at((9.0, -9.0), plane, 5) == plane[1.5, -0.5]


def test_sentences_are_those_of_the_losses() -> None:
    assert landscape_sentences(picture(5, losses={})) == []
    ridge, lowest, off = landscape_sentences(picture(9))
    rise = max(loss(1 - t, t) - (1 - t) * loss(1, 0) - t * loss(0, 1) for t in (0.25, 0.5, 0.75))
    assert f"rises by up to {rise:.2f} above" in ridge
    least = min(grid(9), key=lambda point: loss(*point))
    assert f"a = {least[0]:g}, b = {least[1]:g} with {loss(*least):.2f}" in lowest
    assert "LoRA up to 40 %, RepLoRA up to 0 %" in off
    assert "edge" not in lowest
    flat = landscape_sentences(picture(9, losses={(a, b): 2.0 - a - b for a, b in grid(9)}))
    assert flat[0] == (
        "At none of the 3 points measured straight between LoRA and RepLoRA the loss rises by 0.005 above the line "
        "between their losses: on these examples no ridge is seen."
    )
    assert flat[1].endswith("trained to get there. Beyond this edge of the plane it may be lower still.")
