"""What the seats of a class found, as a histogram that grows by a brick for each, under the mean and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.style import INK_SERIES, NEUTRAL_SERIES, title_of
from replora.methods import OURS, REFERENCE
from replora.statistics.intervals import COARSE, Interval
from replora.wording import signed

ROLES = ("bar", "change", "reach", "now", "over", "note", "aside", "message")
WIDTHS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # of a bin, in points
BINS = 16  # at most
LEAST = 5.0  # points either side of zero, so that noise is not blown up to fill the picture
LEAST_COUNT = 4
GAP = 0.04  # of a brick, so that each is seen


def differences_figure(found: Mapping[int, float], interval: Interval | None, lost: int = 0) -> Figure:
    """found: differences of accuracy in points by seed, ours minus the reference. lost: runs that diverged.

    interval: mean and interval of `found`, in points; None where there is none yet.
    """
    width = _bin_width(list(found.values()))
    low, high = _ends(list(found.values()), interval, width)
    bins: dict[int, list[int]] = {}
    for seed, value in sorted(found.items()):
        bins.setdefault(floor(value / width), []).append(seed)
    tallest = max([LEAST_COUNT, *map(len, bins.values())])
    plot = Plot(
        (low, high),
        (0, 1.45 * tallest),
        ROLES,
        Axis(f"{title_of(OURS)} minus {title_of(REFERENCE)}, points", format="+~f", grid=False, ticks=9),
        Axis(format="d", ticks=4),
    )
    if found:
        plot.rule("change", 0.0)
    for place, seeds in bins.items():
        for height, seed in enumerate(seeds):
            value = found[seed]
            series = OURS if value > 0 else REFERENCE if value < 0 else NEUTRAL_SERIES
            left, right = (place + GAP / 2) * width, (place + 1 - GAP / 2) * width
            plot.bar(series, left, right, 1 - GAP, height, f"seed {seed}: {signed(value)} points")
    side = 1.38 * tallest
    plot.text("note", f"\u2190 {title_of(REFERENCE)}", low, side, REFERENCE)
    plot.text("aside", f"{title_of(OURS)} \u2192", high, side, OURS)
    if interval is None:
        plot.message("Nobody has finished yet" if not lost else "", 0.5)
    else:
        _draw_mean(plot, interval, 1.12 * tallest)
    number = len(found)
    return plot.figure(
        "pooled",
        "What the class found",
        f"paired differences of {number} seed{'' if number == 1 else 's'}" + (f", {lost} diverged" if lost else ""),
        "Histogram of the differences of final accuracy between RepLoRA and LoRA, one brick for each seat's seed, with "
        "the mean and its 95 % interval above it and a line at zero.",
    )


def _draw_mean(plot: Plot, interval: Interval, y: float) -> None:
    told = f"mean {signed(interval.mean)}"
    if interval.low is not None and interval.high is not None and interval.high - interval.low > 100 * COARSE:
        ends = f"{signed(interval.low)} to {signed(interval.high)}"
        plot.span("reach", INK_SERIES, y, interval.low, interval.high, f"95 % interval: {ends}")
        told += f", 95 % {ends}"
    plot.point("now", INK_SERIES, interval.mean, y, told)
    left, right = plot.x
    share = (interval.mean - left) / (right - left)
    plot.text("over", told, plot.share(min(max(share, 0.25), 0.75), 0)[0], y, INK_SERIES)


def _bin_width(values: Sequence[float]) -> float:
    reach = max(values) - min(values) if values else 0.0
    return next((width for width in WIDTHS if reach / width <= BINS), WIDTHS[-1])


def _ends(values: Sequence[float], interval: Interval | None, width: float) -> tuple[float, float]:
    """In whole bins around all that is drawn, and around zero."""
    shown = [-LEAST, LEAST, *values]
    if interval is not None:  # of two seats it may reach beyond all that accuracies can differ by
        widest = 2 * max(abs(each) for each in shown)
        shown += [min(max(end, -widest), widest) for end in (interval.low, interval.high) if end is not None]
    return width * floor(min(shown) / width - 0.5), width * ceil(max(shown) / width + 0.5)
