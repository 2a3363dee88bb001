"""Surfaces that one turns: what they show against formulas, one scale for what is compared, plotly only when shown."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from replora.figures.surface import CUT, Mark, Surface, Track, plotly_figure, surface_rows
from replora.figures.theory.valleys import valley_surfaces
from replora.simulation.specs import Split, Tied
from replora.simulation.splits import landscape, valley
from replora.theory import disc_setting, split_kappa, tied_truth
from replora.theory.families import TANH_SCALE

ROOT = Path(__file__).resolve().parents[2]


def excess_loss(halves: list[np.ndarray], query: list[np.ndarray]) -> float:
    """Equations 1 and 8 of docs/theory.md in plain loops; the value parts of the two halves, and their query parts."""
    second = np.array([-2.0, 0.5])
    first = np.array([0.0, 1.5])
    total = 0.0
    for x in disc_setting().inputs:

        def output(
            values: list[np.ndarray], queries: list[np.ndarray], weights: list[float], x: np.ndarray = x
        ) -> np.ndarray:
            powers = [w * math.exp(float(q @ x) * x[1]) for w, q in zip(weights, queries, strict=True)] + [1.0]
            experts = [x + value * x[0] for value in values] + [x]
            return sum(p / sum(powers) * e for p, e in zip(powers, experts, strict=True))

        split = output([*halves, second], [*query, second], [0.5, 0.5, 1.0])
        error = split - output([first, second], [first, second], [1.0, 1.0])
        total += float(error @ error)
    return total / len(disc_setting().inputs)


@pytest.mark.parametrize(("row", "column"), [(0, 24), (5, 7), (13, 24), (31, 16), (44, 3)])
def test_the_surfaces_are_the_formula(row: int, column: int) -> None:
    found, smooth = valley("shared"), valley("tanh")
    shift = np.array([found.x[row][column], found.y[row][column]])
    first = np.array([0.0, 1.5])
    halves = [first + shift, first - shift]
    assert excess_loss(halves, [first, first]) == pytest.approx(0, abs=1e-24)
    assert found.loss["plain"][row][column] == pytest.approx(0, abs=1e-24)
    assert found.loss["shared"][row][column] == pytest.approx(excess_loss(halves, halves), rel=1e-9)
    beta = TANH_SCALE * np.arctanh(first / TANH_SCALE)
    bent = [TANH_SCALE * np.tanh((beta + sign * shift) / TANH_SCALE) for sign in (1, -1)]
    assert smooth.loss["tanh"][row][column] == pytest.approx(excess_loss(bent, bent), rel=1e-9)


def test_near_its_bottom_the_bowl_is_the_expansion_of_equation_9() -> None:
    found = valley("shared")
    for row in (0, 11, 30):
        x, y = found.x[row][1], found.y[row][1]
        delta = math.hypot(x, y)
        kappa = split_kappa(disc_setting(), tied_truth(), (x, y))
        assert found.loss["shared"][row][1] == pytest.approx((kappa * delta**2) ** 2, rel=0.1)


@pytest.mark.parametrize("tied", ["shared", "tanh"])
def test_both_are_drawn_on_one_scale_with_the_cut_that_the_curves_show(tied: Tied) -> None:
    found, split = valley(tied), Split(angle=30.0, tied=tied)
    curves = landscape(tied, split.direction)
    surfaces = valley_surfaces(found, curves, split.direction)
    assert [each.title for each in surfaces] == [
        "Plain: a flat valley",
        f"{'Shared' if tied == 'shared' else 'tanh'}: a bowl",
    ]
    drawn = [plotly_figure(each).to_dict() for each in surfaces]
    scales = [
        (each["data"][0]["cmin"], each["data"][0]["cmax"], each["layout"]["scene"]["zaxis"]["range"]) for each in drawn
    ]
    assert scales[0] == scales[1]
    assert scales[0][1] >= max(map(max, found.loss[tied]))
    for surface, side in zip(surfaces, ("plain", tied), strict=True):
        (cut,) = surface.tracks
        assert cut.points[0][:2] == pytest.approx([-1.5 * each for each in split.direction])
        assert cut.points[-1][:2] == pytest.approx([1.5 * each for each in split.direction])
        hash(surface)  # drawn once for all who look
        assert [z for *_, z in cut.points[40:]] == list(curves.bowl[side])
        assert len(surface.description) > 60
        assert len(surface_rows(surface)) == 25 * 49 + 81


def test_what_is_not_known_is_left_out_and_what_one_turned_stays() -> None:
    plane = ((0.0, 1.0), (0.0, 1.0)), ((0.0, 0.0), (1.0, 1.0))
    surface = Surface(
        "key", "A plane", "unit", "text", *plane, ((0.5, None), (2.0, 9.0)), ("a", "b", "loss"), 0.0, 4.0,
        tracks=(Track("way", ((0, 0, 0.5), (1, 1, 1.0)), CUT, ("here", "there")),),
        marks=(Mark("end", (1, 1, 1.0), CUT),),
    )  # fmt: skip
    figure = plotly_figure(surface)
    np.testing.assert_array_equal(figure.data[0].z, [[0.5, np.nan], [2.0, 9.0]])
    assert figure.layout.scene.zaxis.range[1] == 4.0  # above it the scene cuts off
    assert figure.layout.uirevision == "key"
    assert [each.type for each in figure.data] == ["surface", *["scatter3d"] * 4]
    assert len(surface_rows(surface)) == 5


@pytest.mark.slow
def test_plotly_comes_with_the_first_surface_and_not_before() -> None:
    code = (
        "import sys, replora.ui.theory.identifiability, replora.ui.race.page; "
        "drawn = 'plotly.graph_objs._surface'; print(drawn in sys.modules); "
        "from replora.figures.surface import Surface, plotly_figure; grid = ((0., 1.), (0., 1.)); "
        "plotly_figure(Surface('k', 't', 'u', 'd', grid, grid, grid, ('a', 'b', 'c'), 0., 1.)); "
        "print(drawn in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
