"""Accuracy and loss of a race against the norm of delta_weight: the same road at another speed, or another road?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from replora.events import Diverged, Evaluated, Event, PerRun, Step, started_of
from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.race.curves import Curve, Reader, accuracies, counted, curves, methods_of
from replora.figures.race.drawing import name_ends
from replora.figures.race.figures import PlottedRace
from replora.figures.scales import nice_ceiling
from replora.figures.style import NEUTRAL_SERIES, RACE_STYLES, STYLES, title_of
from replora.methods import OURS, REFERENCE, has_adapter
from replora.statistics.equal_norm import equal_norm, no_common_norm, rising
from replora.statistics.verdict import lost_count
from replora.wording import listing

NORM_AXIS = Axis("norm of delta_weight", format="~g", zero="0", grid=False, ticks=6)
ROLES = ("earlier", "faint", "main", "value", "label", "room", "stamp", "message")
LEAST_NORM, LEAST_LOSS = 0.1, 1.0
STEPS_APART = 0.05  # of the steps: heads that have trained as long as this apart are said to


def accuracy_by_norm(picture: PlottedRace) -> Figure:
    """Test accuracy in per cent at each evaluation, over the norm that the run then had."""
    return _figure(picture, accuracies, "accuracy", "Test accuracy", "%, over the norm of delta_weight then", 100.0)


def loss_by_norm(picture: PlottedRace) -> Figure:
    """Test loss likewise."""
    return _figure(picture, tested_losses, "loss", "Test loss", "over the norm of delta_weight then", None)


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
    raced = [each for each in over_norm(events, accuracies) if each.method in (OURS, REFERENCE)]
    found = [each for each in raced if each.points and each.diverged is None]
    diverged = sum(each.diverged is not None for each in raced)
    by = {
        name: {each.seed: [(norm, value / 100) for norm, value in each.points] for each in found if each.method == name}
        for name in (OURS, REFERENCE)
    }
    if not all(by.values()):
        return []
    equal = equal_norm(by[OURS], by[REFERENCE])
    if equal is None:
        return [no_common_norm(OURS, REFERENCE)]
    steps = {name: _steps_at(events, name, equal.high) for name in by}
    lost = f"{lost_count(diverged, len(raced))}." if diverged else ""
    said = [equal.sentence(OURS, REFERENCE, lost=lost)]
    begun = started_of(events)
    if begun and abs(steps[OURS] - steps[REFERENCE]) > STEPS_APART * begun.spec.steps:
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


def _figure(picture: PlottedRace, read: Reader, key: str, title: str, unit: str, roof: float | None) -> Figure:
    found = over_norm(picture.events, read)
    earlier = [over_norm(events, read) for events in picture.earlier]
    every = [*found, *(curve for others in earlier for curve in others)]
    alive = [each for each in every if each.diverged is None] or every
    wide = nice_ceiling(max([LEAST_NORM, *(norm for each in alive for norm, _ in each.points)]))
    top = roof or nice_ceiling(max([LEAST_LOSS, *(value for each in alive for _, value in each.points)]))
    plot = Plot((0.0, wide), (0.0, top), ROLES, NORM_AXIS, Axis(zero="0", tick_marks=False), looks=RACE_STYLES)
    plot.keep_room(max((title_of(method) for method in STYLES), key=len))
    ends = []
    for number, others in enumerate(earlier):
        for curve in others:
            plot.line("earlier", curve.method, curve.points, f"earlier {number} {curve.method} {curve.seed}")
        grey = max((curve.points[-1] for curve in others if curve.points), default=None)
        if grey and not number:
            ends.append((NEUTRAL_SERIES, picture.named, grey))
    for method in methods_of(found):
        own = counted(found, method)
        for curve in own:
            plot.line("main" if len(own) == 1 else "faint", method, curve.points, f"{method} {curve.seed}")
            for norm, value in curve.points:
                plot.point("value", method, norm, value)
        last = max((curve.points[-1] for curve in own if curve.points), default=None)
        if last:
            ends.append((method, title_of(method), last))
    name_ends(plot, {series: (end, name) for series, name, end in ends})
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
