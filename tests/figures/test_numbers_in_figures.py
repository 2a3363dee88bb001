"""Numbers in figures: thousands apart by a narrow space, as everywhere in the app."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from valid_figures import assert_vega_lite

from replora.config import RaceOptions
from replora.figures.balance import balance_figure
from replora.figures.export import svg_text
from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.race.figures import PlottedRace, metric_figure


def numbers_plot(*ticks: float) -> Figure:
    plot = Plot(
        (ticks[0], ticks[-1]),
        (0.1, 1000),
        (),
        Axis(log=True, numbers=True),
        Axis(log=True, numbers=True),
        x_ticks=ticks,
    )
    return Figure("k", "t", "u", "d", plot.spec(), plot.data())


@pytest.mark.parametrize(("value", "text"), [(16, "16"), (1024, "1\u202f024"), (1234567, "1\u202f234\u202f567")])
def test_labels_of_a_log_axis_of_numbers(value: float, text: str) -> None:
    drawn = svg_text(numbers_plot(1, value))
    labels = re.findall(r">([^<]*)</text>", drawn)
    assert text in labels
    assert not any("," in label for label in labels)


def test_a_ratio_below_one_keeps_its_point() -> None:
    assert ">0.1</text>" in svg_text(numbers_plot(1, 10))


def test_counts_in_units_and_hover_boxes() -> None:
    race = replace(RaceOptions().race(), test_examples=2000)
    assert metric_figure(PlottedRace(race)).unit == "% of 2\u202f000 test examples"
    figure = balance_figure(("a", "b"), (4000, 12), (1000, 3))
    assert_vega_lite(figure)
    told_by_bar = {(row["class"], row["split"]): row["tip"] for row in figure.data["balance"]}
    assert told_by_bar == {
        ("a", "train"): "4\u202f000",
        ("a", "test"): "1\u202f000",
        ("b", "train"): "12",
        ("b", "test"): "3",
    }
    fields = {box["field"]: box.get("title") for box in figure.spec["encoding"]["tooltip"]}
    assert fields == {"class": None, "split": None, "tip": "examples"}
