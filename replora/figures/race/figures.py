"""The four pictures of a race: the test metric, its difference, training loss, and the norm of delta_weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from replora.config import Race
from replora.events import Event, started_of
from replora.figures.figure import Figure
from replora.figures.plot import Plot
from replora.figures.race.curves import (
    MOST_POINTS,
    Curve,
    Reader,
    counted,
    curves,
    delta_norms,
    differences,
    mean_points,
    methods_of,
    tested,
    thinned,
    trailing_mean,
    training_losses,
    with_crossings,
)
from replora.figures.race.drawing import (
    Ends,
    draw_earlier,
    draw_lost_rules,
    draw_lost_runs,
    draw_mean,
    draw_rate_changes,
    name_ends,
    step_plot,
)
from replora.figures.race.losses import draw_untouched, loss_range
from replora.figures.scales import nice_ceiling
from replora.figures.style import NEUTRAL_SERIES, PAIR_SERIES, STYLES, title_of
from replora.methods import OURS, REFERENCE
from replora.statistics.metrics import Metric, metric_of, title_on
from replora.wording import MINUS, count, signed

SMOOTHING = 10  # steps
LOW, MESSAGE, HIGH = 0.06, 0.6, 0.94  # where texts keep clear of frame and zero line, as shares of the height
LEAST_NORM = 0.5
COARSE = (1.0, 2.0, 5.0, 10.0)
POINTS, LEAST_POINTS = 600, 40  # of all curves of a picture together, and of each, while the race is on


@dataclass(frozen=True)
class PlottedRace:
    """What the figures of a race show: it so far, earlier ones in grey, and what to say while there is nothing.

    named: the word at the end of the latest of the earlier ones. means_only: no line for each seed. moving: it is on,
    and pictures follow each other; the more curves there are, the fewer points each then has.
    """

    spec: Race
    events: Sequence[Event] = ()
    earlier: Sequence[Sequence[Event]] = ()
    named: str = "before"
    recorded: bool = False
    message: str = ""
    moving: bool = False
    means_only: bool = False

    @property
    def metric(self) -> Metric:
        """What its runs are judged by."""
        return metric_of(self.spec.task)


def race_figures(picture: PlottedRace) -> list[Figure]:
    """All four, in the order in which they are read."""
    return [*tested_figures(picture), *step_figures(picture)]


def tested_figures(picture: PlottedRace) -> list[Figure]:
    """Those that evaluations change."""
    return [metric_figure(picture), difference_figure(picture)]


def step_figures(picture: PlottedRace) -> list[Figure]:
    """Those that each step changes."""
    return [loss_figure(picture), norm_figure(picture)]


def metric_figure(picture: PlottedRace) -> Figure:
    """What runs are judged by at each evaluation: accuracy in per cent, or the test loss in nats a token."""
    metric, read = picture.metric, tested(picture.metric)
    found = curves(picture.events, read)
    if metric.is_share:
        low, high, unit = 0.0, 100.0, f"% of {count(_tested(picture))} test examples"
    else:
        others = [curve for events in picture.earlier for curve in curves(events, read)]
        low, high = loss_range(picture.events, [*found, *others])
        unit = f"{metric.unit} of {count(_tested(picture))} test pieces; lower is better"
    plot = step_plot(
        picture.spec.steps, low, high, _hover_titles(picture), f".{metric.decimals}f",
        "d" if metric.is_share else "", () if metric.is_share else ("y",),
    )  # fmt: skip
    if not metric.is_share:
        draw_untouched(plot, picture.events, metric.decimals)
    grey = _draw_earlier(plot, picture, read)
    _draw_methods(plot, picture, found, grey, dots=True)
    _annotate(plot, picture, found, stamp=LOW)
    return plot.figure(
        "accuracy" if metric.is_share else "test_loss",
        f"Test {metric.noun}",
        unit,
        f"Line chart of test {metric.measured} against the training step, one line for each method.",
    )


def _tested(picture: PlottedRace) -> int:
    """How many test examples there are, or before that is told, were asked for."""
    begun = started_of(picture.events)
    told = begun.test_examples if begun else 0
    return told or picture.spec.test_examples


def difference_figure(picture: PlottedRace) -> Figure:
    """RepLoRA's metric minus LoRA's, seed by seed, in percentage points or in nats a token."""
    metric = picture.metric
    read, unit = tested(metric), "percentage points" if metric.is_share else metric.difference_unit
    found = differences(curves(picture.events, read))
    earlier = [differences(curves(each, read)) for each in picture.earlier]
    shown = [abs(value) for each in (found, *earlier) for curve in each for _, value in curve.points]
    bound = nice_ceiling(max([metric.low, *(1.35 * each for each in shown)]))  # room for the corners
    plot = step_plot(
        picture.spec.steps, -bound, bound, {"difference": "difference"}, f"+.{metric.decimals}f",
        "+d" if metric.is_share else "+~f", ("band", "zero"),
    )  # fmt: skip
    limit = _limit(picture, len(found) + 3)
    plot.rule("zero", 0.0)
    ends: Ends = {}
    for number, others in enumerate(earlier):
        grey = draw_earlier(plot, OURS, thinned(mean_points(others), limit), f"earlier {number}")
        ends |= {NEUTRAL_SERIES: (grey, picture.named)} if grey and not number else {}
    above, below = (REFERENCE, OURS) if metric.lower_is_better else (OURS, REFERENCE)  # who is ahead there
    plot.text("corner", f"{title_of(above)} ahead", *plot.share(0, HIGH), above)
    plot.text("corner", f"{title_of(below)} ahead", *plot.share(0, LOW), below)
    mean = thinned(mean_points(found), limit)
    plot.band(above, [(step, 0.0, max(0.0, value)) for step, value in with_crossings(mean)], "above")
    plot.band(below, [(step, min(0.0, value), 0.0) for step, value in with_crossings(mean)], "below")
    if len(found) > 1:
        for curve in found:
            plot.line("faint", PAIR_SERIES, thinned(curve.points, limit), f"seed {curve.seed}")
    draw_mean(plot, PAIR_SERIES, mean, "mean")
    plot.value_at("difference", mean)
    if mean:
        ends[PAIR_SERIES] = (mean[-1], signed(mean[-1][1], metric.decimals))
    name_ends(plot, ends)
    _annotate(plot, picture, found, paired=True, stamp=LOW)
    never = _no_pair(picture) if plot.has_earlier and not mean else ""
    return plot.figure(
        "difference",
        f"{title_of(OURS)} {MINUS} {title_of(REFERENCE)}",
        f"{unit} of test {metric.noun}" + (f"; {never[:1].lower()}{never[1:]}" if never else ""),
        f"Line chart of the test {metric.noun} of RepLoRA minus that of LoRA in {unit} against the training step, "
        f"with a line at zero: above it {title_of(above)} is ahead, below it {title_of(below)}.",
    )


def loss_figure(picture: PlottedRace) -> Figure:
    """Cross-entropy of each training batch, thin, and its trailing mean, thick."""
    found = curves(picture.events, training_losses)
    if picture.metric.is_share:
        guess = log(_classes(picture))  # the loss of guessing
        low, roof = 0.0, nice_ceiling(min(max(_largest(found), 1.1 * guess), 4 * guess))
    else:
        low, roof = loss_range(picture.events, found)
    plot = step_plot(picture.spec.steps, low, roof, _hover_titles(picture), ".4f")
    grey = _draw_earlier(plot, picture, training_losses, smoothing=SMOOTHING)
    _draw_methods(plot, picture, found, grey, smoothing=SMOOTHING)
    _annotate(plot, picture, found)
    unit = "" if picture.metric.is_share else f"{picture.metric.unit}; "
    return plot.figure(
        "loss",
        "Training loss",
        f"{unit}thin: each batch of {picture.spec.batch_size}; thick: mean of the last {SMOOTHING} steps",
        "Line chart of the training loss against the training step, one line for each method.",
    )


def norm_figure(picture: PlottedRace) -> Figure:
    """Frobenius norm of all delta_weight together."""
    found = curves(picture.events, delta_norms)
    earlier = [curve for each in picture.earlier for curve in curves(each, delta_norms)]
    alive = [each for each in [*found, *earlier] if each.diverged is None]
    largest = _largest(found + earlier)
    sane = min(largest, 3 * _largest(alive)) if alive else largest  # a run that diverges may be anywhere
    roof = nice_ceiling(max(sane, LEAST_NORM), COARSE)
    plot = step_plot(picture.spec.steps, 0.0, roof, _hover_titles(picture), ".3f")
    grey = _draw_earlier(plot, picture, delta_norms)
    _draw_methods(plot, picture, found, grey)
    _annotate(plot, picture, found)
    return plot.figure(
        "norm",
        "Norm of delta_weight",
        "Frobenius, all adapted matrices together",
        "Line chart of the norm of all delta_weight against the training step, one line for each method.",
    )


def _classes(picture: PlottedRace) -> int:
    started = started_of(picture.events)
    return len(started.classes) if started else 10  # a guess, until the race says


def _largest(found: Sequence[Curve]) -> float:
    return max((value for each in found for _, value in each.points), default=0.0)


def _hover_titles(picture: PlottedRace) -> dict[str, str]:
    raced = {run.method.name for run in picture.spec.runs}
    return {method: title_on(method, picture.metric) for method in STYLES if method in raced}


def _limit(picture: PlottedRace, curves: int) -> int:
    """How many points a curve has, beside those of earlier races one of so many."""
    if not picture.moving:
        return MOST_POINTS
    methods = len({run.method.name for run in picture.spec.runs})
    return max(LEAST_POINTS, min(MOST_POINTS, POINTS // (curves + methods * len(picture.earlier))))


def _draw_methods(
    plot: Plot, picture: PlottedRace, found: Sequence[Curve], grey: Ends, *, smoothing: int = 1, dots: bool = False
) -> None:
    """The runs thin and their mean thick, with a name at its end; a single run that is not smoothed is its own mean.

    grey: the ends of curves that are drawn already.
    """
    ends = {**grey}
    limit = _limit(picture, len(found) + len(methods_of(found)) * (2 if dots else 1) or 1)
    for method in methods_of(found):
        own = [curve for curve in found if curve.method == method]
        if (len(own) > 1 or smoothing > 1) and not picture.means_only:
            for curve in own:
                plot.line("faint", method, thinned(curve.points, limit), f"{method} {curve.seed}")
        exact = mean_points(counted(own, method))
        mean = trailing_mean(exact, smoothing)
        draw_mean(plot, method, thinned(mean, limit), method, dots)
        plot.value_at(method, thinned(exact, limit))
        if mean:
            gone = " diverged" if all(curve.diverged is not None for curve in own) else ""
            ends[method] = (mean[-1], title_on(method, picture.metric) + gone)
    name_ends(plot, ends)


def _draw_earlier(plot: Plot, picture: PlottedRace, read: Reader, smoothing: int = 1) -> Ends:
    """The means of earlier races; where the latest of them has its name, at the method that is compared."""
    ends: Ends = {}
    limit = _limit(picture, 2 * len(picture.spec.runs))
    for number, events in enumerate(picture.earlier):
        found = curves(events, read)
        for method in methods_of(found):
            mean = trailing_mean(mean_points(counted(found, method)), smoothing)
            end = draw_earlier(plot, method, thinned(mean, limit), f"earlier {number} {method}")
            if end and not number and (method == OURS or not ends):
                ends[NEUTRAL_SERIES] = (end, picture.named)
    return ends


def _annotate(
    plot: Plot, picture: PlottedRace, found: Sequence[Curve], *, paired: bool = False, stamp: float = HIGH
) -> None:
    """Where the learning rate changed, where a run diverged, what is recorded, and what is missing."""
    top = HIGH - 0.12 if paired else HIGH + 0.02  # the corner of the difference is taken
    draw_rate_changes(plot, picture.events, top)
    lost = [curve for curve in curves(picture.events, delta_norms) if curve.diverged is not None]
    several = len({run.seed for run in picture.spec.runs}) > 1
    draw_lost_rules(plot, lost, top, several=several, named=paired)
    draw_lost_runs(plot, [each for each in found if each.diverged is not None and each.points], named=several)
    if picture.recorded:
        plot.stamp(stamp)
    if not any(curve.points for curve in found):
        plot.message((_no_pair(picture) if paired else "") or picture.message, MESSAGE)


def _no_pair(picture: PlottedRace) -> str:
    """Why there is no difference and will be none; '' where there may be one."""
    raced = {run.method.name for run in picture.spec.runs}
    if not {OURS, REFERENCE} <= raced:
        return "Needs both methods"
    lost = any(curve.diverged is not None for curve in curves(picture.events, delta_norms))
    return "No pair of runs is left" if lost else ""
