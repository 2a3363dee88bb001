"""Figures of a race: valid Vega-Lite, a spec that stays the same, and the marks that a class must see."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from valid_figures import assert_vega_lite, schema_errors

from replora.config import Race, RaceOptions
from replora.csv_text import rows_csv
from replora.events import Event
from replora.figures.figure import Figure
from replora.figures.race.curves import Curve, differences, mean_points, thinned, trailing_mean, with_crossings
from replora.figures.race.drawing import seeds_of
from replora.figures.race.figures import PlottedRace, race_figures
from replora.figures.race.table import number_rows
from replora.figures.scales import apart, nice_ceiling
from replora.figures.style import STYLES

DEFAULT = RaceOptions().race()


def figures(events: Sequence[Event], spec: Race = DEFAULT, **facts: Any) -> dict[str, Figure]:
    return {each.key: each for each in race_figures(PlottedRace(spec, events, **facts))}


def texts(figure: Figure, *roles: str) -> list[str]:
    return [row["text"] for row in figure.data["texts"] if row["role"] in roles]


def rows(figure: Figure, role: str) -> list[dict[str, Any]]:
    return [row for row in figure.data["lines"] if row["role"] == role]


@pytest.mark.parametrize("lines", [0, 1, 5, None])
def test_every_figure_is_valid_vega_lite_from_the_empty_case_on(told: Any, lines: int | None) -> None:
    for figure in figures(told(DEFAULT, lines)).values():
        assert_vega_lite(figure)
        names = {layer["data"]["name"] for layer in figure.spec["layer"] if "name" in layer["data"]}
        assert names == set(figure.data)


def test_the_empty_case_is_drawn_with_axes_and_a_sentence() -> None:
    for figure in figures([], message="Press Play").values():
        assert [row["x"] for row in figure.data["frame"]] == [0, 100]
        assert texts(figure, "message") == ["Press Play"]


def test_no_sentence_lies_over_grey_curves_and_what_will_never_come_is_said_beside_the_title(told: Any) -> None:
    before, alone = told(DEFAULT), RaceOptions(methods=("lora",)).race()
    waiting = figures([], earlier=[before], message="First evaluation after step 10")
    assert [figure for figure in waiting.values() if texts(figure, "message")] == []
    assert waiting["difference"].unit == "percentage points of test accuracy"
    never = figures(told(alone, 1), alone, earlier=[before])["difference"]
    assert texts(never, "message") == []
    assert never.unit == "percentage points of test accuracy; needs both methods"
    assert texts(figures(told(alone, 1), alone)["difference"], "message") == ["Needs both methods"]


def test_a_spec_does_not_change_while_a_race_runs(told: Any) -> None:
    events = told(DEFAULT, rates={40: 3e-3}, diverge={1: 60})
    early = figures(events[:1])
    for lines in (2, 30, 60, len(events)):
        for key, figure in figures(events[:lines]).items():
            assert figure.spec == early[key].spec
            assert figure.description == early[key].description


def test_the_steps_reach_from_zero_to_the_last_from_the_first_point_on(told: Any) -> None:
    for figure in figures(told(DEFAULT, 2)).values():
        assert [row["x"] for row in figure.data["frame"]] == [0, DEFAULT.steps]


def test_several_seeds_give_a_thin_line_each_and_one_mean(told: Any, three_seeds: Race) -> None:
    figure = figures(told(three_seeds), three_seeds)["accuracy"]
    assert len({row["line"] for row in rows(figure, "faint")}) == 9
    assert {row["line"] for row in rows(figure, "main")} == {"lora", "replora", "head"}
    assert sorted(texts(figure, "label")) == ["Head only", "LoRA", "RepLoRA"]


def test_a_rate_change_is_marked_with_the_new_rate(told: Any) -> None:
    for figure in figures(told(DEFAULT, rates={40: 3e-3})).values():
        assert [row["x"] for row in figure.data["rules"] if row["role"] == "change"] == [40]
        assert texts(figure, "note", "aside") == ["rate 0.003"]


def test_a_diverged_run_is_drawn_to_its_end_and_named(told: Any) -> None:
    found = figures(told(DEFAULT, diverge={1: 42}))
    for key in ("accuracy", "loss", "norm"):
        assert "RepLoRA diverged" in texts(found[key], "label")
        cross = [row for row in found[key].data["points"] if row["role"] == "lost"]
        assert [row["series"] for row in cross] == ["replora"]
    for figure in found.values():
        assert [row["x"] for row in figure.data["rules"] if row["role"] == "x"] == [42]
    assert max(row["x"] for row in rows(found["loss"], "main") if row["series"] == "replora") == 42
    assert max(row["x"] for row in rows(found["loss"], "main") if row["series"] == "lora") == 100
    assert texts(found["difference"], "message") == ["No pair of runs is left"]
    assert texts(found["difference"], "note", "aside") == ["RepLoRA diverged"]


def test_a_diverged_seed_is_left_out_of_the_mean(told: Any, three_seeds: Race) -> None:
    place = next(i for i, run in enumerate(three_seeds.runs) if run.method.name == "replora" and run.seed == 2)
    figure = figures(told(three_seeds, diverge={place: 55}), three_seeds)["accuracy"]
    last = [row["y"] for row in rows(figure, "main") if row["line"] == "replora" and row["x"] == 30]
    ours = [row["y"] for row in rows(figure, "faint") if row["line"] in ("replora 0", "replora 1")]
    assert min(ours) <= last[0] <= max(ours)
    assert texts(figure, "low note", "low aside") == ["seed 2 diverged"]


def test_seeds_that_diverge_together_have_a_text_a_method_and_none_on_another(told: Any, three_seeds: Race) -> None:
    lost = {place: 40 + place for place in range(len(three_seeds.runs))}
    found = figures(told(three_seeds, diverge=lost), three_seeds)
    for key in ("accuracy", "loss", "norm"):
        said = [row for row in found[key].data["texts"] if row["role"] in ("low note", "low aside")]
        crosses = [row["series"] for row in found[key].data["points"] if row["role"] == "lost"]
        assert sorted(row["series"] for row in said) == sorted(set(crosses))
        assert len(crosses) == 3 * len(said) >= 6
        assert {row["text"] for row in said} == {"seeds 0, 1 and 2 diverged"}
        low, high = (row["y"] for row in found[key].data["frame"])
        heights = sorted(row["y"] for row in said)
        assert all(above - below >= 0.099 * (high - low) for below, above in pairwise(heights))
    told_once = texts(found["difference"], "note", "aside")
    assert {"LoRA diverged, seeds 0, 1 and 2", "RepLoRA diverged, seeds 0, 1 and 2"} <= set(told_once)
    assert len(told_once) == len(set(told_once)) <= 3
    assert seeds_of([Curve("lora", seed, ()) for seed in range(4)]) == "4 seeds"


def test_earlier_races_lie_grey_behind_and_end_where_the_steps_end(told: Any, halved: Race) -> None:
    for figure in figures(told(halved, 20), halved, earlier=[told(DEFAULT)]).values():
        earlier = rows(figure, "earlier")
        assert earlier
        assert max(row["x"] for row in earlier) <= 50
        layer = next(each for each in figure.spec["layer"] if "'earlier'" in str(each.get("transform")))
        assert layer["encoding"]["color"] == {"value": "gray"}


def test_recorded_races_say_so_in_every_picture(told: Any) -> None:
    for figure in figures(told(DEFAULT), recorded=True).values():
        assert texts(figure, "stamp") == ["recorded"]


def test_the_difference_has_a_zero_line_and_needs_both_methods(told: Any) -> None:
    alone = RaceOptions(methods=("lora",)).race()
    figure = figures(told(alone), alone)["difference"]
    assert texts(figure, "message") == ["Needs both methods"]
    assert [(row["role"], row["y"]) for row in figure.data["rules"]] == [("zero", 0.0)]
    low, high = (row["y"] for row in figure.data["frame"])
    assert low == -high


def test_exact_values_are_there_to_hover(told: Any) -> None:
    events = told(DEFAULT)
    found = figures(events)
    assert found["loss"].data["hover"][9] == {"x": 10, "lora": events[10].losses[0], "replora": events[10].losses[1]}
    assert [row["x"] for row in found["accuracy"].data["hover"]] == list(range(10, 101, 10))
    tooltip = found["loss"].spec["layer"][-1]["encoding"]["tooltip"]
    assert [each["title"] for each in tooltip] == ["step", "LoRA", "RepLoRA"]


def test_a_method_differs_in_colour_and_dash_and_shape() -> None:
    for facts in zip(*[(each.color, each.dash, each.shape) for each in STYLES.values()], strict=True):
        assert len(set(facts)) == len(STYLES)


def test_a_run_that_explodes_does_not_flatten_the_others(told: Any) -> None:
    events = told(DEFAULT, diverge={1: 42})
    wild = [
        each
        if type(each).__name__ != "Step" or each.step != 41
        else type(each)(each.step, each.seconds, (1.0, 1e9), (2.0, 1e9), each.learning_rates)
        for each in events
    ]
    found = figures(wild)
    assert found["loss"].data["frame"][1]["y"] <= 10
    assert found["norm"].data["frame"][1]["y"] <= 20


def test_means_and_differences_by_hand() -> None:
    curves = [
        Curve("lora", 0, ((1, 2.0), (2, 4.0))),
        Curve("replora", 0, ((1, 3.0), (2, 3.0))),
        Curve("replora", 1, ((1, 9.0),)),
    ]
    assert mean_points(curves[1:]) == [(1, 6.0), (2, 3.0)]
    assert differences(curves) == [Curve("replora", 0, ((1, 1.0), (2, -1.0)))]
    assert trailing_mean([(1, 1.0), (2, 3.0), (3, 5.0)], 2) == [(1, 1.0), (2, 2.0), (3, 4.0)]
    assert with_crossings([(0, 1.0), (10, -1.0)]) == [(0, 1.0), (5.0, 0.0), (10, -1.0)]


def test_thinning_keeps_the_last_point() -> None:
    points = [(step, 0.0) for step in range(1, 1002)]
    kept = thinned(points, 300)
    assert len(kept) <= 301
    assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_labels_are_moved_apart_in_order() -> None:
    placed = apart({"a": 0.5, "b": 0.51, "c": 1.2}, gap=0.1)
    assert placed["a"] + 0.1 <= placed["b"] + 1e-9 <= placed["c"] + 1e-9 <= 1.0


@pytest.mark.parametrize(("value", "expected"), [(2.3, 2.5), (10, 10), (0.061, 0.08), (99, 100)])
def test_nice_ceiling(value: float, expected: float) -> None:
    assert nice_ceiling(value) == pytest.approx(expected)


def test_the_numbers_hold_what_the_events_hold(told: Any) -> None:
    events = told(DEFAULT, diverge={1: 42})
    every, evaluated = number_rows(events), number_rows(events, evaluations_only=True)
    assert [row["step"] for row in every] == list(range(1, 101))
    assert [row["step"] for row in evaluated] == list(range(10, 101, 10))
    assert every[0]["LoRA, training loss"] == events[1].losses[0]
    assert every[-1]["RepLoRA, training loss"] is None
    lines = rows_csv(every).splitlines()
    assert len(lines) == 101
    assert lines[0].startswith('step,seconds,"LoRA, test accuracy (%)"')
    assert number_rows([]) == []
    assert rows_csv([]) == ""


@pytest.mark.parametrize("layer", [{"mark": "nonsense"}, {"mark": "line", "encodnig": {}}])
def test_what_is_no_vega_lite_is_found_out(layer: dict[str, Any]) -> None:
    assert not schema_errors({"layer": [{"mark": "line"}]})
    assert schema_errors({"layer": [layer]})
