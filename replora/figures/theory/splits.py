"""The pictures of one expert split in two: excess loss, samples needed, atoms, gates, Fisher spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.style import INK_SERIES, NEUTRAL_SERIES, OTHER_SERIES, SHARING_NAMES
from replora.simulation.splits import Landscape, Moment, truth
from replora.wording import power_of_ten

Numbers = Sequence[float]
DELTA = Axis("split \u03b4", grid=False)
LOG_DELTA = Axis("split \u03b4", log=True, grid=False)
LEAST_LOSS, LEAST_EIGENVALUE = 1e-34, 1e-14
FAMILY = (3, 5, 8)  # r of the curves (1 / delta)^(2 r)


@dataclass(frozen=True)
class SplitCurves(Landscape):
    """Curves along delta, with eigenvalues at the noise chosen, and the samples that this noise asks for, by side."""

    samples: Mapping[str, Numbers]


def split_figures(curves: SplitCurves, state: Moment) -> list[Figure]:
    """All eight, two by two."""
    return [
        bowl_figure(curves, state),
        exponent_figure(curves, state),
        atoms_figure(curves, state, "plain"),
        atoms_figure(curves, state, curves.tied),
        gates_figure(curves, state, "plain"),
        gates_figure(curves, state, curves.tied),
        fisher_figure(curves, state),
        samples_figure(curves, state),
    ]


def bowl_figure(curves: SplitCurves, state: Moment) -> Figure:
    """Excess loss on linear axes: a flat line and a bowl of fourth order."""
    tied, wide = curves.tied, curves.bowl_deltas[-1]
    roof = max(curves.bowl[tied])
    plot = Plot((-wide, wide), (-0.08 * roof, 1.04 * roof), ("main", "theory", "now", "above", "left"), DELTA)
    for side in ("plain", tied):
        points = list(zip(curves.bowl_deltas, curves.bowl[side], strict=True))
        plot.line("main", side, [(-x, y) for x, y in points[:0:-1]] + points)
    theory = [(x, (curves.kappa * x * x) ** 2) for x in _even(-wide, wide, 121)]
    inside = [(x, y) for x, y in theory if y <= plot.y[1]]
    plot.line("theory", tied, inside)
    plot.text("left", "theory \u03ba\u00b2\u03b4\u2074", *(inside[-1][0], 0.93 * roof), tied)
    for side in ("plain", tied):
        for sign in (-1, 1):
            plot.point("now", side, sign * state.delta, state.loss[side], _tip(side, state))
    plot.text("above", SHARING_NAMES["plain"], -0.62 * wide, 0, "plain")
    far = curves.bowl[tied][round(0.55 * (len(curves.bowl_deltas) - 1))]
    plot.text("left", SHARING_NAMES[tied], -0.55 * wide, far, tied)
    return plot.figure(
        "bowl",
        "Excess loss",
        "\u2016f \u2212 f*\u2016\u00b2, linear axes",
        "Line chart of the excess loss against the split delta: plain LoRA stays at zero, the shared model is a bowl "
        "with a flat bottom and steep walls. Points mark the present delta.",
    )


def exponent_figure(curves: SplitCurves, state: Moment) -> Figure:
    """The same on logarithmic axes, with the fitted exponent."""
    tied, low, high = curves.tied, curves.log_deltas[0], curves.log_deltas[-1]
    plot = Plot((low, high), (LEAST_LOSS, 1e2), ("main", "now", "note"), LOG_DELTA, Axis(log=True))
    for side in ("plain", tied):
        losses = [max(each, LEAST_LOSS) for each in curves.losses[side]]
        plot.line("main", side, list(zip(curves.log_deltas, losses, strict=True)))
    if state.delta >= low:
        for side in ("plain", tied):
            plot.point("now", side, state.delta, max(state.loss[side], LEAST_LOSS), _tip(side, state))
    x, _ = plot.share(0.03, 0)
    plot.text("note", f"{SHARING_NAMES['plain']}: rounding level, no exponent", x, 1e-28, "plain")
    words = f"{SHARING_NAMES[tied]}: exponent {curves.exponent:.2f}, of the loss {2 * curves.exponent:.2f}"
    plot.text("note", words, x, 1e-18, tied)
    return plot.figure(
        "exponent",
        "The same, logarithmic",
        "exponent of \u2016f \u2212 f*\u2016, fitted for \u03b4 up to 0.03",
        "Line chart of the excess loss against delta on logarithmic axes: plain LoRA at the level of rounding, the "
        "shared model a straight line of slope four.",
    )


def atoms_figure(curves: SplitCurves, state: Moment, side: str) -> Figure:
    """Where the experts are: query and value parts of b in one plane."""
    roles = ("theory", "now", "ring", "cross", "label", "above", "below")
    plot = Plot((-0.5, -0.5), (-0.7, 3.5), roles, Axis("b\u2081", grid=False), Axis(grid=False, ticks=4), equal=True)
    for place, (x, y) in enumerate(truth().b_value.tolist(), start=1):
        plot.point("cross", INK_SERIES, x, y, f"true expert {place}: ({x:g}, {y:g})")
        plot.text("below", f"true expert {place}", x, y - 0.12)
    first, second = state.b_value[side][:2]
    plot.line("theory", side, [tuple(first), tuple(second)])  # type: ignore[list-item]
    for place, (query, value) in enumerate(zip(state.b_query[side], state.b_value[side], strict=True), start=1):
        if side == "plain":
            plot.point("ring", side, query[0], query[1], f"query part of atom {place}: {_pair(query)}")
        plot.point("now", side, value[0], value[1], f"value part of atom {place}: {_pair(value)}")
    if state.delta >= 0.25:
        where = max(state.b_value[side][:2], key=lambda each: each[0])
        plot.text("label", "value" if side == "plain" else "both", where[0], where[1], side)
    if side == "plain":
        x, y = state.b_query[side][0]
        plot.text("above", "query stays", x, y, side)
    title = "Atoms, plain" if side == "plain" else f"Atoms, {SHARING_NAMES[side].lower()}"
    unit = "only the value parts move" if side == "plain" else "query and value parts move together"
    return plot.figure(
        "atoms_plain" if side == "plain" else "atoms_tied",
        title,
        unit,
        f"Plane of the fitted experts for the {'plain' if side == 'plain' else 'shared'} model: two halves of expert 1 "
        "move apart from the true expert, expert 2 stays.",
    )


def gates_figure(curves: SplitCurves, state: Moment, side: str) -> Figure:
    """The gates along a circle of inputs, after the split and before."""
    angle = Axis("angle of the input, degrees", format="d", grid=False, ticks=6)
    plot = Plot((0, 180), (0, 1.08), ("main", "thin", "theory", "above"), angle, Axis(ticks=4))
    after, before = _columns(state.gates[side]), _columns(state.gates_before)
    for place in (2, 3):
        plot.line("thin", OTHER_SERIES, list(zip(state.angles, after[place], strict=True)), f"after {place}")
    for place in (0, 2, 3):
        plot.line("theory", INK_SERIES, list(zip(state.angles, before[place], strict=True)), f"before {place}")
    for place in (0, 1):
        plot.line("main", side, list(zip(state.angles, after[place], strict=True)), f"half {place + 1}")
    names = ["half 1", "half 2", "expert 2", "reference"]
    apart = max(abs(one - other) for one, other in zip(after[0], after[1], strict=True)) > 0.05
    shown = (0, 1, 2, 3) if apart else (0, 2, 3)
    for place in shown:
        name = names[place] if place or apart else "both halves"
        peak = _peak(after[place], state.angles)
        plot.text("above", name, peak[0], min(peak[1], 0.95), side if place < 2 else NEUTRAL_SERIES)
    moved = max(
        abs(one - other) for row, old in zip(after, before, strict=True) for one, other in zip(row, old, strict=True)
    )
    title = "Gates, plain" if side == "plain" else f"Gates, {SHARING_NAMES[side].lower()}"
    return plot.figure(
        "gates_plain" if side == "plain" else "gates_tied",
        title,
        f"after the split; dots: before; largest change {_short(moved)}",
        "Line chart of the four gates against the angle of the input: the two halves of expert 1, expert 2 and the "
        "unadapted reference, with dotted lines for the gates before the split.",
    )


def fisher_figure(curves: SplitCurves, state: Moment) -> Figure:
    """Eigenvalues of the Fisher information along delta; zeros lie on the bottom line."""
    low, high = curves.log_deltas[0], curves.log_deltas[-1]
    plot = Plot((low, high), (LEAST_EIGENVALUE, 1e3), ("main", "thin", "x", "note"), LOG_DELTA, Axis(log=True))
    for side in ("plain", curves.tied):
        for place, values in enumerate(zip(*curves.eigenvalues[side], strict=True)):
            points = [(x, max(y, LEAST_EIGENVALUE)) for x, y in zip(curves.log_deltas, values, strict=True)]
            plot.line("main" if place < 2 else "thin", side, points, f"{side} {place}")
    if state.delta >= low:
        plot.rule("x", state.delta, INK_SERIES)
    x, _ = plot.share(0.03, 0)
    plot.text("note", f"{SHARING_NAMES['plain']}: two directions stay at zero", x, 60 * LEAST_EIGENVALUE, "plain")
    plot.text("note", f"{SHARING_NAMES[curves.tied]}: none, once \u03b4 > 0", x, 1e-9, curves.tied)
    return plot.figure(
        "fisher",
        "Fisher spectrum",
        "eigenvalues of one observation; thick: the two smallest",
        "Line chart of the eigenvalues of the Fisher information against delta on logarithmic axes: two eigenvalues "
        "of plain LoRA are zero at every delta, those of the shared model rise from zero as delta grows.",
    )


def samples_figure(curves: SplitCurves, state: Moment) -> Figure:
    """How many samples tell the split from none: a power of delta for shared, no number for plain."""
    tied, low, high = curves.tied, curves.log_deltas[0], curves.log_deltas[-1]
    top = 10.0 ** (math.ceil(math.log10(max(curves.samples[tied]))) + 3)
    plot = Plot((low, high), (1.0, top), ("main", "thin", "theory", "now", "note", "left"), LOG_DELTA, Axis(log=True))
    at_one = min(zip(curves.log_deltas, curves.samples[tied], strict=True), key=lambda each: abs(each[0] - 1))[1]
    for power in FAMILY:
        points = [(x, at_one * x ** (-2 * power)) for x in curves.log_deltas]
        plot.line("theory", NEUTRAL_SERIES, [each for each in points if 1 <= each[1] <= top], f"family {power}")
    plot.line("main", tied, list(zip(curves.log_deltas, curves.samples[tied], strict=True)))
    exact = [(x, y) for x, y in zip(curves.log_deltas, curves.samples["exact"], strict=True) if y >= 1]
    plot.line("thin", NEUTRAL_SERIES, exact, "exact")
    never = plot.share(0, 0.955)[1]
    plot.line("main", "plain", [(low, never), (high, never)], "never")
    plot.text("note", f"{SHARING_NAMES['plain']}: no finite n, at any \u03b4", low, plot.share(0, 0.875)[1], "plain")
    plot.text("note", f"{SHARING_NAMES[tied]}: \u03b4\u207b\u2074", *plot.share(0.03, 0.52), tied)
    plot.text("note", "whole expert: \u03b4\u207b\u00b2", *plot.share(0.03, 0.235))
    plot.text("left", "(1/\u03b4)\u00b2\u02b3, constants arbitrary", high, plot.share(0, 0.72)[1])
    if state.delta >= low and math.isfinite(state.samples[tied]):
        plot.point("now", tied, state.delta, max(1.0, state.samples[tied]), _tip(tied, state))
        plot.point("now", "plain", state.delta, never, "plain: no number of samples is enough")
    return plot.figure(
        "samples",
        "Samples to tell the split",
        "n at 5 % errors both ways; r = 3, 5, 8",
        "Line chart of the samples needed to tell a split from none against delta on logarithmic axes: a power of "
        "delta for the shared model; for plain LoRA a line at the top says that no finite number is enough.",
    )


def _tip(side: str, state: Moment) -> str:
    return f"{SHARING_NAMES[side]}, \u03b4 = {state.delta:g}: excess loss {state.loss[side]:.3g}"


def _columns(rows: Sequence[Numbers]) -> list[tuple[float, ...]]:
    return list(zip(*rows, strict=True))


def _peak(values: Numbers, angles: Numbers) -> tuple[float, float]:
    """Where a gate is largest, away from the ends of the axis."""
    inside = [(value, angle) for value, angle in zip(values, angles, strict=True) if 15 <= angle <= 165]
    value, angle = max(inside)
    return angle, value


def _pair(point: Numbers) -> str:
    return f"({point[0]:.2f}, {point[1]:.2f})"


def _short(value: float) -> str:
    """Two figures, or the power of ten of what is but rounding."""
    return (
        f"{value:.2f}"
        if value >= 0.005
        else "0"
        if value == 0
        else f"below {power_of_ten(math.ceil(math.log10(value)))}"
    )


def _even(low: float, high: float, count: int) -> list[float]:
    return [low + (high - low) * place / (count - 1) for place in range(count)]
