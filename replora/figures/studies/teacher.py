"""The pictures of teachers and students: error against examples and steps, and how far the found updates are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.scales import stretched
from replora.figures.studies.estimates import (
    RATE_AXIS,
    Curves,
    draw_curves,
    draw_lost,
    finish,
    known,
    lost_methods,
    tip,
)
from replora.figures.style import NEUTRAL_SERIES, title_of

EXAMPLES_AXIS = Axis("examples", log=True, numbers=True, grid=False)
STEPS_AXIS = Axis("step", log=True, numbers=True, grid=False)
ERROR_AXIS = Axis(log=True, percent=True)
ERROR_ROLES = ("band", "main", "dot", "cross", "label", "room", "note", "aside", "over", "stamp", "message")
RATIO_ROLES = ("zero", "thin", "small", "error", "dot", "label", "room", "corner", "stamp", "message")
STEP_ROLES = ("main", "dot", "label", "room", "stamp", "message")
FOUND_ROLES = ("x", "ring", "dot", "corner", "note", "stamp", "message")
LONGEST = max((title_of(name) for name in ("lora_tied", "trunk", "tied", "separate")), key=len)


@dataclass(frozen=True)
class Found:
    """What a student has found: ||found - hidden||^2 / ||hidden||^2 and mean angle in degrees, of query and value."""

    off: tuple[float, float]
    angles: tuple[float, float]


@dataclass(frozen=True)
class TeacherPicture:
    """What the figures show, by student; errors are shares of what no adaptation has.

    error: each at its chosen rate against the number of examples, or, with one number of examples, against the rate.
    ratios: of its error to LoRA's, paired by seed, each at its chosen rate, against the number of examples in `counts`.
    steps: (step, error) with `examples` examples. found: with as many.
    """

    x: Sequence[float]
    by_rate: bool = False
    error: Curves = field(default_factory=dict)
    ratios: Curves = field(default_factory=dict)
    counts: Sequence[int] = (64,)
    steps: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    step_range: tuple[int, int] = (1, 100)
    found: Mapping[str, Found] = field(default_factory=dict)
    examples: int = 0
    recorded: bool = False
    message: str = ""


def teacher_figures(picture: TeacherPicture) -> list[Figure]:
    """All four, in the order in which they are read."""
    return [error_figure(picture), ratio_figure(picture), steps_figure(picture), found_figure(picture)]


def error_figure(picture: TeacherPicture) -> Figure:
    """Test error against the number of examples, or against the learning rate."""
    values = known(picture.error)
    low, high = _decades(values)
    rows = len(lost_methods(picture.error)) if picture.by_rate else 0
    base = low / 10 ** (0.32 * rows * log10(high / low))
    axis = RATE_AXIS if picture.by_rate else EXAMPLES_AXIS
    ticks = () if picture.by_rate else tuple(picture.x)
    plot = Plot(stretched(picture.x), (base, high), ERROR_ROLES, axis, ERROR_AXIS, x_ticks=ticks)
    draw_curves(plot, picture.error, decimals=4)
    if picture.by_rate:
        draw_lost(plot, picture.error, 0.08)
    _room(plot)
    finish(plot, empty=not values, recorded=picture.recorded, message=picture.message)
    against = "learning rate" if picture.by_rate else "examples"
    return Figure(
        "error",
        f"Test error against {against}",
        "% of what no adaptation has; bands: 95 %",
        f"Line chart of the test error, as a share of the error without adaptation, against the {against}, both on "
        "logarithmic axes, one line for each student with a 95 % band over seeds.",
        plot.spec(),
        plot.data(),
    )


def ratio_figure(picture: TeacherPicture) -> Figure:
    """Each student's error over LoRA's; beside each other where there are few numbers of examples."""
    values = [
        value
        for curve in picture.ratios.values()
        for each in curve
        for value in (each.mean, each.low, each.high, *each.seeds.values())
        if value
    ]
    most = max([2.0, *(max(value, 1 / value) for value in values)]) * 1.15
    left, right = stretched([float(each) for each in picture.counts], 0.18)
    plot = Plot(
        (left, right), (1 / most, most), RATIO_ROLES, EXAMPLES_AXIS, Axis(log=True, numbers=True),
        x_ticks=tuple(float(each) for each in picture.counts), y_ticks=_handy(most),
    )  # fmt: skip
    plot.rule("zero", 1.0)
    ends: dict[float, list[tuple[str, str, float]]] = {}
    for place, (student, curve) in enumerate(picture.ratios.items()):
        shift = (right / left) ** (0.03 * (place - (len(picture.ratios) - 1) / 2))
        points = [(shift * each.x, each.mean) for each in curve if each.mean is not None]
        plot.line("thin", student, points)
        for each in curve:
            if each.mean is None:
                continue
            for seed, value in each.seeds.items():
                plot.point("small", student, shift * each.x, value, f"{title_of(student)}, seed {seed}: {value:.2f}")
            if each.low is not None and each.high is not None:
                plot.span("error", student, shift * each.x, each.low, each.high)
            plot.point("dot", student, shift * each.x, each.mean, tip(student, each, 2))
        if points:
            ends.setdefault(curve[-1].x, []).append((student, title_of(student), points[-1][1]))
    for x, names in ends.items():
        plot.labels(names, x * (right / left) ** 0.05, gap=0.11)
    plot.text("corner", "\u2191 LoRA ahead", *plot.share(0, 0.95), "lora")
    plot.text("corner", "\u2193 LoRA behind", *plot.share(0, 0.06))
    _room(plot)
    empty = not any(each.mean for curve in picture.ratios.values() for each in curve)
    finish(plot, empty=empty, recorded=picture.recorded, message=picture.message)
    return Figure(
        "ratio",
        "Error over LoRA's",
        "paired by seed, each at its rate; bars: 95 %",
        "Points with 95 % intervals of the ratio of each student's test error to LoRA's against the number of "
        "examples, single seeds as small points, with a line at one: below it the student's error is the smaller.",
        plot.spec(),
        plot.data(),
    )


def steps_figure(picture: TeacherPicture) -> Figure:
    """Test error against the step, each student at its chosen rate."""
    values = [error for curve in picture.steps.values() for _, error in curve]
    first, last = picture.step_range
    plot = Plot(
        stretched((first, last)), _decades(values), STEP_ROLES, STEPS_AXIS, ERROR_AXIS,
        x_ticks=_steps_of(picture) or (float(first), float(last)),
    )  # fmt: skip
    ends = []
    for student, curve in picture.steps.items():
        plot.line("main", student, curve)
        for step, error in curve:
            plot.point("dot", student, step, error, f"{title_of(student)}, step {step}: {100 * error:.2g} %")
        if curve:
            ends.append((student, title_of(student), curve[-1][1]))
    if ends:
        plot.labels(ends, last, gap=0.11)
    _room(plot)
    finish(plot, empty=not values, recorded=picture.recorded, message=picture.message)
    return Figure(
        "steps",
        "Test error against steps",
        f"% of what no adaptation has; {_many(picture.examples)}",
        "Line chart of the test error, as a share of the error without adaptation, against the training step, both on "
        "logarithmic axes, one line for each student at the rate chosen for it.",
        plot.spec(),
        plot.data(),
    )


def found_figure(picture: TeacherPicture) -> Figure:
    """How far the found updates of query and value are off, a row for each student."""
    values = [value for each in picture.found.values() for value in each.off]
    low, high = _decades([1.0, *values])
    plot = Plot(
        (low / 10 ** (0.75 * log10(high / low)), high * 1.15), (0.0, 1.0), FOUND_ROLES,
        Axis("off by", log=True, percent=True), Axis(grid=False, labels=False), x_ticks=_ticks(low, high),
    )  # fmt: skip
    rows = list(picture.found.items())
    for place, (student, each) in enumerate(rows):
        y = 1 - (place + 1.2) / (len(rows) + 0.9)
        plot.text("corner", title_of(student), plot.x[0], y, student)
        for role, name, off, angle in zip(("ring", "dot"), ("query", "value"), each.off, each.angles, strict=True):
            plot.point(role, student, off, y, f"{title_of(student)}, {name}: {100 * off:.3g} %, {angle:.0f}° off")
    if rows:
        plot.rule("x", 1.0)
        plot.text("note", "100 %: no better than no update", 1.0, 0.955)
    finish(plot, empty=not rows, recorded=picture.recorded, message=picture.message, low=True)
    return Figure(
        "found",
        "How far the found update is off",
        f"squared, % of the hidden one; {_many(picture.examples)}; ring: query, filled: value",
        "Points of the relative squared error of the found updates of query and value on a logarithmic axis, a row for "
        "each student, with a line at 100 per cent, which no update at all has.",
        plot.spec(),
        plot.data(),
    )


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Powers of ten around all values."""
    known_values = [value for value in values if value > 0]
    if not known_values:
        return 0.01, 1.0
    low, high = floor(log10(min(known_values)) + 1e-9), ceil(log10(max(known_values)) - 1e-9)
    return 10.0**low, 10.0 ** max(high, low + 1)


def _ticks(low: float, high: float) -> tuple[float, ...]:
    return tuple(10.0**power for power in range(round(log10(low)), round(log10(high)) + 1))


def _handy(most: float) -> tuple[float, ...]:
    """Ticks of an axis of ratios: 1 and, up and down, 1.5 or powers of two."""
    steps = (1.5, 2.0) if most < 3 else tuple(2.0**power for power in range(1, ceil(log10(most) / log10(2)) + 1))
    ups = [each for each in steps if each <= most]
    return (*(round(1 / each, 2) for each in reversed(ups)), 1.0, *ups)


def _steps_of(picture: TeacherPicture) -> tuple[float, ...]:
    return tuple(sorted({float(step) for curve in picture.steps.values() for step, _ in curve}))


def _many(examples: int) -> str:
    return f"{examples:,} example" + ("s" if examples != 1 else "")


def _room(plot: Plot) -> None:
    """Unseen, so that the picture does not shift when names come."""
    plot.text("room", LONGEST, plot.x[1], plot.y[0], NEUTRAL_SERIES)
