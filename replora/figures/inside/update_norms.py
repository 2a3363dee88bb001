"""How fast delta_weight grows: its norm against the step for both methods, and RepLoRA's over LoRA's."""

from __future__ import annotations

from collections.abc import Sequence

from replora.events import RateChanged
from replora.figures.chart import Drawing, chart_spec
from replora.figures.figure import Figure
from replora.figures.race.curves import Curve, Point, curves, delta_norms, mean_points, thinned
from replora.figures.race.figures import HIGH, MESSAGE, PlottedRace, norm_figure
from replora.figures.scales import format_rate, nice_ceiling
from replora.figures.style import title_of

LEAST_RATIO = 2.0
TIMES = "\u00d7"
RATIO_STEPS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def update_norm_figures(picture: PlottedRace) -> list[Figure]:
    """Both, in the order in which they are read."""
    return [norm_figure(picture), norm_ratio_figure(picture)]


def norm_ratio_figure(picture: PlottedRace) -> Figure:
    """The norm of RepLoRA's delta_weight over that of LoRA's, seed by seed."""
    found = norm_ratios(curves(picture.events, delta_norms))
    mean = mean_points(found)
    roof = nice_ceiling(max([LEAST_RATIO, *(1.1 * value for _, value in mean)]), RATIO_STEPS)
    drawing = Drawing(picture.spec.steps, 0.0, roof)
    drawing.line("earlier", "equal", "replora", [(0, 1.0), (picture.spec.steps, 1.0)])
    if len(found) > 1:
        for curve in found:
            drawing.line("run", f"seed {curve.seed}", "replora", thinned(curve.points))
    drawing.line("mean", "mean", "replora", thinned(mean))
    drawing.value_at("ratio", thinned(mean))
    if mean:
        drawing.labels({"replora": (mean[-1], f"{TIMES} {mean[-1][1]:.1f}")})
    _annotate(drawing, picture, found)
    return Figure(
        "norm_ratio",
        f"{title_of('replora')}'s norm over {title_of('lora')}'s",
        _unit(picture),
        "Line chart of the norm of RepLoRA's delta_weight divided by that of LoRA's against the training step, with a "
        "line at one: above it RepLoRA has moved further in as many steps.",
        chart_spec(hover={"ratio": "RepLoRA / LoRA"}, value_format=".2f"),
        drawing.data(),
    )


def norm_ratios(found: Sequence[Curve]) -> list[Curve]:
    """RepLoRA over LoRA for each seed of which both lived, at the steps at which LoRA has moved at all."""
    alive = {(each.method, each.seed): each for each in found if each.diverged is None}
    return [
        Curve("replora", seed, _quotients(ours.points, alive["lora", seed].points))
        for (method, seed), ours in alive.items()
        if method == "replora" and ("lora", seed) in alive
    ]


def _quotients(ours: Sequence[Point], theirs: Sequence[Point]) -> tuple[Point, ...]:
    by_step = dict(theirs)
    return tuple((step, value / by_step[step]) for step, value in ours if by_step.get(step))


def _annotate(drawing: Drawing, picture: PlottedRace, found: Sequence[Curve]) -> None:
    """Where the rate changed, what is recorded, and what is missing."""
    for event in picture.events:
        if isinstance(event, RateChanged):
            rates = ", ".join(format_rate(rate) for rate in dict.fromkeys(event.learning_rates))
            drawing.rule("rate", event.step, f"rate {rates}", HIGH + 0.02)
    if picture.recorded:
        drawing.text("stamp", "recorded", drawing.steps, HIGH)
    if not any(each.points for each in found):
        drawing.text("message", _missing(picture), drawing.steps / 2, MESSAGE)


def _missing(picture: PlottedRace) -> str:
    if not {"lora", "replora"} <= {run.method.name for run in picture.spec.runs}:
        return "Needs both methods"
    if any(each.diverged is not None for each in curves(picture.events, delta_norms)):
        return "No pair of runs is left"
    return picture.message or "Nothing measured yet"


def _unit(picture: PlottedRace) -> str:
    """Whether both had one learning rate, without which the ratio says little."""
    rates = {run.learning_rate for run in picture.spec.runs if run.method.name in ("lora", "replora")}
    return f"one learning rate, {format_rate(rates.pop())}" if len(rates) == 1 else "their learning rates differ"
