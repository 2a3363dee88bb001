"""Figures of the theory pages: valid Vega-Lite, a spec that stays the same, the empty case, and what must be seen."""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from valid_figures import assert_drawn

from replora.csv_text import rows_csv
from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.plot_table import plot_rows
from replora.figures.scales import decades
from replora.figures.theory.rates import histogram_figure, rates_figures, slope_text
from replora.figures.theory.splits import split_figures
from replora.simulation.events import TheoryEvent, from_line, to_line
from replora.simulation.job import monte_carlo_lines, run_monte_carlo
from replora.simulation.specs import MonteCarlo, Split
from replora.simulation.splits import moment
from replora.ui.theory.identifiability import curves_of
from replora.ui.theory.rates.pictures import plotted_rates, quantity_for, sizes
from replora.wording import power_of_ten, short_count

QUICK = MonteCarlo(sharings=("plain", "shared", "tanh"), replicates=6, n_grid=(10**5, 10**7))


@cache
def ran(spec: MonteCarlo) -> tuple[TheoryEvent, ...]:
    return tuple(run_monte_carlo(spec))


@cache
def curves(tied: Any = "shared") -> Any:
    return curves_of(tied, (1.0, 0.0), 0.5)


def splits(delta: float, tied: Any = "shared") -> dict[str, Figure]:
    split = Split(delta=delta, tied=tied)
    return {each.key: each for each in split_figures(curves(tied), moment(split))}


def rates(spec: MonteCarlo, events: Any, **facts: Any) -> dict[str, Figure]:
    picture = plotted_rates(spec, events, facts.pop("quantity", "doubled_cell"), 10**7, **facts)
    return {each.key: each for each in rates_figures(picture)}


@pytest.mark.parametrize("delta", [0.0, 0.0005, 0.6, 1.5])
@pytest.mark.parametrize("tied", ["shared", "tanh"])
def test_split_figures_are_valid_and_only_their_data_move(delta: float, tied: str) -> None:
    found, other = splits(delta, tied), splits(0.3, tied)
    assert len(found) == 8
    for key, figure in found.items():
        assert_drawn(figure)
        assert figure.spec == other[key].spec
        assert figure.description == other[key].description


def test_plain_is_flat_and_shared_a_bowl() -> None:
    rows = [row for row in splits(1.0)["bowl"].data["lines"] if row["role"] == "main"]
    assert max(row["y"] for row in rows if row["series"] == "plain") < 1e-24
    shared = {round(row["x"], 6): row["y"] for row in rows if row["series"] == "shared"}
    assert shared[1.5] == shared[-1.5] == max(shared.values()) > 1
    texts = [row["text"] for row in splits(1.0)["exponent"].data["texts"]]
    assert "Shared: exponent 2.00, of the loss 4.00" in texts


def test_plain_has_no_finite_n_and_arbitrary_constants_say_so() -> None:
    texts = " ".join(row["text"] for row in splits(1.0)["samples"].data["texts"])
    assert "no finite n" in texts
    assert "constants arbitrary" in texts
    spectrum = splits(1.0)["fisher"].data["lines"]
    assert len({row["line"] for row in spectrum if row["series"] == "plain"}) == 12
    assert {row["y"] for row in spectrum if row["line"] in ("plain 0", "plain 1")} == {1e-14}


def test_atoms_move_by_delta_and_plain_keeps_its_queries() -> None:
    points = splits(0.5)["atoms_plain"].data["points"]
    values = [(row["x"], row["y"]) for row in points if row["role"] == "now"]
    queries = [(row["x"], row["y"]) for row in points if row["role"] == "ring"]
    assert values == [(0.5, 1.5), (-0.5, 1.5), (-2.0, 0.5)]
    assert queries == [(0.0, 1.5), (0.0, 1.5), (-2.0, 0.5)]


def test_gates_of_plain_stay_where_they_are() -> None:
    assert "largest change 0" in splits(1.0)["gates_plain"].unit
    assert "largest change 0." in splits(1.0)["gates_tied"].unit


@pytest.mark.parametrize("told", range(8))
def test_rates_figures_are_valid_from_the_empty_case_on(told: int) -> None:
    whole = rates(QUICK, ran(QUICK))
    for key, figure in rates(QUICK, ran(QUICK)[:told], message="Press Run live").items():
        assert_drawn(figure)
        texts = [row["text"] for row in figure.data["texts"] if row["role"] == "message"]
        assert texts == (["Press Run live"] if told < 2 else []), key
        if key != "plane":
            assert figure.spec == whole[key].spec


def test_measured_and_theory_are_told_apart_and_recorded_says_so() -> None:
    found = rates(QUICK, ran(QUICK), recorded=True)
    texts = [row["text"] for row in found["parameter"].data["texts"]]
    assert "theory \u2212\u00bc" in texts
    assert {row["line"] for row in found["parameter"].data["lines"] if row["role"] == "theory"} == {
        "theory shared",
        "theory tanh",
    }
    for figure in found.values():
        assert [row["text"] for row in figure.data["texts"] if row["role"] == "stamp"] == ["recorded"]


def test_the_quarter_belongs_to_the_doubled_cell_and_an_untied_truth_has_a_floor() -> None:
    whole = rates(QUICK, ran(QUICK), quantity="D_1")["parameter"]
    assert {row["line"] for row in whole.data["lines"] if row["role"] == "theory"} == set()
    untied = MonteCarlo(sharings=("plain", "shared"), atoms=2, eta=0.1, replicates=3, n_grid=(10**5, 10**7))
    found = rates(untied, ran(untied))
    assert [row["series"] for row in found["prediction"].data["rules"]] == ["shared"]
    assert found["prediction"].data["rules"][0]["y"] == pytest.approx(0.0317, abs=0.0005)
    assert quantity_for("doubled_cell", ran(untied)) == "D_1"


def test_a_histogram_holds_all_replicates() -> None:
    bars = rates(QUICK, ran(QUICK))["histogram"].data["bands"]
    for sharing in QUICK.sharings:
        assert sum(row["y2"] for row in bars if row["series"] == sharing) == pytest.approx(100)


@pytest.mark.parametrize("centre", [(0.01, 0.02, 0.013), (0.01, 0.01, 0.5), (0.3, 0.1, 0.2)])
def test_names_of_peaks_that_stand_close_lie_above_each_other(centre: tuple[float, ...]) -> None:
    picture = plotted_rates(QUICK, ran(QUICK), "D_1", 10**7)
    clouds = {
        name: dataclasses.replace(cloud, d1=tuple(at * (1 + 0.05 * place) for place in range(-3, 4)))
        for (name, cloud), at in zip(picture.clouds.items(), centre, strict=True)
    }
    figure = histogram_figure(dataclasses.replace(picture, clouds=clouds))
    assert_drawn(figure)
    left, right = (math.log10(each["x"]) for each in figure.data["frame"])
    roof = figure.data["frame"][1]["y"]
    names = [
        ((math.log10(row["x"]) - left) / (right - left), row["y"] / roof)
        for row in figure.data["texts"]
        if row["role"] == "above"
    ]
    for (x, y), (other_x, other_y) in itertools.combinations(names, 2):
        assert abs(x - other_x) > 0.19 or abs(y - other_y) > 0.11
    assert all(y < 0.99 - 0.05 for _, y in names)


def test_events_survive_the_way_through_lines_and_come_n_by_n() -> None:
    spec = dataclasses.replace(QUICK, replicates=2)
    lines = list(monte_carlo_lines(spec.to_dict(), lambda: None, Path()))
    events = [from_line(line) for line in lines]
    assert [to_line(each) for each in events] == lines
    assert [type(each).__name__ for each in events] == ["MonteCarloStarted", *["Estimated"] * 6, "MonteCarloFinished"]
    assert sizes(events[:3]) == [10**5]
    assert sizes(events) == [10**5, 10**7]


def test_numbers_of_every_figure_as_rows_and_csv() -> None:
    for figure in [*splits(0.6).values(), *rates(QUICK, ran(QUICK)).values()]:
        rows = plot_rows(figure)
        text = rows_csv(rows)
        assert text.count("\n") == len(rows) + 1
        assert {"drawn as", "of", "x", "y"} <= set(rows[0])
    assert rows_csv([]) == ""


def test_axes_and_names() -> None:
    assert decades(1e-3, 1.5) == [1e-3, 1e-2, 1e-1, 1.0]
    assert len(decades(1e-34, 1e2)) <= 7
    assert power_of_ten(-12) == "10\u207b\u00b9\u00b2"
    assert [short_count(n) for n in (200, 10**8, 31_600)] == ["200", "10\u2078", "3.2\u00b710\u2074"]
    assert slope_text(-0.004) == "0.00"
    plot = Plot((1, 100), (0, 1), ("main",), Axis(log=True))
    assert plot.share(0.5, 0.25) == pytest.approx((10, 0.25))
