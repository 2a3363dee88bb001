"""Intervals of a mean: over seeds, and over seeds and test examples. Pure numbers, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from replora.statistics.student import ends, two_sided

LEVEL = 0.95
COARSE = 1e-9  # a spread below this is rounding


@dataclass(frozen=True)
class Interval:
    """A mean of n values and its interval; low and high are None where n values do not give one."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half of high - low."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def is_coarse(self) -> bool:
        """Whether all values are equal: the measure is too coarse for an interval, and the mean is all there is."""
        return self.half_width is not None and 2 * self.half_width < COARSE

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval lies on one side of zero."""
        return self.excludes(0.0)

    def excludes(self, value: float) -> bool:
        """Whether all of the interval lies on one side of a value; never of equal values, which say nothing."""
        if self.low is None or self.high is None or self.is_coarse:
            return False
        return not self.low <= value <= self.high


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Student's interval of the mean, None without values.

    One value has no interval. Equal values have one of no width: it says that the measure is coarse, not that the
    mean is known, and `verdict` does not take it for evidence.
    """
    if not len(values):
        return None
    numbers = np.asarray(values, dtype=float)
    mean, count = float(numbers.mean()), len(numbers)
    if count == 1:
        return Interval(mean, None, None, 1)
    if _all_equal(numbers):
        return Interval(mean, mean, mean, count)
    return Interval(mean, *ends(mean, _error(numbers), count - 1, level), count)


def p_value(values: Sequence[float]) -> float | None:
    """Of Student's two-sided test that the mean is zero; None for fewer than two values.

    Equal values are no evidence (`t_interval`), so their p is 1: they were looked at like all others.
    """
    numbers = np.asarray(values, dtype=float)
    if len(numbers) < 2:
        return None
    if _all_equal(numbers):
        return 1.0
    return two_sided(float(numbers.mean()) / _error(numbers), len(numbers) - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for how many there are, in their order (Holm 1979): at most 5 % of families err at all."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def named_by(p_values: Sequence[float], level: float = LEVEL) -> tuple[int, int]:
    """How many of these tests name a winner: each by itself, and corrected for how many there are (Holm)."""
    single, corrected = (sum(p < 1 - level for p in found) for found in (p_values, holm(p_values)))
    return single, corrected


def sampling_half_width(share: float, examples: int, level: float = LEVEL) -> float:
    """How far other test examples would move a single accuracy: half of Wilson's interval (1927) of so many."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    return z * math.sqrt(share * (1 - share) / examples + (z / examples) ** 2 / 4) / (1 + z**2 / examples)


def by_luck(looks: int, level: float = LEVEL) -> float:
    """The chance, at most, that one of so many tests or more names a winner between equals, whatever hangs together
    among them (Sidak 1967): between methods that are equal everywhere, and with differences that are about normal.
    """
    return 1 - level**looks


def geometric_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The geometric mean of positive values and Student's interval of it, made on their logarithms; None without."""
    found = t_interval([math.log(each) for each in values], level)
    if found is None:
        return None
    low, high = (None if each is None else math.exp(each) for each in (found.low, found.high))
    return Interval(math.exp(found.mean), low, high, found.n)


def crossed_interval(ours: npt.ArrayLike, theirs: npt.ArrayLike, level: float = LEVEL) -> Interval | None:
    """Interval of the mean difference when both seeds and test examples might have been others.

    ours, theirs: (seeds, examples), true where a run has an example right; rows are paired by seed, columns are the
    same examples for all. Differences are seed + example + rest, each random and without an interaction of its own
    name; the variance of their mean is (seeds' mean square + examples' - rest's) / count, its degrees of freedom
    Satterthwaite's (1946). It is never taken below
    what the rest gives alone. One seed leaves the examples, one
    example the seeds; one of each has no interval. None without seeds or examples.
    Raises `ValueError` where the two differ in shape.
    """
    first, second = np.atleast_2d(np.asarray(ours, dtype=float)), np.atleast_2d(np.asarray(theirs, dtype=float))
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"Correctness must be two (seeds, examples) of one shape, got {first.shape}, {second.shape}.")
    seeds, examples = first.shape
    if not seeds or not examples:
        return None
    difference = first - second
    if 1 in (seeds, examples):
        found = t_interval(difference.ravel(), level)
        return None if found is None else replace(found, n=seeds)
    mean = float(difference.mean())
    by_seed, by_example = difference.mean(axis=1), difference.mean(axis=0)
    rest = difference - by_seed[:, None] - by_example + mean
    of_seeds, of_examples = examples * by_seed.var(ddof=1), seeds * by_example.var(ddof=1)
    of_rest = np.square(rest).sum() / ((seeds - 1) * (examples - 1))
    total = max(of_seeds + of_examples - of_rest, of_rest)
    if total < COARSE:
        return Interval(mean, mean, mean, seeds)
    parts = ((of_seeds, seeds - 1), (of_examples, examples - 1), (of_rest, (seeds - 1) * (examples - 1)))
    freedom = total**2 / sum(part**2 / count for part, count in parts)
    error = math.sqrt(total / (seeds * examples))
    return Interval(mean, *ends(mean, error, max(freedom, 1.0), level), seeds)


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[int, float]:
    """ours - theirs by seed, for the seeds that both have."""
    return {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}


def _all_equal(numbers: npt.NDArray[np.float64]) -> bool:
    return bool(np.ptp(numbers) < COARSE)


def _error(numbers: npt.NDArray[np.float64]) -> float:
    """The standard error of their mean."""
    return float(numbers.std(ddof=1)) / math.sqrt(len(numbers))
