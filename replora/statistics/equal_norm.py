"""Two methods at equal norm of their updates: is one only further along the other's road? Pure numbers, no torch.

A run is a list of (norm, value) in the order of its steps. Norms mostly grow; where one falls back, the run has passed
that norm already, and it is not counted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from replora.methods import METHOD_TITLES
from replora.statistics.verdict import verdict
from replora.wording import counted

Points = Sequence[tuple[float, float]]

GRID = 201  # norms at which the means over a range are taken


@dataclass(frozen=True)
class EqualNorm:
    """differences: by seed, the mean of ours minus theirs over the norms from `low` to `high`, which every run of both
    has passed through. points: of a run in that range, the fewest and the most.
    """

    low: float
    high: float
    differences: Mapping[int, float]
    points: tuple[int, int]

    def sentence(self, method: str, reference: str, noun: str = "evaluation", lost: str = "") -> str:
        """Whether the two are apart at equal norm, of accuracies in [0, 1]. noun: what a point is; lost: a sentence on
        diverged runs, put after it.
        """
        said = verdict(list(self.differences.values()), method, reference, lost=lost)
        fewest, most = self.points
        lie = counted(most, noun) if fewest == most else f"{fewest} to {counted(most, noun)}"
        return (
            f"At equal norm of delta_weight, mean over {self.low:.2f} to {self.high:.2f}, where {lie} of each run "
            f"{'lies' if most == 1 else 'lie'}: {said}"
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
    differences = {seed: mean(one) - mean(other) for seed, (one, other) in runs.items()}
    return EqualNorm(low, high, differences, (min(inside), max(inside)))


def no_common_norm(method: str, reference: str) -> str:
    """The sentence where `equal_norm` is None."""
    return f"{METHOD_TITLES[method]} and {METHOD_TITLES[reference]} have no norm of delta_weight in common yet."
