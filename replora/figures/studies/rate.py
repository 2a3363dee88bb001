"""The pictures of a rate study: accuracy, loss and paired difference against the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.scales import stretched
from replora.figures.studies.estimates import (
    ACCURACY_AXIS,
    DIFFERENCE_ROLES,
    RATE_AXIS,
    Curves,
    Estimate,
    difference_ends,
    difference_title,
    draw_curves,
    draw_difference,
    draw_grey,
    draw_lost,
    draw_single,
    finish,
    grey_note,
    known,
    lost_methods,
    mean_only,
    means,
    no_pair,
    result_ends,
)
from replora.figures.style import INK_SERIES, title_of
from replora.methods import HEAD
from replora.statistics.good_region import GoodRegion
from replora.statistics.metrics import ACCURACY, Metric
from replora.wording import signed

RESULT_ROLES = (
    "earlier", "band", "x", "y", "region", "main", "error", "dot", "now", "cross", "label", "room", "note", "aside",
    "over", "stamp", "message",
)  # fmt: skip
LOSS_ROLES = ("band", "x", "main", "error", "dot", "now", "label", "room", "note", "aside", "stamp", "message")
CROSSES = 0.15  # of the height, above the bars of good rates
HIDDEN = "the other rates are hidden"


@dataclass(frozen=True)
class PlottedSweep:
    """What the figures show; results and differences as the metric shows them, in per cent and points or in nats.

    head: the result without any adapter, which no rate moves. marks: upright rules by their text. only: all but this
    rate is hidden. tuned: the difference with each method at the rate that validation chose. grey: a recorded sweep
    behind one's own.
    """

    rates: Sequence[float]
    results: Curves = field(default_factory=dict)
    loss: Curves = field(default_factory=dict)
    pair: tuple[str, str] | None = None
    difference: Sequence[Estimate] = ()
    tuned: float | None = None
    head: float | None = None
    regions: Mapping[str, GoodRegion] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)
    only: float | None = None
    grey: Curves = field(default_factory=dict)
    grey_difference: Curves = field(default_factory=dict)
    recorded: bool = False
    message: str = ""
    metric: Metric = ACCURACY


def rate_figures(picture: PlottedSweep) -> list[Figure]:
    """All, in the order in which they are read; a loss is drawn once."""
    both = [result_figure(picture), difference_figure(picture)]
    return [*both, loss_figure(picture)] if picture.metric.is_share else both


def result_figure(picture: PlottedSweep) -> Figure:
    """What runs are judged by against the learning rate, with the good region of each method."""
    metric, places = picture.metric, picture.metric.decimals
    values = known(picture.results) + ([] if picture.head is None else [picture.head])
    low, high = result_ends([*values, *means(picture.grey)], metric)
    span, rows = high - low, len(lost_methods(picture.results))
    ends = (low - (0.12 + 0.42 * rows) * span, high + 0.14 * span)  # room for words, crosses and bars
    plot = Plot(stretched(picture.rates), ends, RESULT_ROLES, RATE_AXIS, ACCURACY_AXIS)
    _marks(plot, picture)
    if picture.head is not None:
        plot.rule("y", picture.head, HEAD)
        at = plot.share(0, plot.share_of_y(picture.head) + 0.055)[1]
        plot.text("aside", f"{title_of(HEAD)} {picture.head:.{places}f}", plot.x[1], at, HEAD)
    if picture.only is None:
        draw_grey(plot, picture.grey)
        draw_curves(plot, picture.results, places)
        draw_lost(plot, picture.results, CROSSES)
        for place, (method, region) in enumerate(picture.regions.items()):
            y = plot.share(0, 0.035 + 0.05 * place)[1]
            said = f"{title_of(method)}: {region.width()}, {region.text()}"
            plot.span("region", method, y, region.low, region.high, said)
    else:
        draw_single(plot, _at(picture.results, picture.only), places)
        draw_lost(plot, _at(picture.results, picture.only), CROSSES)
    _finish(plot, picture, known(picture.results))
    what = f"thick bars: good rates{grey_note(picture.grey)}" if picture.only is None else HIDDEN
    return plot.figure(
        "accuracy" if metric.is_share else "test_loss",
        f"Test {metric.noun}",
        f"{metric.unit}, bands: 95 % over seeds; {what}",
        f"Line chart of test {metric.measured} against the learning rate on a logarithmic axis, one line for each "
        "method with a 95 % band over seeds; a thick bar below marks the rates with which a method does nearly as well "
        "as with its best, an upright line where the race stands, crosses where runs diverged.",
    )


def loss_figure(picture: PlottedSweep) -> Figure:
    """Test loss against the learning rate."""
    values = [each.mean for curve in picture.loss.values() for each in curve if each.mean is not None]
    roof = 1.16 * max([1.0, *values])
    plot = Plot(stretched(picture.rates), (0.0, roof), LOSS_ROLES, RATE_AXIS)
    _marks(plot, picture)
    if picture.only is None:
        draw_curves(plot, picture.loss, decimals=2)
    else:
        draw_single(plot, _at(picture.loss, picture.only), decimals=2)
    _finish(plot, picture, values)
    return plot.figure(
        "loss",
        "Test loss",
        "mean cross-entropy after the last step" + ("" if picture.only is None else f"; {HIDDEN}"),
        "Line chart of the mean test loss against the learning rate on a logarithmic axis, one line for each method; "
        "an upright line marks where the race stands.",
    )


def difference_figure(picture: PlottedSweep) -> Figure:
    """Paired difference with one rate for both, against that rate."""
    metric = picture.metric
    tuned = [] if picture.tuned is None else [Estimate(picture.rates[0], picture.tuned)]
    plot = Plot(
        stretched(picture.rates),
        difference_ends([*picture.difference, *tuned, *mean_only(picture.grey_difference)], metric),
        DIFFERENCE_ROLES,
        RATE_AXIS,
        Axis(format="+~f"),
    )
    _marks(plot, picture, named=False)
    told = [f"{metric.difference_unit}, one rate for both; bars: 95 %"]
    if picture.pair:
        if picture.only is None:
            draw_grey(plot, picture.grey_difference)
        shown = [each for each in picture.difference if picture.only in (None, each.x)]
        shares = [plot.share_of_x(rate) for rate in picture.marks.values()]
        crossed = any(0 <= share < 0.5 for share in shares)
        draw_difference(plot, shown, picture.pair, metric, alone=picture.only is not None, right=crossed)
        if picture.tuned is not None and picture.only is None:
            plot.rule("y", picture.tuned, INK_SERIES)
            plot.text("label", f"{signed(picture.tuned, metric.decimals)} tuned", plot.x[1], picture.tuned, INK_SERIES)
            told.append("dashed: each tuned")
    empty = not any(each.mean is not None for each in picture.difference)
    message = no_pair(picture.pair, picture.message)
    finish(plot, empty=empty, recorded=picture.recorded, message=message, low=True)
    return plot.figure(
        "difference",
        difference_title(picture.pair),
        "; ".join(told) + (grey_note(picture.grey_difference) if picture.only is None else f"; {HIDDEN}"),
        f"Points with 95 % intervals of the paired difference of test {metric.noun} when both methods have one "
        "learning rate, against that rate on a logarithmic axis, single seeds as small points, with a line at zero "
        "and one at the difference with each method at its own tuned rate.",
    )


def _at(curves: Curves, rate: float) -> Curves:
    return {method: [each for each in curve if each.x == rate] for method, curve in curves.items()}


def _marks(plot: Plot, picture: PlottedSweep, named: bool = True) -> None:
    """Upright rules, named at the top, a line lower for each."""
    left, right = plot.x
    for place, (text, rate) in enumerate(picture.marks.items()):
        if not left <= rate <= right:
            continue
        plot.rule("x", rate)
        if named:
            role = "note" if rate**2 < left * right else "aside"
            plot.text(role, text, rate, plot.share(0, 0.955 - 0.1 * place)[1])


def _finish(plot: Plot, picture: PlottedSweep, values: Sequence[float]) -> None:
    plot.keep_room(title_of(HEAD))
    finish(plot, empty=not values, recorded=picture.recorded, message=picture.message, low=True)
