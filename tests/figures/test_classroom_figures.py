"""Pictures of a class: valid from the empty case on, one spec as seats finish, and large enough for the last row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from valid_figures import assert_drawn

from replora.figures.classroom.expected import Expected, expected_figure
from replora.figures.classroom.histogram import BINS, differences_figure
from replora.figures.enlarged import LEAST_TEXT, enlarged
from replora.figures.figure import Figure
from replora.figures.marks import CROSS
from replora.statistics.intervals import t_interval

CLASSES: dict[str, Mapping[int, float]] = {
    "nobody": {},
    "one": {1: 2.3},
    "two apart": {1: -40.0, 2: 55.0},
    "all level": dict.fromkeys(range(1, 6), 0.0),
    "thirty": {seed: 3 * math.sin(seed) + 1 for seed in range(1, 31)},
}


def picture(found: Mapping[int, float]) -> Figure:
    return differences_figure(found, t_interval(list(found.values())))


def bricks(figure: Figure) -> Sequence[dict[str, Any]]:
    return figure.data["bands"]


@pytest.mark.parametrize("found", CLASSES.values(), ids=CLASSES)
def test_the_histogram_is_valid_and_has_one_brick_a_seed_in_its_bin(found: Mapping[int, float]) -> None:
    figure = picture(found)
    assert_drawn(figure)
    assert len(bricks(figure)) == len(found)
    for brick in bricks(figure):
        seed = int(brick["tip"].split()[1].rstrip(":"))
        width = (brick["x2"] - brick["x"]) / 0.96
        assert brick["x"] - 0.02 * width - 1e-9 <= found[seed] <= brick["x2"] + 0.02 * width + 1e-9
    left, right = (row["x"] for row in figure.data["frame"])
    assert all(left <= brick["x"] and brick["x2"] <= right for brick in bricks(figure))


def test_no_two_bricks_lie_on_each_other_and_bins_are_few() -> None:
    places = [(brick["x"], brick["y"]) for brick in bricks(picture(CLASSES["thirty"]))]
    assert len(set(places)) == len(places)
    assert len({x for x, _ in places}) <= BINS + 1


def test_the_mean_and_its_interval_stand_above_the_bricks() -> None:
    found = CLASSES["thirty"]
    figure, interval = picture(found), t_interval(list(found.values()))
    assert interval
    (span,) = figure.data["spans"]
    assert (span["x"], span["x2"]) == (interval.low, interval.high)
    (mean,) = figure.data["points"]
    assert mean["x"] == interval.mean
    assert mean["y"] > max(brick["y2"] for brick in bricks(figure))


def test_equal_differences_have_no_interval_to_brag_with() -> None:
    assert not picture(CLASSES["all level"]).data["spans"]
    assert "95 %" not in str(picture(CLASSES["all level"]).data["texts"])


def test_what_diverged_is_said() -> None:
    assert "2 diverged" in differences_figure({1: 1.0}, None, 2).unit


def test_a_spec_does_not_change_as_seats_finish() -> None:
    specs = [picture(found).spec for found in CLASSES.values()]
    assert all(spec == specs[0] for spec in specs)


def test_expectations_are_drawn_held_or_missed() -> None:
    found = [Expected(1, -1, 3, 2.0), Expected(2, -1, 3, 4.0)]
    for shown in ([], found[:1], found):
        assert_drawn(expected_figure(shown))
    figure = expected_figure(found)
    assert [(row["role"], row["x"]) for row in figure.data["points"]] == [("dot", 2.0), ("cross", 4.0)]
    assert figure.spec == expected_figure([]).spec


@pytest.mark.parametrize("large", [False, True], ids=["page", "projector"])
def test_the_legend_of_expectations_is_what_is_drawn(large: bool) -> None:
    """A hit is a filled circle, a miss an open cross: what the legend has in front of each."""
    figure = expected_figure([Expected(1, -1, 3, 2.0), Expected(2, -1, 3, 4.0)])
    layers = {
        each["transform"][0]["filter"].split("'")[1]: each
        for each in (enlarged(figure.spec) if large else figure.spec)["layer"]
        if each["data"]["name"] == "points"
    }
    shapes = layers["dot"]["encoding"]["shape"]["scale"]
    (series,) = {row["series"] for row in figure.data["points"]}
    assert dict(zip(shapes["domain"], shapes["range"], strict=True))[series] == "circle"
    assert layers["dot"]["mark"]["filled"]
    assert layers["cross"]["encoding"]["shape"] == CROSS
    assert not layers["cross"]["mark"]["filled"]
    assert "\u25cf held what came, \u2715 missed it" in figure.unit


def sizes(value: Any) -> list[float]:
    if isinstance(value, dict):
        own = [each for name, each in value.items() if name.lower().endswith("fontsize")]
        return [*own, *(size for each in value.values() for size in sizes(each))]
    return [size for each in value for size in sizes(each)] if isinstance(value, list) else []


@pytest.mark.parametrize("figure", [picture(CLASSES["thirty"]), expected_figure([])], ids=["histogram", "expected"])
def test_on_a_projector_no_text_is_small(figure: Figure) -> None:
    large = enlarged(figure.spec)
    assert_drawn(replace(figure, spec=large))
    assert sizes(large)
    assert min(sizes(large)) >= LEAST_TEXT > min(sizes(figure.spec))
