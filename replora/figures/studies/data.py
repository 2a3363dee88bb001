"""The pictures of a data study: accuracy and paired difference against data fraction, and what hangs on the rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.scales import stretched
from replora.figures.studies.estimates import (
    ACCURACY_AXIS,
    DIFFERENCE_ROLES,
    FRACTION_AXIS,
    Curves,
    Estimate,
    difference_ends,
    difference_title,
    draw_curves,
    draw_difference,
    draw_grey,
    draw_lost,
    finish,
    grey_note,
    known,
    lost_methods,
    mean_only,
    means,
    no_pair,
    result_ends,
    say_who_is_ahead,
)
from replora.figures.style import INK_SERIES, OTHER_SERIES, title_of
from replora.methods import HEAD, OURS, REFERENCE
from replora.statistics.data_needed import DataNeeded
from replora.statistics.metrics import ACCURACY, Metric
from replora.wording import count, signed

RESULT_ROLES = (
    "earlier", "band", "y", "x", "main", "reach", "dot", "cross", "label", "room", "note", "aside", "over", "stamp",
    "message",
)  # fmt: skip
LOSS_ROLES = ("band", "main", "dot", "label", "room", "stamp", "message")
CHOSEN_ROLES = ("y", "main", "dot", "ring", "label", "room", "note", "stamp", "message")
# times what an axis of differences spans at least; where a rate ruins one of the two, the others are still told apart
MOST_SHARED = 2.5
SHARED_ROLES = ("zero", "thin", "main", "small", "dot", "label", "room", "corner", "stamp", "message")


@dataclass(frozen=True)
class PlottedDataStudy:
    """What the figures show; results and differences as the metric shows them, in per cent and points or in nats.

    chosen: the rate of each method by fraction. shared: by rate, differences with that one rate for both, empty where
    there is no grid to look them up in; `rate`: the one that is shown, None where rates are tuned. grey: a
    recorded study behind one's own.
    """

    fractions: Sequence[float]
    results: Curves = field(default_factory=dict)
    loss: Curves = field(default_factory=dict)
    pair: tuple[str, str] | None = None
    difference: Sequence[Estimate] = ()
    needed: DataNeeded | None = None
    chosen: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    rates: Sequence[float] = ()
    shared: Mapping[float, Sequence[Estimate]] = field(default_factory=dict)
    rate: float | None = None
    test_examples: int = 0
    grey: Curves = field(default_factory=dict)
    grey_difference: Curves = field(default_factory=dict)
    recorded: bool = False
    message: str = ""
    metric: Metric = ACCURACY


def data_figures(picture: PlottedDataStudy) -> list[Figure]:
    """Results and difference; then the chosen rates where they are tuned, else what other shared rates would give,
    or, where only one rate was run and runs are not judged by it, the loss.
    """
    both = [result_figure(picture), difference_figure(picture)]
    if picture.rate is None:
        return [*both, chosen_figure(picture)]
    if picture.shared:
        return [*both, shared_figure(picture)]
    return [*both, loss_figure(picture)] if picture.metric.is_share else both


def result_figure(picture: PlottedDataStudy) -> Figure:
    """What runs are judged by against data fraction, and the data needed read off."""
    metric, values = picture.metric, known(picture.results)
    low, high = result_ends([*values, *means(picture.grey)], metric)
    rows = len(lost_methods(picture.results))
    margin = (0.16 + 0.26 * rows) * (high - low) if rows else 0.0
    plot = _plot(picture, (low - margin, high), RESULT_ROLES, ACCURACY_AXIS)
    if picture.needed and picture.needed.is_told and values:
        _read_off(plot, picture.needed)
    draw_grey(plot, picture.grey)
    draw_curves(plot, picture.results, metric.decimals)
    draw_lost(plot, picture.results, 0.15)
    plot.keep_room(title_of(HEAD))
    finish(plot, empty=not values, recorded=picture.recorded, message=picture.message, low=True)
    examples = "test examples" if metric.is_share else "test pieces"
    tested = f"{metric.unit} of {count(picture.test_examples) if picture.test_examples else 'the'} {examples}"
    better = "" if metric.is_share else "; lower is better"
    return plot.figure(
        "accuracy" if metric.is_share else "test_loss",
        f"Test {metric.noun}",
        f"{tested}{better}; bands: 95 % over seeds{grey_note(picture.grey)}",
        f"Line chart of test {metric.measured} against the fraction of the training data on a logarithmic axis, one "
        f"line for each method with a 95 % band over seeds. A level line marks the {metric.noun} that the reference "
        "has with the most data, an upright one the fraction with which the other method reaches it.",
    )


def _read_off(plot: Plot, needed: DataNeeded) -> None:
    """The reference's result as a level rule, where it is reached as an upright one, the interval along the first."""
    if needed.target is None:
        return
    left, right = plot.x
    target = needed.metric.scale * needed.target
    plot.rule("y", target)
    if needed.value is None or not needed.excludes_some:
        share = plot.share_of_y(target)
        y = plot.share(0, share + (0.06 if share < 0.85 else -0.06))[1]
        if needed.low is not None and needed.high is not None:
            plot.span("reach", needed.method, target, needed.low, needed.high, needed.text())
        if needed.excludes_some:
            said = f"not reached by {title_of(needed.method)} {needed.bracket()}".rstrip()
            plot.text("note", said, left, y, needed.method)
        else:
            said = f"no share is excluded for {title_of(needed.method)}"
            plot.text("aside", said, right, plot.share(0, 0.17)[1], needed.method)  # below all that rises
        return
    plot.rule("x", needed.value, needed.method)
    if needed.low is not None:
        high = right if needed.open_high or needed.high is None else needed.high
        plot.span("reach", needed.method, target, needed.low, high, needed.text())
    role = "aside" if needed.value > 0.2 else "note"
    plot.text(role, needed.text(), needed.value, plot.share(0, 0.17)[1], needed.method)


def difference_figure(picture: PlottedDataStudy) -> Figure:
    """Paired difference against data fraction."""
    metric = picture.metric
    ends = difference_ends([*picture.difference, *mean_only(picture.grey_difference)], metric)
    plot = _plot(picture, ends, DIFFERENCE_ROLES, Axis(format="+~f"))
    draw_grey(plot, picture.grey_difference)
    if picture.pair:
        draw_difference(plot, picture.difference, picture.pair, metric)
    empty = not any(each.mean is not None for each in picture.difference)
    message = no_pair(picture.pair, picture.message)
    finish(plot, empty=empty, recorded=picture.recorded, message=message, low=True)
    return plot.figure(
        "difference",
        difference_title(picture.pair),
        f"{metric.difference_unit}; bars: 95 %, small: single seeds{grey_note(picture.grey_difference)}",
        f"Points with 95 % intervals of the paired difference of test {metric.noun} against the fraction of the "
        "training data, single seeds as small points, with a line at zero: "
        f"{'below' if metric.lower_is_better else 'above'} it the first method is ahead.",
    )


def chosen_figure(picture: PlottedDataStudy) -> Figure:
    """The rate that validation chose for each method at each fraction."""
    rates = picture.rates or (1e-4, 1e-1)
    plot = Plot(
        stretched(picture.fractions), stretched(rates, 0.15), CHOSEN_ROLES, FRACTION_AXIS, Axis(log=True),
        x_ticks=tuple(picture.fractions),
    )  # fmt: skip
    ends = []
    for method, chosen in picture.chosen.items():
        points = sorted(chosen.items())
        plot.line("main", method, points)
        for fraction, rate in points:
            name = f"{title_of(method)}: rate {rate:g} with {100 * fraction:g} % of the data"
            plot.point("ring" if method == REFERENCE else "dot", method, fraction, rate, name)
        if points:
            ends.append((method, title_of(method), points[-1][1]))
    if ends:
        plot.labels(ends, max(max(each) for each in picture.chosen.values() if each), gap=0.11)
        for rate in (rates[0], rates[-1]):
            plot.rule("y", rate)
        plot.text("note", "end of the grid", plot.x[0], plot.share(0, plot.share_of_y(rates[-1]) - 0.06)[1])
    plot.keep_room(title_of(HEAD))
    finish(plot, empty=not ends, recorded=picture.recorded, message=picture.message, low=True)
    return plot.figure(
        "chosen",
        "Learning rate chosen",
        f"by {picture.metric.noun} on held-out examples",
        "Line chart of the learning rate that was best on held-out examples against the fraction of the training data, "
        "both on logarithmic axes, one line for each method, with lines at both ends of the grid.",
    )


def shared_figure(picture: PlottedDataStudy) -> Figure:
    """The paired difference with each rate of the grid as the one rate for both."""
    estimates = [each for curve in picture.shared.values() for each in curve]
    means = [Estimate(each.x, each.mean) for each in estimates]
    metric, most = picture.metric, difference_ends(means, picture.metric)[1]
    roof = min(most, MOST_SHARED * metric.low)
    cut = f"; cut off at {roof:g}" if most > roof else ""
    plot = _plot(picture, (-roof, roof), SHARED_ROLES, Axis(format="+~f"))
    plot.rule("zero", 0.0)
    ends = []
    for rate, curve in picture.shared.items():
        points = [(each.x, each.mean) for each in curve if each.mean is not None]
        here = rate == picture.rate
        series = INK_SERIES if here else OTHER_SERIES
        plot.line("main" if here else "thin", series, points, f"rate {rate:g}")
        for x, mean in points:
            told = f"rate {rate:g}: {signed(mean, metric.decimals)} {metric.difference_unit}"
            plot.point("dot" if here else "small", series, x, mean, told)
        if points and points[-1][0] == max(picture.fractions) and abs(points[-1][1]) <= roof:
            ends.append((series, f"rate {rate:g}" if here else f"{rate:g}", points[-1][1]))
    if ends:
        plot.labels(ends, max(picture.fractions), gap=0.095)
    say_who_is_ahead(plot, picture.pair or (OURS, REFERENCE), metric)
    finish(plot, empty=not means, recorded=picture.recorded, message=picture.message, low=True)
    return plot.figure(
        "shared",
        f"{difference_title(picture.pair)}, rate by rate",
        f"{metric.difference_unit}; thick: the rate shown{cut}",
        f"Line chart of the paired difference of test {metric.noun} against the fraction of the training data, one "
        "line for each learning rate that both methods might share; the one that is shown is thick.",
    )


def loss_figure(picture: PlottedDataStudy) -> Figure:
    """Test loss against data fraction."""
    values = known(picture.loss)
    plot = _plot(picture, (0.0, max([1.0, *(1.08 * each for each in values)])), LOSS_ROLES)
    draw_curves(plot, picture.loss, decimals=2)
    plot.keep_room(title_of(HEAD))
    finish(plot, empty=not values, recorded=picture.recorded, message=picture.message, low=True)
    return plot.figure(
        "loss",
        "Test loss",
        "mean cross-entropy after the last step",
        "Line chart of the mean test loss against the fraction of the training data on a logarithmic axis, one line "
        "for each method.",
    )


def _plot(
    picture: PlottedDataStudy, ends: tuple[float, float], roles: tuple[str, ...], y_axis: Axis | None = None
) -> Plot:
    return Plot(
        stretched(picture.fractions),
        ends,
        roles,
        FRACTION_AXIS,
        y_axis or Axis(),
        x_ticks=tuple(picture.fractions),
    )
