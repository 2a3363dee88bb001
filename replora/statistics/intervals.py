"""Intervals of a mean: over seeds, and over seeds and test examples. Pure numbers, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

LEVEL = 0.95
RESAMPLES = 2000
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
    def excludes_zero(self) -> bool:
        """Whether all of the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


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
    low, high = stats.t.interval(level, count - 1, loc=mean, scale=stats.sem(numbers))
    return Interval(mean, float(low), float(high), count)


def geometric_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The geometric mean of positive values and Student's interval of it, made on their logarithms; None without."""
    found = t_interval([math.log(each) for each in values], level)
    if found is None:
        return None
    low, high = (None if each is None else math.exp(each) for each in (found.low, found.high))
    return Interval(math.exp(found.mean), low, high, found.n)


def bootstrap_interval(
    values: Sequence[float], level: float = LEVEL, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Bootstrap interval of the mean over seeds (BCa, Efron 1987; percentile for two values), None without values.

    With three to five seeds it is too narrow; Student's is the one to read. It is here to show skew.
    """
    if not len(values):
        return None
    numbers = np.asarray(values, dtype=float)
    mean, count = float(numbers.mean()), len(numbers)
    if count == 1:
        return Interval(mean, None, None, 1)
    if _all_equal(numbers):
        return Interval(mean, mean, mean, count)
    found = stats.bootstrap(
        (numbers,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        method="BCa" if count > 2 else "percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), count)


def two_level_bootstrap(
    ours: npt.ArrayLike, theirs: npt.ArrayLike, level: float = LEVEL, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Percentile interval of the mean difference when both seeds and test examples are drawn anew.

    ours, theirs: (seeds, examples), true where a run has an example right; rows are paired by seed, columns are the
    same examples for all. One seed leaves the examples to resample, one example the seeds; one of each, no interval.
    None without seeds or examples. Both factors are resampled at once (Owen 2007), which is somewhat conservative.
    Raises `ValueError` where the two differ in shape.
    """
    first, second = np.atleast_2d(np.asarray(ours, dtype=float)), np.atleast_2d(np.asarray(theirs, dtype=float))
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"Correctness must be two (seeds, examples) of one shape, got {first.shape}, {second.shape}.")
    seeds, examples = first.shape
    if not seeds or not examples:
        return None
    difference = first - second
    mean = float(difference.mean())
    if seeds == 1 and examples == 1:
        return Interval(mean, None, None, 1)
    generator = np.random.default_rng(seed)
    by_seed = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    by_example = generator.multinomial(examples, np.full(examples, 1 / examples), size=resamples) / examples
    means = ((by_seed @ difference) * by_example).sum(axis=1)
    low, high = np.quantile(means, tails(level))
    return Interval(mean, float(low), float(high), seeds)


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[int, float]:
    """ours - theirs by seed, for the seeds that both have."""
    return {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}


def tails(level: float) -> tuple[float, float]:
    """The two probabilities between which `level` lies."""
    return (1 - level) / 2, (1 + level) / 2


def _all_equal(numbers: npt.NDArray[np.float64]) -> bool:
    return bool(np.ptp(numbers) < COARSE)
