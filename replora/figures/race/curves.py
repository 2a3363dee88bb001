"""From events to points: one curve a run, their means, and the thinning and smoothing that a picture needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean

from replora.events import Diverged, Evaluated, Event, PerRun, Step, started_of
from replora.methods import OURS, REFERENCE
from replora.statistics.metrics import ACCURACY, Metric

MOST_POINTS = 300  # of a curve

Point = tuple[float, float]
Reader = Callable[[Event], PerRun | None]


@dataclass(frozen=True)
class Curve:
    """One run's (step, value) points in order of step; `diverged` is the step at which it left the finite numbers."""

    method: str
    seed: int
    points: tuple[Point, ...]
    diverged: int | None = None


def training_losses(event: Event) -> PerRun | None:
    return event.losses if isinstance(event, Step) else None


def delta_norms(event: Event) -> PerRun | None:
    return event.delta_norms if isinstance(event, Step) else None


def tested(metric: Metric) -> Reader:
    """Reads what the metric says of each run, as it is shown."""

    def read(event: Event) -> PerRun | None:
        if not isinstance(event, Evaluated):
            return None
        values: PerRun = getattr(event, metric.field)
        return tuple(None if value is None else metric.scale * value for value in values)

    return read


accuracies = tested(ACCURACY)  # in per cent


def curves(events: Sequence[Event], read: Reader) -> list[Curve]:
    """The curve of each run in the order of the spec; none before the race has started."""
    started = started_of(events)
    if started is None:
        return []
    points: list[list[Point]] = [[] for _ in started.spec.runs]
    for event in events:
        values = read(event)
        if values is None or not isinstance(event, Step | Evaluated):
            continue
        for run, value in enumerate(values):
            if value is not None:
                points[run].append((event.step, value))
    lost = {each.run: each.step for each in events if isinstance(each, Diverged)}
    return [
        Curve(run.method.name, run.seed, tuple(points[place]), lost.get(place))
        for place, run in enumerate(started.spec.runs)
    ]


def methods_of(curves: Iterable[Curve]) -> list[str]:
    """The methods in order of first appearance."""
    return list(dict.fromkeys(each.method for each in curves))


def counted(curves: Iterable[Curve], method: str) -> list[Curve]:
    """The runs of a method that a mean counts: those that did not diverge, or all where every one did."""
    own = [each for each in curves if each.method == method]
    return [each for each in own if each.diverged is None] or own


def mean_points(curves: Sequence[Curve]) -> list[Point]:
    """Mean over the curves at each step that any of them has."""
    values: dict[float, list[float]] = {}
    for curve in curves:
        for step, value in curve.points:
            values.setdefault(step, []).append(value)
    return [(step, fmean(values[step])) for step in sorted(values)]


def differences(curves: Sequence[Curve], method: str = OURS, reference: str = REFERENCE) -> list[Curve]:
    """`method` minus `reference` for each seed that has both and of which neither diverged, step by step."""
    found = {(each.method, each.seed): each for each in curves if each.diverged is None}
    pairs = [
        (found[method, seed], dict(found[reference, seed].points))
        for name, seed in found
        if name == method and (reference, seed) in found
    ]
    return [
        Curve(method, ours.seed, tuple((step, value - theirs[step]) for step, value in ours.points))
        for ours, theirs in pairs
    ]


def with_crossings(points: Sequence[Point]) -> list[Point]:
    """The points and, where the line between two of them crosses zero, the crossing."""
    filled: list[Point] = []
    for (step, value), (following, next_value) in pairwise(points):
        filled.append((step, value))
        if value * next_value < 0:
            filled.append((step + (following - step) * value / (value - next_value), 0.0))
    return [*filled, *points[-1:]]


def trailing_mean(points: Sequence[Point], window: int) -> list[Point]:
    """Each value replaced by the mean of the last `window` values up to it."""
    sums = [0.0, *accumulate(value for _, value in points)]
    return [
        (step, (sums[end] - sums[max(0, end - window)]) / min(end, window))
        for end, (step, _) in enumerate(points, start=1)
    ]


def thinned(points: Sequence[Point], limit: int = MOST_POINTS) -> list[Point]:
    """At most about `limit` points, evenly chosen, the last one always among them."""
    stride = -(-len(points) // limit)
    if stride <= 1:
        return list(points)
    kept = list(points[::stride])
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]
