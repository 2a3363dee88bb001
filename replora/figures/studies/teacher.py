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
    draw_grey,
    draw_lost,
    finish,
    grey_note,
    known,
    lost_methods,
    means,
    tip,
)
from replora.figures.style import title_of
from replora.methods import PROJECTIONS, STUDENT_REFERENCE, STUDENTS
from replora.studies.teachers.cells import StudentCell
from replora.wording import counted

EXAMPLES_AXIS = Axis("examples", log=True, numbers=True, grid=False)
STEPS_AXIS = Axis("step", log=True, numbers=True, grid=False)
ERROR_AXIS = Axis(log=True, percent=True)
ERROR_ROLES = ("earlier", "band", "main", "dot", "cross", "label", "room", "note", "aside", "over", "stamp", "message")
RATIO_ROLES = ("earlier", "zero", "thin", "small", "error", "dot", "label", "room", "corner", "stamp", "message")
STEP_ROLES = ("main", "dot", "label", "room", "stamp", "message")
FOUND_ROLES = ("x", "ring", "dot", "corner", "note", "aside", "stamp", "message")
LONGEST = max((title_of(name) for name in STUDENTS if name != STUDENT_REFERENCE), key=len)


@dataclass(frozen=True)
class PlottedTeacherStudy:
    """What the figures show, by student; errors are shares of what no adaptation has.

    error: each at its chosen rate against the number of examples, or, with one number of examples, against the rate.
    ratios: of its error to LoRA's, paired by seed, each at its chosen rate, against the number of examples in `counts`.
    steps: (step, error) with `examples` examples. found: with as many. grey: a recorded study behind one's own.
    """

    x: Sequence[float]
    by_rate: bool = False
    error: Curves = field(default_factory=dict)
    ratios: Curves = field(default_factory=dict)
    counts: Sequence[int] = (64,)
    steps: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    step_range: tuple[int, int] = (1, 100)
    found: Mapping[str, StudentCell] = field(default_factory=dict)
    examples: int = 0
    grey: Curves = field(default_factory=dict)
    grey_ratios: Curves = field(default_factory=dict)
    recorded: bool = False
    message: str = ""


def teacher_figures(picture: PlottedTeacherStudy) -> list[Figure]:
    """All four, in the order in which they are read."""
    return [error_figure(picture), ratio_figure(picture), steps_figure(picture), found_figure(picture)]


def error_figure(picture: PlottedTeacherStudy) -> Figure:
    """Test error against the number of examples, or against the learning rate."""
    values = means(picture.error)
    low, high = _decades(_within(values, known(picture.error)) + means(picture.grey))
    rows = len(lost_methods(picture.error)) if picture.by_rate else 0
    base = low / 10 ** (0.32 * rows * log10(high / low))
    axis = RATE_AXIS if picture.by_rate else EXAMPLES_AXIS
    ticks = () if picture.by_rate else tuple(picture.x)
    plot = Plot(stretched(picture.x), (base, high), ERROR_ROLES, axis, ERROR_AXIS, x_ticks=ticks)
    draw_grey(plot, picture.grey)
    draw_curves(plot, picture.error, decimals=4)
    if picture.by_rate:
        draw_lost(plot, picture.error, 0.08)
    plot.keep_room(LONGEST)
    finish(plot, empty=not values, recorded=picture.recorded, message=picture.message)
    against = "learning rate" if picture.by_rate else "examples"
    return plot.figure(
        "error",
        f"Test error against {against}",
        f"% of what no adaptation has; bands: 95 %{grey_note(picture.grey)}",
        f"Line chart of the test error, as a share of the error without adaptation, against the {against}, both on "
        "logarithmic axes, one line for each student with a 95 % band over seeds.",
    )


def ratio_figure(picture: PlottedTeacherStudy) -> Figure:
    """Each student's error over LoRA's; beside each other where there are few numbers of examples."""
    values = [
        value
        for curve in picture.ratios.values()
        for estimate in curve
        for value in (estimate.mean, estimate.low, estimate.high, *estimate.seeds.values())
        if value
    ] + means(picture.grey_ratios)
    most = max([2.0, *(max(value, 1 / value) for value in values)]) ** 1.32  # room for words above and below
    left, right = stretched([float(each) for each in picture.counts], 0.18)
    plot = Plot(
        (left, right), (1 / most, most), RATIO_ROLES, EXAMPLES_AXIS, Axis(log=True, numbers=True),
        x_ticks=tuple(float(each) for each in picture.counts), y_ticks=_handy(most),
    )  # fmt: skip
    plot.rule("zero", 1.0)
    draw_grey(plot, picture.grey_ratios)
    ends: dict[float, list[tuple[str, str, float]]] = {}
    for place, (student, curve) in enumerate(picture.ratios.items()):
        shift = (right / left) ** (0.03 * (place - (len(picture.ratios) - 1) / 2))
        points = [(shift * each.x, each.mean) for each in curve if each.mean is not None]
        plot.line("thin", student, points)
        for estimate in curve:
            if estimate.mean is None:
                continue
            for seed, value in estimate.seeds.items():
                plot.point(
                    "small", student, shift * estimate.x, value, f"{title_of(student)}, seed {seed}: {value:.2f}"
                )
            if estimate.low is not None and estimate.high is not None:
                plot.span("error", student, shift * estimate.x, estimate.low, estimate.high)
            plot.point("dot", student, shift * estimate.x, estimate.mean, tip(student, estimate, 2))
        if points:
            ends.setdefault(curve[-1].x, []).append((student, title_of(student), points[-1][1]))
    for x, names in ends.items():
        plot.labels(names, x * (right / left) ** 0.05, gap=0.11)
    plot.text("corner", "\u2191 LoRA ahead", *plot.share(0, 0.95), STUDENT_REFERENCE)
    plot.text("corner", "\u2193 LoRA behind", *plot.share(0, 0.06))
    plot.keep_room(LONGEST)
    empty = not any(each.mean for curve in picture.ratios.values() for each in curve)
    finish(plot, empty=empty, recorded=picture.recorded, message=picture.message)
    return plot.figure(
        "ratio",
        "Error over LoRA's",
        f"paired by seed, each at its rate; bars: 95 %{grey_note(picture.grey_ratios)}",
        "Points with 95 % intervals of the ratio of each student's test error to LoRA's against the number of "
        "examples, single seeds as small points, with a line at one: below it the student's error is the smaller.",
    )


def steps_figure(picture: PlottedTeacherStudy) -> Figure:
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
    plot.keep_room(LONGEST)
    finish(plot, empty=not values, recorded=picture.recorded, message=picture.message)
    return plot.figure(
        "steps",
        "Test error against steps",
        f"% of what no adaptation has; {counted(picture.examples, 'example')}",
        "Line chart of the test error, as a share of the error without adaptation, against the training step, both on "
        "logarithmic axes, one line for each student at the rate chosen for it.",
    )


def found_figure(picture: PlottedTeacherStudy) -> Figure:
    """How far the found updates of query and value are off, a row for each student."""
    values = [value for cell in picture.found.values() for value in cell.delta_errors or ()]
    low, high = _decades([1.0, *values])
    plot = Plot(
        (low / 10 ** (0.75 * log10(high / low)), high * 1.15), (0.0, 1.0), FOUND_ROLES,
        Axis("off by", log=True, percent=True), Axis(grid=False, labels=False), x_ticks=_ticks(low, high),
    )  # fmt: skip
    rows = list(picture.found.items())
    for place, (student, cell) in enumerate(rows):
        y = 1 - (place + 1.2) / (len(rows) + 0.9)
        plot.text("corner", title_of(student), plot.x[0], y, student)
        found = zip(("ring", "dot"), PROJECTIONS, cell.delta_errors or (), cell.angles or (), strict=True)
        for role, name, off, angle in found:
            plot.point(role, student, off, y, f"{title_of(student)}, {name}: {100 * off:.3g} %, {angle:.0f}° off")
    if rows:
        plot.rule("x", 1.0)
        role = "note" if plot.share_of_x(1.0) < 0.4 else "aside"  # where a phone has room for it
        plot.text(role, "100 %: no better than no update", 1.0, 0.955)
    finish(plot, empty=not rows, recorded=picture.recorded, message=picture.message, low=True)
    return plot.figure(
        "found",
        "How far the found update is off",
        f"squared, % of the hidden one; {counted(picture.examples, 'example')}; ring: query, filled: value",
        "Points of the relative squared error of the found updates of query and value on a logarithmic axis, a row for "
        "each student, with a line at 100 per cent, which no update at all has.",
    )


def _within(values: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Means, and the ends of intervals within a power of ten of them: of few seeds they lie anywhere."""
    above = [value for value in values if value > 0]
    return [*above, *(end for end in ends if above and min(above) / 10 <= end <= 10 * max(above))]


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


def _steps_of(picture: PlottedTeacherStudy) -> tuple[float, ...]:
    return tuple(sorted({float(step) for curve in picture.steps.values() for step, _ in curve}))
