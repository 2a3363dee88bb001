"""How fast delta_weight grows: its norm against the step for both methods, and RepLoRA's over LoRA's."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from replora.figures.figure import Figure
from replora.figures.plot import Plot
from replora.figures.race.curves import Curve, Point, accuracies, curves, delta_norms, mean_points, thinned
from replora.figures.race.drawing import (
    draw_mean,
    draw_rate_changes,
    name_ends,
    step_plot,
)
from replora.figures.race.figures import HIGH, MESSAGE, PlottedRace, norm_figure
from replora.figures.scales import format_rate, nice_ceiling
from replora.figures.style import title_of
from replora.methods import OURS, REFERENCE
from replora.statistics.verdict import seeds_in_words
from replora.wording import counted

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
    hover = {"ratio": f"{title_of(OURS)} / {title_of(REFERENCE)}"}
    plot = step_plot(picture.spec.steps, 0.0, roof, hover, ".2f", roles=("zero",))
    plot.rule("zero", 1.0)
    if len(found) > 1:
        for curve in found:
            plot.line("faint", OURS, thinned(curve.points), f"seed {curve.seed}")
    draw_mean(plot, OURS, thinned(mean), "mean", dots=False)
    plot.value_at("ratio", thinned(mean))
    if mean:
        name_ends(plot, {OURS: (mean[-1], f"{TIMES} {mean[-1][1]:.1f}")})
    _annotate(plot, picture, found)
    return plot.figure(
        "norm_ratio",
        f"{title_of(OURS)}'s norm over {title_of(REFERENCE)}'s",
        _unit(picture),
        "Line chart of the norm of RepLoRA's delta_weight divided by that of LoRA's against the training step, with a "
        "line at one: above it RepLoRA has moved further in as many steps.",
    )


def norm_sentence(picture: PlottedRace) -> str:
    """How far both have gone and what they then got right, over the seeds of which both lived; '' before a test."""
    ratios = norm_ratios(curves(picture.events, delta_norms))
    mean, seeds = mean_points(ratios), {each.seed for each in ratios if each.points}
    tested = [each for each in curves(picture.events, accuracies) if each.seed in seeds and each.points]
    ends = {name: [each.points[-1] for each in tested if each.method == name] for name in (OURS, REFERENCE)}
    if not mean or not all(ends.values()):
        return ""
    right = {name: fmean(accuracy for _, accuracy in points) for name, points in ends.items()}
    return (
        f"After {counted(int(mean[-1][0]), 'step')} {title_of(OURS)}'s delta_weight is {mean[-1][1]:.1f} times "
        f"{title_of(REFERENCE)}'s, {seeds_in_words(len(seeds))}; at the last test {title_of(OURS)} had "
        f"{right[OURS]:.1f} % right and {title_of(REFERENCE)} {right[REFERENCE]:.1f} %. Further along is not yet "
        "better."
    )


def norm_ratios(found: Sequence[Curve]) -> list[Curve]:
    """RepLoRA over LoRA for each seed of which both lived, at the steps at which LoRA has moved at all."""
    alive = {(each.method, each.seed): each for each in found if each.diverged is None}
    return [
        Curve(OURS, seed, _quotients(ours.points, alive[REFERENCE, seed].points))
        for (method, seed), ours in alive.items()
        if method == OURS and (REFERENCE, seed) in alive
    ]


def _quotients(ours: Sequence[Point], theirs: Sequence[Point]) -> tuple[Point, ...]:
    by_step = dict(theirs)
    return tuple((step, value / by_step[step]) for step, value in ours if by_step.get(step))


def _annotate(plot: Plot, picture: PlottedRace, found: Sequence[Curve]) -> None:
    """Where the rate changed, what is recorded, and what is missing."""
    draw_rate_changes(plot, picture.events, HIGH + 0.02)
    if picture.recorded:
        plot.stamp(HIGH)
    if not any(curve.points for curve in found):
        plot.message(_missing(picture), MESSAGE)


def _missing(picture: PlottedRace) -> str:
    if not {OURS, REFERENCE} <= {run.method.name for run in picture.spec.runs}:
        return "Needs both methods"
    if any(each.diverged is not None for each in curves(picture.events, delta_norms)):
        return "No pair of runs is left"
    return picture.message


def _unit(picture: PlottedRace) -> str:
    """Whether both had one learning rate, without which the ratio says little."""
    rates = {run.learning_rate for run in picture.spec.runs if run.method.name in (OURS, REFERENCE)}
    return f"one learning rate, {format_rate(rates.pop())}" if len(rates) == 1 else "their learning rates differ"
