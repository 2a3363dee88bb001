"""What the seats of a class expected beside what came, a line for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.style import INK_SERIES, NEUTRAL_SERIES, OTHER_SERIES, SERIES_STYLES, title_of
from replora.methods import OURS, REFERENCE
from replora.wording import signed

ROLES = ("change", "reach", "dot", "cross", "message")
LOOKS = {
    **{name: SERIES_STYLES[name] for name in (NEUTRAL_SERIES, OTHER_SERIES)},
    INK_SERIES: replace(SERIES_STYLES[INK_SERIES], shape="circle"),  # its own is a cross, which here says missed
}
LEAST_ROWS = 4
LEAST = 5.0


@dataclass(frozen=True)
class Expected:
    """A seat's interval and what came, in points."""

    seat: int
    low: float
    high: float
    truth: float


def expected_figure(found: Sequence[Expected]) -> Figure:
    """Intervals in the order of what came; a cross is what its interval did not hold."""
    ends = [LEAST, *(abs(value) for each in found for value in (each.low, each.high, each.truth))]
    widest = 1.08 * max(ends)
    rows = max(LEAST_ROWS, len(found))
    plot = Plot(
        (-widest, widest),
        (-0.5, rows - 0.5),
        ROLES,
        Axis(f"{title_of(OURS)} minus {title_of(REFERENCE)}, points", format="+~f", grid=False, ticks=9),
        Axis(labels=False, grid=False),
        looks=LOOKS,
    )
    if found:
        plot.rule("change", 0.0)
    for row, expected in enumerate(sorted(found, key=lambda one: one.truth)):
        held = expected.low <= expected.truth <= expected.high
        said = f"{signed(expected.low)} to {signed(expected.high)}"
        tip = f"seat {expected.seat}: expected {said}, came {signed(expected.truth)}"
        plot.span("reach", NEUTRAL_SERIES if held else OTHER_SERIES, row, expected.low, expected.high, tip)
        plot.point("dot" if held else "cross", INK_SERIES, expected.truth, row, tip)
    if not found:
        plot.message("", 0.5)
    number = len(found)
    return plot.figure(
        "expected",
        "What was expected",
        f"{number} interval{'' if number == 1 else 's'}; \u25cf held what came, \u2715 missed it",
        "Intervals that the seats expected, one below the other, each with a dot where it held what came and a cross "
        "where it did not; a line at zero.",
    )
