"""Two methods at equal norm of their updates: is one only further along the other's road? Pure numbers, no torch.

A run is a list of (norm, value) in the order of its steps. Norms mostly grow; where one falls back, the run has passed
that norm already, and it is not counted again.

Between its points a run is a straight line. Straight lines lie below a curve that bends down, the more so the wider the
points are apart, so that of two runs along one curve the one with the closer points would seem ahead. What they make of
a curve that both share, fitted to the points of all runs, is therefore taken off: the curve itself cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from replora.methods import METHOD_TITLES
from replora.statistics.metrics import ACCURACY, Metric
from replora.statistics.verdict import verdict
from replora.wording import counted, signed

Points = Sequence[tuple[float, float]]

GRID = 201  # norms at which the means over a range are taken
DEGREE = 4  # of the curve that both share, at most
STRAIGHT = 1  # a degree at which straight lines make nothing


@dataclass(frozen=True)
class EqualNorm:
    """differences: by seed, the mean of ours minus theirs over the norms from `low` to `high`, which every run of both
    has passed through. points: of a run in that range, the fewest and the most. bend: what straight lines between
    points would add to the mean of the differences, which is taken off; None where points are too few to say.
    """

    low: float
    high: float
    differences: Mapping[int, float]
    points: tuple[int, int]
    bend: float | None = None

    def bend_sentence(self, metric: Metric = ACCURACY) -> str:
        """How large the error is that was taken off, or that it could not be."""
        if self.bend is None:
            return "The points are too few to tell what straight lines between them make of a curve."
        bend = f"{signed(metric.scale * self.bend, metric.decimals + 1)} {metric.difference_unit}"
        return (
            f"Taken off are the {bend} that straight lines between the points would make "
            "of one smooth curve fitted to all of them; at a sharp bend more is left, which the interval does not hold."
        )

    def sentence(
        self, method: str, reference: str, noun: str = "evaluation", lost: str = "", metric: Metric = ACCURACY
    ) -> str:
        """Whether the two are apart at equal norm, by a metric. noun: what a point is; lost: a sentence on diverged
        runs, put after it.
        """
        said = verdict(list(self.differences.values()), method, reference, lost=lost, metric=metric)
        fewest, most = self.points
        lie = counted(most, noun) if fewest == most else f"{fewest} to {counted(most, noun)}"
        return (
            f"At equal norm of delta_weight, mean over {self.low:.2f} to {self.high:.2f}, where {lie} of each run "
            f"{'lies' if most == 1 else 'lie'}: {said} {self.bend_sentence(metric)}"
        )


def rising(points: Points) -> list[tuple[float, float]]:
    """The points whose norm is larger than all before them."""
    kept: list[tuple[float, float]] = []
    for norm, value in points:
        if not kept or norm > kept[-1][0]:
            kept.append((norm, value))
    return kept


def equal_norm(ours: Mapping[int, Points], theirs: Mapping[int, Points]) -> EqualNorm | None:
    """Runs by seed, paired; None where no seed has both, or their norms have no range in common."""
    seeds = sorted(ours.keys() & theirs.keys())
    runs = {seed: (rising(ours[seed]), rising(theirs[seed])) for seed in seeds}
    if not runs or not all(run for pair in runs.values() for run in pair):
        return None
    low = max(run[0][0] for pair in runs.values() for run in pair)
    high = min(run[-1][0] for pair in runs.values() for run in pair)
    if not low < high:
        return None
    norms = np.linspace(low, high, GRID)

    def mean(run: Points) -> float:
        values = np.interp(norms, [norm for norm, _ in run], [value for _, value in run])
        return float(np.trapezoid(values, norms)) / (high - low)

    inside = [sum(low <= norm <= high for norm, _ in run) for pair in runs.values() for run in pair]
    shared = _shared_curve([_around(run, low, high) for pair in runs.values() for run in pair], min(inside))
    bends = {}
    if shared is not None:
        on_it = {seed: [[(norm, shared(norm)) for norm, _ in run] for run in pair] for seed, pair in runs.items()}
        bends = {seed: mean(one) - mean(other) for seed, (one, other) in on_it.items()}
    differences = {seed: mean(one) - mean(other) - bends.get(seed, 0.0) for seed, (one, other) in runs.items()}
    return EqualNorm(low, high, differences, (min(inside), max(inside)), bend=fmean(bends.values()) if bends else None)


def _around(run: Points, low: float, high: float) -> Points:
    """The points that decide what a run is from low to high, which lie within its norms."""
    first = max(place for place, (norm, _) in enumerate(run) if norm <= low)
    last = min(place for place, (norm, _) in enumerate(run) if norm >= high)
    return run[first : last + 1]


def _shared_curve(runs: Sequence[Points], fewest: int) -> Callable[[float], float] | None:
    """One curve through the points of all runs, a polynomial by least squares; None where it would be straight.

    fewest: points of a run within the range, which are the most that it may bend.
    """
    degree = min(DEGREE, fewest, min(map(len, runs)) - 1)
    if degree <= STRAIGHT:
        return None
    norms, values = np.transpose([point for run in runs for point in run])
    return np.polynomial.Polynomial.fit(norms, values, degree)


def no_common_norm(method: str, reference: str) -> str:
    """The sentence where `equal_norm` is None."""
    return f"{METHOD_TITLES[method]} and {METHOD_TITLES[reference]} have no norm of delta_weight in common yet."
