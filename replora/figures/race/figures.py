"""The four pictures of a race: test accuracy, its difference, training loss, and the norm of delta_weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from replora.config import Race
from replora.events import Event, RateChanged, started_of
from replora.figures.chart import Drawing, chart_spec
from replora.figures.figure import Figure
from replora.figures.race.curves import (
    Curve,
    Point,
    Reader,
    accuracies,
    counted,
    curves,
    delta_norms,
    differences,
    mean_points,
    methods_of,
    thinned,
    trailing_mean,
    training_losses,
)
from replora.figures.scales import format_rate, nice_ceiling
from replora.figures.style import STYLES, title_of
from replora.wording import MINUS, signed

SMOOTHING = 10  # steps
LEAST_DIFFERENCE = 10.0  # points either side of zero, so that noise is not blown up to fill the picture
LOW, MESSAGE, HIGH = 0.06, 0.6, 0.94  # where texts keep clear of frame and zero line, as shares of the height
LEAST_NORM = 0.5
COARSE = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class PlottedRace:
    """What the figures of a race show: it so far, earlier ones in grey, and what to say while there is nothing."""

    spec: Race
    events: Sequence[Event] = ()
    earlier: Sequence[Sequence[Event]] = ()
    recorded: bool = False
    message: str = ""


def race_figures(picture: PlottedRace) -> list[Figure]:
    """All four, in the order in which they are read."""
    return [
        accuracy_figure(picture),
        difference_figure(picture),
        loss_figure(picture),
        norm_figure(picture),
    ]


def accuracy_figure(picture: PlottedRace) -> Figure:
    """Test accuracy in per cent, at each evaluation."""
    found = curves(picture.events, accuracies)
    drawing = Drawing(picture.spec.steps, 0.0, 100.0)
    _draw_earlier(drawing, picture, accuracies)
    _draw_methods(drawing, found, dots=True)
    _annotate(drawing, picture, found, stamp=LOW)
    return Figure(
        "accuracy",
        "Test accuracy",
        f"% of {_tested(picture)} test examples",
        "Line chart of test accuracy in per cent against the training step, one line for each method.",
        chart_spec(hover=_hover_titles(picture), value_format=".1f", axis_format="d"),
        drawing.data(),
    )


def _tested(picture: PlottedRace) -> int:
    """How many test examples there are, or before that is told, were asked for."""
    begun = started_of(picture.events)
    told = begun.test_examples if begun else 0
    return told or picture.spec.test_examples


def difference_figure(picture: PlottedRace) -> Figure:
    """RepLoRA's test accuracy minus LoRA's, seed by seed, in percentage points."""
    found = differences(curves(picture.events, accuracies))
    earlier = [differences(curves(each, accuracies)) for each in picture.earlier]
    shown = [abs(value) for each in (found, *earlier) for curve in each for _, value in curve.points]
    bound = nice_ceiling(max([LEAST_DIFFERENCE, *(1.35 * each for each in shown)]))  # room for the corners
    drawing = Drawing(picture.spec.steps, -bound, bound)
    for number, each in enumerate(earlier):
        drawing.line("earlier", f"earlier {number}", "replora", mean_points(each))
    drawing.text("corner", f"{title_of('replora')} ahead", 0, HIGH, "replora")
    drawing.text("corner", f"{title_of('lora')} ahead", 0, LOW, "lora")
    mean = mean_points(found)
    drawing.line("area", "above", "replora", [(step, max(0.0, value)) for step, value in with_crossings(mean)])
    drawing.line("area", "below", "lora", [(step, min(0.0, value)) for step, value in with_crossings(mean)])
    if len(found) > 1:
        for curve in found:
            drawing.line("run", f"seed {curve.seed}", "replora", curve.points)
    drawing.line("mean", "mean", "replora", mean)
    drawing.line("dots", "mean", "replora", mean)
    drawing.value_at("difference", mean)
    if mean:
        step, value = mean[-1]
        drawing.labels({"replora": ((step, value), signed(value))})
    _annotate(drawing, picture, found, paired=True, stamp=LOW)
    return Figure(
        "difference",
        f"{title_of('replora')} {MINUS} {title_of('lora')}",
        "percentage points of test accuracy",
        "Line chart of the test accuracy of RepLoRA minus that of LoRA in percentage points against the training step, "
        "with a line at zero: above it RepLoRA is ahead, below it LoRA.",
        chart_spec(
            hover={"difference": "difference"}, value_format="+.1f", axis_format="+d", zero_line=True, areas=True
        ),
        drawing.data(),
    )


def loss_figure(picture: PlottedRace) -> Figure:
    """Cross-entropy of each training batch, thin, and its trailing mean, thick."""
    found = curves(picture.events, training_losses)
    guess = log(_classes(picture))  # the loss of guessing
    roof = nice_ceiling(min(max(_largest(found), 1.1 * guess), 4 * guess))
    drawing = Drawing(picture.spec.steps, 0.0, roof)
    _draw_earlier(drawing, picture, training_losses, smoothing=SMOOTHING)
    _draw_methods(drawing, found, smoothing=SMOOTHING)
    _annotate(drawing, picture, found)
    return Figure(
        "loss",
        "Training loss",
        f"thin: each batch of {picture.spec.batch_size}; thick: mean of the last {SMOOTHING} steps",
        "Line chart of the training loss against the training step, one line for each method.",
        chart_spec(hover=_hover_titles(picture), value_format=".4f"),
        drawing.data(),
    )


def norm_figure(picture: PlottedRace) -> Figure:
    """Frobenius norm of all delta_weight together."""
    found = curves(picture.events, delta_norms)
    earlier = [curve for each in picture.earlier for curve in curves(each, delta_norms)]
    alive = [each for each in [*found, *earlier] if each.diverged is None]
    largest = _largest(found + earlier)
    sane = min(largest, 3 * _largest(alive)) if alive else largest  # a run that diverges may be anywhere
    roof = nice_ceiling(max(sane, LEAST_NORM), COARSE)
    drawing = Drawing(picture.spec.steps, 0.0, roof)
    _draw_earlier(drawing, picture, delta_norms)
    _draw_methods(drawing, found)
    _annotate(drawing, picture, found)
    return Figure(
        "norm",
        "Norm of delta_weight",
        "Frobenius, all adapted matrices together",
        "Line chart of the norm of all delta_weight against the training step, one line for each method.",
        chart_spec(hover=_hover_titles(picture), value_format=".3f"),
        drawing.data(),
    )


def with_crossings(points: Sequence[Point]) -> list[Point]:
    """The points and, where the line between two of them crosses zero, the crossing."""
    filled: list[Point] = []
    for (step, value), (following, next_value) in pairwise(points):
        filled.append((step, value))
        if value * next_value < 0:
            filled.append((step + (following - step) * value / (value - next_value), 0.0))
    return [*filled, *points[-1:]]


def _classes(picture: PlottedRace) -> int:
    started = started_of(picture.events)
    return len(started.classes) if started else 10  # a guess, until the race says


def _largest(found: Sequence[Curve]) -> float:
    return max((value for each in found for _, value in each.points), default=0.0)


def _hover_titles(picture: PlottedRace) -> dict[str, str]:
    raced = {run.method.name for run in picture.spec.runs}
    return {method: title_of(method) for method in STYLES if method in raced}


def _draw_methods(drawing: Drawing, found: Sequence[Curve], *, smoothing: int = 1, dots: bool = False) -> None:
    """The runs thin and their mean thick, with a name at its end; a single run that is not smoothed is its own mean."""
    ends = {}
    for method in methods_of(found):
        own = [each for each in found if each.method == method]
        if len(own) > 1 or smoothing > 1:
            for curve in own:
                drawing.line("run", f"{method} {curve.seed}", method, thinned(curve.points))
        exact = mean_points(counted(own, method))
        mean = trailing_mean(exact, smoothing)
        drawing.line("mean", method, method, thinned(mean))
        if dots:
            drawing.line("dots", method, method, thinned(mean))
        drawing.value_at(method, thinned(exact))
        if mean:
            gone = " diverged" if all(each.diverged is not None for each in own) else ""
            ends[method] = (mean[-1], title_of(method) + gone)
    drawing.labels(ends)


def _draw_earlier(drawing: Drawing, picture: PlottedRace, read: Reader, smoothing: int = 1) -> None:
    for number, events in enumerate(picture.earlier):
        found = curves(events, read)
        for method in methods_of(found):
            mean = trailing_mean(mean_points(counted(found, method)), smoothing)
            drawing.line("earlier", f"earlier {number} {method}", method, thinned(mean))


def _annotate(
    drawing: Drawing, picture: PlottedRace, found: Sequence[Curve], *, paired: bool = False, stamp: float = HIGH
) -> None:
    """Where the learning rate changed, where a run diverged, what is recorded, and what is missing."""
    top = HIGH - 0.12 if paired else HIGH + 0.02  # the corner of the difference is taken
    for event in picture.events:
        if isinstance(event, RateChanged):
            rates = ", ".join(format_rate(rate) for rate in dict.fromkeys(event.learning_rates))
            drawing.rule("rate", event.step, f"rate {rates}", top)
    lost = [each for each in curves(picture.events, delta_norms) if each.diverged is not None]
    several = len({run.seed for run in picture.spec.runs}) > 1
    for curve in lost:
        what = f"{title_of(curve.method)} diverged" + (f", seed {curve.seed}" if several else "")
        drawing.rule("lost", curve.diverged or 0, what if paired else "", top)
    for curve in found:
        if curve.diverged is not None and curve.points:
            drawing.cross(curve.method, curve.points[-1], f"seed {curve.seed} diverged" if several else "")
    if picture.recorded:
        drawing.text("stamp", "recorded", drawing.steps, stamp)
    if not any(each.points for each in found):
        drawing.text("message", _missing(picture, paired, bool(lost)), drawing.steps / 2, MESSAGE)


def _missing(picture: PlottedRace, paired: bool, lost: bool) -> str:
    raced = {run.method.name for run in picture.spec.runs}
    if paired and not {"lora", "replora"} <= raced:
        return "Needs both methods"
    if paired and lost:
        return "No pair of runs is left"
    return picture.message or "Nothing measured yet"
