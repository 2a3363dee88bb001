"""Accuracy and loss of a race against the norm of delta_weight: the same road at another speed, or another road?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from replora.events import Diverged, Evaluated, Event, PerRun, Step, started_of
from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.race.curves import Curve, Reader, accuracies, counted, curves, methods_of, tested
from replora.figures.race.drawing import name_ends
from replora.figures.race.figures import PlottedRace
from replora.figures.race.losses import loss_range
from replora.figures.scales import nice_ceiling
from replora.figures.style import NEUTRAL_SERIES, RACE_STYLES, STYLES, title_of
from replora.methods import OURS, REFERENCE, has_adapter
from replora.statistics.equal_norm import equal_norm, no_common_norm, rising
from replora.statistics.metrics import ACCURACY, metric_of
from replora.statistics.verdict import lost_count
from replora.wording import listing

NORM_AXIS = Axis("norm of delta_weight", format="~g", zero="0", grid=False, ticks=6)
ROLES = ("earlier", "faint", "main", "value", "label", "room", "stamp", "message")
LEAST_NORM, LEAST_LOSS = 0.1, 1.0
OVER = "over the norm of delta_weight then"
STEPS_APART = 0.05  # of the steps: heads that have trained as long as this apart are said to


def figures_by_norm(picture: PlottedRace) -> list[Figure]:
    """Both, first that of what runs are judged by."""
    both = [accuracy_by_norm(picture), loss_by_norm(picture)]
    return both if picture.metric.is_share else both[::-1]


def accuracy_by_norm(picture: PlottedRace) -> Figure:
    """Test accuracy in per cent at each evaluation, over the norm that the run then had: of texts that go on the share
    of tokens that were thought the most probable.
    """
    title = "Test accuracy" if picture.metric.is_share else "Next tokens guessed"
    return _figure(picture, accuracies, "accuracy", title, f"% {OVER}")


def loss_by_norm(picture: PlottedRace) -> Figure:
    """Test loss likewise."""
    unit = "" if picture.metric.is_share else f"{picture.metric.unit}, "
    return _figure(picture, tested_losses, "loss", "Test loss", f"{unit}{OVER}")


def tested_losses(event: Event) -> PerRun | None:
    """Mean losses on the test examples."""
    return event.losses if isinstance(event, Evaluated) else None


def norms_then(events: Sequence[Event]) -> dict[int, PerRun]:
    """The norms after each step of an evaluation.

    Older evaluations do not tell them: then those before the next step, and after the last one, whose rate is all but
    zero, those before it.
    """
    steps = [each for each in events if isinstance(each, Step)]
    before = {each.step - 1: each.delta_norms for each in steps}
    last = steps[-1].delta_norms if steps else ()
    tested = [each for each in events if isinstance(each, Evaluated)]
    return {each.step: each.delta_norms or before.get(each.step, last) for each in tested}


def over_norm(events: Sequence[Event], read: Reader) -> list[Curve]:
    """The curves of runs with adapters, norms in place of steps."""
    norms = norms_then(events)
    found = []
    for run, curve in enumerate(curves(events, read)):
        then = [(norms[int(step)][run] if norms[int(step)] else None, value) for step, value in curve.points]
        points = tuple((norm, value) for norm, value in then if norm is not None)
        if has_adapter(curve.method):
            found.append(replace(curve, points=points))
    return found


def equal_norm_sentences(events: Sequence[Event]) -> list[str]:
    """Whether both methods are apart at equal norm, and for how long their heads had then trained."""
    begun = started_of(events)
    metric = metric_of(begun.spec.task) if begun else ACCURACY
    raced = [each for each in over_norm(events, tested(metric)) if each.method in (OURS, REFERENCE)]
    found = [each for each in raced if each.points and each.diverged is None]
    diverged = sum(each.diverged is not None for each in raced)
    roads = [(curve, [(norm, value / metric.scale) for norm, value in curve.points]) for curve in found]
    by = {name: {curve.seed: road for curve, road in roads if curve.method == name} for name in (OURS, REFERENCE)}
    if not all(by.values()):
        return []
    equal = equal_norm(by[OURS], by[REFERENCE])
    if equal is None:
        return [no_common_norm(OURS, REFERENCE)]
    steps = {name: _steps_at(events, name, equal.high) for name in by}
    lost = f"{lost_count(diverged, len(raced))}." if diverged else ""
    said = [equal.sentence(OURS, REFERENCE, lost=lost, metric=metric)]
    has_heads = begun is not None and any(facts.head_parameters for facts in begun.facts)
    if begun and has_heads and abs(steps[OURS] - steps[REFERENCE]) > STEPS_APART * begun.spec.steps:
        had = [f"{title_of(name)}'s for {steps[name]:.0f} steps" for name in (REFERENCE, OURS)]
        said.append(f"At norm {equal.high:.2f} their heads had trained for unlike long: {listing(had)}.")
    return said


def _steps_at(events: Sequence[Event], method: str, norm: float) -> float:
    """After how many steps the runs of a method first had a norm, on average."""
    lost = {each.run for each in events if isinstance(each, Diverged)}
    begun = started_of(events)
    assert begun, "Runs with points have begun."
    places = [run for run, facts in enumerate(begun.spec.runs) if facts.method.name == method and run not in lost]
    norms = norms_then(events)
    reached = []
    for run in places:
        points = rising([(of[run] or 0.0, float(step)) for step, of in sorted(norms.items()) if of])
        reached.append(next((step for size, step in points if size >= norm), points[-1][1]))
    return sum(reached) / len(reached)


def _figure(picture: PlottedRace, read: Reader, key: str, title: str, unit: str) -> Figure:
    found = over_norm(picture.events, read)
    earlier = [over_norm(events, read) for events in picture.earlier]
    every = [*found, *(curve for others in earlier for curve in others)]
    alive = [each for each in every if each.diverged is None] or every
    wide = nice_ceiling(max([LEAST_NORM, *(norm for each in alive for norm, _ in each.points)]))
    ends = _ends(picture, alive, key)
    plot = Plot((0.0, wide), ends, ROLES, NORM_AXIS, Axis(zero="0", tick_marks=False), looks=RACE_STYLES)
    plot.keep_room(max((title_of(method) for method in STYLES), key=len))
    named = []
    for number, others in enumerate(earlier):
        for curve in others:
            plot.line("earlier", curve.method, curve.points, f"earlier {number} {curve.method} {curve.seed}")
        grey = max((curve.points[-1] for curve in others if curve.points), default=None)
        if grey and not number:
            named.append((NEUTRAL_SERIES, picture.named, grey))
    for method in methods_of(found):
        own = counted(found, method)
        for curve in own:
            plot.line("main" if len(own) == 1 else "faint", method, curve.points, f"{method} {curve.seed}")
            for norm, value in curve.points:
                plot.point("value", method, norm, value)
        last = max((curve.points[-1] for curve in own if curve.points), default=None)
        if last:
            named.append((method, title_of(method), last))
    name_ends(plot, {series: (end, name) for series, name, end in named})
    if picture.recorded:
        plot.stamp(0.06)
    if not any(curve.points for curve in found):
        plot.message(picture.message, 0.6)
    return plot.figure(
        f"{key}_by_norm",
        title,
        unit,
        f"Line chart of the {title.lower()} against the Frobenius norm of all delta_weight, one line for each run; "
        "runs of one colour are of one method.",
    )


def _ends(picture: PlottedRace, found: Sequence[Curve], key: str) -> tuple[float, float]:
    """Of the upright axis."""
    if key == "accuracy":
        return 0.0, 100.0
    if not picture.metric.is_share:
        return loss_range(picture.events, found)
    return 0.0, nice_ceiling(max([LEAST_LOSS, *(value for curve in found for _, value in curve.points)]))
