"""What the pictures of a study are made of: estimates with intervals, and how they are drawn in any of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor

from replora.figures.plot import Axis, Plot
from replora.figures.scales import nice_range
from replora.figures.style import INK_SERIES, NEUTRAL_SERIES, title_of
from replora.statistics.metrics import ACCURACY, Metric
from replora.wording import MINUS, fixed, signed

FRACTION_AXIS = Axis("share of the training data", log=True, percent=True, grid=False)
ACCURACY_AXIS = Axis(positive=True)
RATE_AXIS = Axis("learning rate", log=True, grid=False)
DIFFERENCE_ROLES = (
    "earlier", "zero", "y", "x", "thin", "small", "error", "dot", "now", "label", "note", "aside", "corner", "stamp",
    "message",
)  # fmt: skip
LEAST_LOSS = 0.2  # nats that an axis spans
ROOM_FOR_WORDS = 1.35  # of the most that is drawn


@dataclass(frozen=True)
class Estimate:
    """A mean at `x` over the `n` seeds that finished, with its 95 % interval; None without any.

    diverged: seeds that did not finish. seeds: the values of single seeds, where they are to be drawn.
    """

    x: float
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    diverged: int = 0
    seeds: Mapping[int, float] = field(default_factory=dict)


Curves = Mapping[str, Sequence[Estimate]]


def percents(shares: Iterable[float]) -> tuple[float, float]:
    """An axis of accuracies in per cent around these, in whole tens."""
    values = list(shares)
    if not values:
        return 0.0, 100.0
    low, high = 10 * floor(min(values) / 10), 10 * ceil(max(values) / 10)
    return max(0.0, float(low)), min(100.0, float(max(high, low + 10)))


def result_ends(values: Sequence[float], metric: Metric) -> tuple[float, float]:
    """An axis of what runs are judged by, around these as it shows them."""
    return percents(values) if metric.is_share else nice_range(values, LEAST_LOSS)


def known(curves: Curves) -> list[float]:
    """All means and ends of intervals."""
    ends = [(each.mean, each.low, each.high) for curve in curves.values() for each in curve]
    return [value for triple in ends for value in triple if value is not None]


def means(curves: Curves) -> list[float]:
    """All means."""
    return [each.mean for curve in curves.values() for each in curve if each.mean is not None]


def mean_only(curves: Curves) -> list[Estimate]:
    """All estimates without their intervals and seeds."""
    return [Estimate(each.x, each.mean) for curve in curves.values() for each in curve]


def draw_curves(plot: Plot, curves: Curves, decimals: int = 1) -> None:
    """A line with band and points for each method, its name at its end."""
    ends = []
    for method, curve in curves.items():
        points = [(each.x, each.mean) for each in curve if each.mean is not None]
        band = [(each.x, each.low, each.high) for each in curve if each.low is not None and each.high is not None]
        plot.band(method, band)
        plot.line("main", method, points)
        for estimate in curve:
            if estimate.mean is not None:
                plot.point("dot", method, estimate.x, estimate.mean, tip(method, estimate, decimals))
        if points:
            ends.append((method, title_of(method), points[-1]))
    if ends:  # all at the right, where no other curve runs through a name
        plot.labels([(method, name, y) for method, name, (_, y) in ends], max(x for _, _, (x, _) in ends), gap=0.11)


def draw_grey(plot: Plot, curves: Curves) -> None:
    """The recorded study's means behind one's own, in grey, each with its method's dash."""
    for method, curve in curves.items():
        points = [(each.x, each.mean) for each in curve if each.mean is not None]
        plot.line("earlier", method, points, f"recorded {method}")


def grey_note(curves: Curves) -> str:
    """What the grey lines are, for a picture's second title; '' without any."""
    return "; grey: recorded" if known(curves) else ""


def draw_single(plot: Plot, curves: Curves, decimals: int = 1) -> None:
    """Points alone, large, each with its interval and value: one place of a sweep."""
    ends = []
    for method, curve in curves.items():
        for estimate in curve:
            if estimate.mean is None:
                continue
            if estimate.low is not None and estimate.high is not None:
                plot.span("error", method, estimate.x, estimate.low, estimate.high)
            plot.point("now", method, estimate.x, estimate.mean, tip(method, estimate, decimals))
            ends.append((method, f"{title_of(method)} {estimate.mean:.{decimals}f}", estimate.mean, estimate.x))
    if ends:
        plot.labels([each[:3] for each in ends], max(each[3] for each in ends), gap=0.12)


def lost_methods(curves: Curves) -> list[str]:
    """The methods of which runs diverged."""
    return [method for method, curve in curves.items() if any(each.diverged for each in curve)]


def draw_lost(plot: Plot, curves: Curves, base: float) -> None:
    """A cross wherever runs diverged, with how many of how many; a row for each method, from `base` of the height."""
    for place, method in enumerate(lost_methods(curves)):
        hit = [each for each in curves[method] if each.diverged]
        y = plot.share(0, base + 0.15 * place)[1]
        for estimate in hit:
            said = f"{estimate.diverged} of {estimate.n + estimate.diverged}"
            plot.point("cross", method, estimate.x, y, f"{title_of(method)}: {said} diverged")
            if len(hit) > 1:
                plot.text("over", said, estimate.x, y, method)
        said = "diverged" if len(hit) > 1 else f"{hit[0].diverged} of {hit[0].n + hit[0].diverged} diverged"
        left = hit[0].x ** 2 > plot.x[0] * plot.x[1]
        plot.text(
            "aside" if left else "note", said if left else f"\u00a0\u00a0{said}", hit[0 if left else -1].x, y, method
        )


def draw_difference(
    plot: Plot,
    estimates: Sequence[Estimate],
    pair: tuple[str, str],
    metric: Metric = ACCURACY,
    *,
    alone: bool = False,
    right: bool = False,
) -> None:
    """Means with intervals, single seeds as small points, the zero line, and who is ahead on which side of it.

    right: where that is said, since something stands upright on the left.
    """
    ours, unit, places = pair[0], metric.difference_unit, metric.decimals
    plot.rule("zero", 0.0)
    if not alone:
        plot.line("thin", ours, [(each.x, each.mean) for each in estimates if each.mean is not None])
    for estimate in estimates:
        for seed, value in estimate.seeds.items():
            plot.point("small", NEUTRAL_SERIES, estimate.x, value, f"seed {seed}: {signed(value, places)} {unit}")
        if estimate.low is not None and estimate.high is not None:
            plot.span("error", ours, estimate.x, estimate.low, estimate.high)
        if estimate.mean is not None:
            plot.point("now" if alone else "dot", ours, estimate.x, estimate.mean, tip("", estimate, places, unit))
            if alone:
                plot.text("label", f"{signed(estimate.mean, places)} {unit}", estimate.x, estimate.mean, INK_SERIES)
    say_who_is_ahead(plot, pair, metric, right=right)


def say_who_is_ahead(plot: Plot, pair: tuple[str, str], metric: Metric, *, right: bool = False) -> None:
    """Above and below zero; `right`: at the right edge."""
    above, below = pair[::-1] if metric.lower_is_better else pair
    role, x = ("aside", 1) if right else ("corner", 0)
    plot.text(role, f"\u2191 {title_of(above)} ahead", *plot.share(x, 0.95), above)
    plot.text(role, f"\u2193 {title_of(below)} ahead", *plot.share(x, 0.06), below)


def difference_ends(estimates: Iterable[Estimate], metric: Metric = ACCURACY) -> tuple[float, float]:
    """An axis with zero in the middle that holds all intervals and seeds between the words above and below them."""
    values = [
        value
        for estimate in estimates
        for value in (estimate.mean, estimate.low, estimate.high, *estimate.seeds.values())
        if value is not None
    ]
    least = metric.low / 2  # either side of zero, so that noise is not blown up to fill the picture
    most = max([least, *(abs(value) for value in values)])
    roof = least * ceil(ROOM_FOR_WORDS * most / least)
    return -roof, roof


def no_pair(pair: tuple[str, str] | None, message: str) -> str:
    """Why there is no difference to draw."""
    return "Needs two methods" if pair is None else message


def finish(plot: Plot, *, empty: bool, recorded: bool, message: str, low: bool = False) -> None:
    """The words over a picture: what is missing, and that it is recorded; `low`: at the bottom."""
    if empty:
        plot.message(message, 0.62)
    if recorded:
        plot.stamp(0.05 if low else 0.955)


def tip(method: str, each: Estimate, decimals: int, unit: str = "") -> str:
    """What hovering tells of an estimate."""
    if each.mean is None:
        return ""
    value = signed(each.mean, decimals) if unit else fixed(each.mean, decimals)
    ends = (
        "" if each.low is None or each.high is None else f" [{fixed(each.low, decimals)}, {fixed(each.high, decimals)}]"
    )
    name = f"{title_of(method)}: " if method else ""
    lost = f", {each.diverged} diverged" if each.diverged else ""
    seeds = "one seed" if each.n == 1 else f"{each.n} seeds"
    return f"{name}{value}{ends}{' ' + unit if unit else ''}, {seeds}{lost}"


def difference_title(pair: tuple[str, str] | None) -> str:
    """'RepLoRA - LoRA' with a true minus."""
    return f"{title_of(pair[0])} {MINUS} {title_of(pair[1])}" if pair else "Difference"
