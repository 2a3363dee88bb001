"""The norm of delta_weight against the step, RepLoRA's over LoRA's, and the time of merged models, as figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic_inside import synthetic_merge

from replora.config import Method, Race, RaceOptions, Run
from replora.figures.export import png_bytes
from replora.figures.figure import Figure
from replora.figures.inside.latency import latency_figure
from replora.figures.inside.update_norms import norm_ratio_figure, norm_ratios, norm_sentence, update_norm_figures
from replora.figures.race.curves import curves, delta_norms
from replora.figures.race.figures import PlottedRace


def drawn(figure: Figure, name: str, role: str) -> list[dict[str, Any]]:
    return [row for row in figure.data[name] if row["role"] == role]


def test_the_ratio_is_replora_over_lora_seed_by_seed(three_seeds: Race, told: Any) -> None:
    events = told(three_seeds)
    found = norm_ratios(curves(events, delta_norms))
    assert [each.seed for each in found] == [0, 1, 2]
    for curve in found:
        assert curve.points[5][1] == pytest.approx((1.6 + 0.05 * curve.seed) / (1.0 + 0.05 * curve.seed))
    figure = norm_ratio_figure(PlottedRace(three_seeds, events))
    assert len({row["line"] for row in drawn(figure, "lines", "faint")}) == 3
    assert drawn(figure, "lines", "main")
    assert [row["text"] for row in drawn(figure, "texts", "label")] == ["\u00d7 1.0"]  # all have come to an end
    assert [row["y"] for row in drawn(figure, "rules", "zero")] == [1.0]


def test_the_last_line_says_how_far_both_have_gone_and_what_they_got_right(three_seeds: Race, told: Any) -> None:
    events = told(three_seeds)
    said = norm_sentence(PlottedRace(three_seeds, events))
    assert said.startswith(
        f"After {three_seeds.steps} steps RepLoRA's delta_weight is 1.0 times LoRA's, 3 seeds; at the"
    )
    assert "RepLoRA had 80.0 % right and LoRA 80.0 %." in said
    assert norm_sentence(PlottedRace(three_seeds, events[:1])) == ""


def test_both_figures_are_drawn_with_a_mark_where_the_rate_changed(three_seeds: Race, told: Any) -> None:
    picture = PlottedRace(three_seeds, told(three_seeds, rates={40: 3e-3}), recorded=True)
    norms, ratio = update_norm_figures(picture)
    assert [each.key for each in (norms, ratio)] == ["norm", "norm_ratio"]
    for figure in (norms, ratio):
        assert [row["x"] for row in drawn(figure, "rules", "change")] == [40]
        assert drawn(figure, "texts", "stamp")
        assert len(figure.description) > 60
        assert png_bytes(figure).startswith(b"\x89PNG")


def test_nothing_measured_and_one_method_alone_are_said(three_seeds: Race, told: Any) -> None:
    empty = norm_ratio_figure(PlottedRace(three_seeds))
    assert [row["text"] for row in drawn(empty, "texts", "message")] == ["Nothing measured yet"]
    alone = RaceOptions(methods=("replora",)).race()
    figures = update_norm_figures(PlottedRace(alone, told(alone)))
    assert not drawn(figures[0], "texts", "message")
    assert [row["text"] for row in drawn(figures[1], "texts", "message")] == ["Needs both methods"]
    for figure in (empty, *figures):
        assert png_bytes(figure)


def test_a_diverged_run_has_no_ratio(told: Any) -> None:
    race = RaceOptions().race()
    figure = norm_ratio_figure(PlottedRace(race, told(race, diverge={1: 30})))
    assert [row["text"] for row in drawn(figure, "texts", "message")] == ["No pair of runs is left"]
    assert not drawn(figure, "lines", "main")


def test_the_unit_says_whether_the_rates_are_one(three_seeds: Race) -> None:
    assert norm_ratio_figure(PlottedRace(three_seeds)).unit == "one learning rate, 0.0003"
    lora = Run(method=Method(name="lora"), learning_rate=1e-3)
    apart = replace(three_seeds, runs=(lora, Run(method=Method(name="replora"))))
    assert norm_ratio_figure(PlottedRace(apart)).unit == "their learning rates differ"


def test_latency_has_a_bar_and_quartiles_each_or_says_that_nothing_is_measured() -> None:
    merge = synthetic_merge()
    figure = latency_figure(merge)
    assert [row["y2"] for row in figure.data["bands"]] == [11.0, 12.5, 11.1]
    assert [(row["y"], row["y2"]) for row in figure.data["spans"]] == [
        (float(low), float(high)) for low, high in synthetic_merge().quartiles
    ]
    assert "9 passes" in figure.unit
    empty = latency_figure(None)
    assert [row["text"] for row in empty.data["texts"] if row["role"] == "message"] == ["Nothing measured yet"]
    assert png_bytes(figure)
    assert png_bytes(empty)
