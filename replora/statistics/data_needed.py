"""The share of the data with which a method reaches what its reference reaches with all: read off two curves. No torch.

Its interval inverts the paired t test: the shares at which the test does not tell the method from the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replora.methods import METHOD_TITLES, OURS, REFERENCE
from replora.statistics.intervals import COARSE, LEVEL, Interval, t_interval
from replora.statistics.metrics import ACCURACY, METRICS, Metric
from replora.statistics.student import critical
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, seeds_in_words
from replora.wording import fixed

Array = npt.NDArray[np.float64]

ROUNDING = 1e-12  # of squared accuracies


@dataclass(frozen=True)
class DataNeeded:
    """The data fraction with which a method reaches what its reference reaches at the largest fraction.

    target: None without seeds that finished everywhere. effect: by how much the reference is better at the largest
    fraction than at the smallest; nothing is read off (value, low and high are None) unless its interval lies above
    zero. value: where the mean first reaches the target, None where it does not. at_most: it does at the smallest
    fraction. low, high: ends of the fractions at which the paired t test does not tell the method from the target at
    5 %; both None where it does at all, or where seeds give no interval. open_low, open_high: the grid ends before they
    do. measure: the noun of the metric.
    """

    method: str
    reference: str
    target: float | None
    fractions: tuple[float, float]
    effect: Interval | None
    value: float | None
    low: float | None
    high: float | None
    at_most: bool
    open_low: bool
    open_high: bool
    seeds: int
    measure: str = ACCURACY.noun

    @property
    def metric(self) -> Metric:
        """What is reached: accuracy, or a loss, of which less is better."""
        return METRICS[self.measure]

    @property
    def is_told(self) -> bool:
        """Whether data have an effect here, so that the data needed can be read off."""
        return self.target is not None and _is_clear(self.effect)

    @property
    def excludes_some(self) -> bool:
        """Whether any share of the data is excluded: an interval over the whole grid says nothing."""
        return not (self.open_low and self.open_high)

    def sentence(self) -> str:
        """'RepLoRA reaches LoRA's full-data accuracy with 24 % [17, 41] of the data.', or why that cannot be said."""
        ours, theirs = METHOD_TITLES.get(self.method, self.method), METHOD_TITLES.get(self.reference, self.reference)
        if self.target is None:
            return f"There are no finished seeds of {ours} and {theirs} at every fraction to read the data needed off."
        if not self.is_told:
            return f"{self._no_effect(theirs)} So no data needed is read off."
        full = self.fractions[1] == 1
        noun = self.metric.noun
        goal = f"full-data {noun}" if full else f"{noun} with {percent(self.fractions[1])} % of the data"
        goal = f"{theirs}'s {goal} ({self.metric.value(self.target)})"
        alone = "" if self.seeds >= SEEDS_FOR_A_VERDICT else f" ({seeds_in_words(self.seeds)}: an anecdote)"
        if not self.excludes_some:
            return (
                f"With which share of the data {ours} reaches {goal} cannot be told: the seeds exclude none from "
                f"{percent(self.fractions[0])} to {percent(self.fractions[1])} %{alone}."
            )
        if self.value is None:
            return f"{ours} does not reach {goal}{self._still_possible()}{alone}."
        return f"{ours} reaches {goal} with {self.text()} of the data{alone}."

    def text(self) -> str:
        """'24 % [17, 41]', 'at most 1 %', 'not reached', 'not reached [45, not reached]', 'not told', 'not told
        [\u2264 1, not reached]'.
        """
        if not self.is_told:
            return "not told"
        if not self.excludes_some:
            return f"not told {self.bracket()}"
        most = "at most " if self.at_most else ""
        value = "not reached" if self.value is None else f"{most}{percent(self.value)} %"
        return f"{value} {self.bracket()}".rstrip()

    def bracket(self) -> str:
        """'[17, 41]'; '[\u2264 1, not reached]' where the grid ends before the interval does; '' without one.

        It has the shares that are not excluded where the mean does not reach the target, too.
        """
        if self.low is None or self.high is None:
            return ""
        low = f"\u2264 {percent(self.low)}" if self.open_low else percent(self.low)
        return f"[{low}, {'not reached' if self.open_high else percent(self.high)}]"

    def _still_possible(self) -> str:
        if self.low is None or self.high is None:
            return ""
        return f", though with {percent(self.low)} to {percent(self.high)} % of the data the seeds do not exclude it"

    def _no_effect(self, theirs: str) -> str:
        smallest, largest = (f"{percent(share)} %" for share in self.fractions)
        if self.effect is None or self.effect.half_width is None:
            return f"With {seeds_in_words(self.seeds)} an effect of data cannot be told from luck."
        metric = self.metric
        half = "" if self.effect.is_coarse else f" \u00b1 {metric.scale * self.effect.half_width:.{metric.decimals}f}"
        size = f"{fixed(metric.scale * self.effect.mean, metric.decimals)}{half} {metric.difference_unit}"
        better = "better than" if metric.lower_is_better else "above"
        return (
            f"{theirs} with {largest} of the data is not clearly {better} {theirs} with {smallest} ({size}): these "
            "runs are too short, or too few, to show an effect of data."
        )


def data_needed(
    fractions: Sequence[float],
    ours: npt.ArrayLike,
    theirs: npt.ArrayLike,
    method: str = OURS,
    reference: str = REFERENCE,
    *,
    level: float = LEVEL,
    metric: Metric = ACCURACY,
) -> DataNeeded:
    """Read the data needed off two curves of a metric, as measured, against data fraction.

    fractions: ascending. ours, theirs: (seeds, fractions), rows paired by seed. The target is the mean of `theirs` at
    the largest fraction; the value is where the mean of `ours` first reaches it, linear in log fraction between the
    grid's points. Raises `ValueError` where shapes do not fit or fractions do not ascend.
    """
    grid = np.asarray(fractions, dtype=float)
    first, second = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != len(grid):
        raise ValueError(f"Curves must be two (seeds, {len(grid)}), got {first.shape} and {second.shape}.")
    if not len(grid) or (grid <= 0).any() or (np.diff(grid) <= 0).any():
        raise ValueError("Fractions must be positive and ascend.")
    sign = -1.0 if metric.lower_is_better else 1.0
    first, second = sign * first, sign * second  # more is better
    effect = t_interval(list(second[:, -1] - second[:, 0]), level) if len(first) else None
    differences = first - second[:, -1:]  # (seeds, fractions)
    value, kept = None, None
    if _is_clear(effect):
        value = _first_reached(grid, differences.mean(axis=0))
        kept = _not_rejected(grid, differences, level)
    return DataNeeded(
        method=method,
        reference=reference,
        target=float(sign * second[:, -1].mean()) if len(first) else None,
        fractions=(float(grid[0]), float(grid[-1])),
        effect=effect,
        value=value,
        low=kept[0] if kept else None,
        high=kept[1] if kept else None,
        at_most=value == float(grid[0]),
        open_low=kept is not None and kept[0] == float(grid[0]),
        open_high=kept is not None and kept[1] == float(grid[-1]),
        seeds=len(first),
        measure=metric.noun,
    )


def percent(share: float) -> str:
    """'24', or '1.4' where it is small."""
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def _is_clear(effect: Interval | None) -> bool:
    return effect is not None and effect.low is not None and effect.low > 0


def _first_reached(grid: Array, lead: Array) -> float | None:
    """Where a curve (fractions,), linear in log fraction, is first at zero or above; None where it is not."""
    reached = np.flatnonzero(lead >= -COARSE)
    if not len(reached):
        return None
    place = int(reached[0])
    if place == 0:
        return float(grid[0])
    rise = lead[place] - lead[place - 1]
    return _between(grid, place - 1, min(1.0, float(-lead[place - 1] / rise)))


def _not_rejected(grid: Array, differences: Array, level: float) -> tuple[float, float] | None:
    """First and last fraction at which the t test of differences (seeds, fractions) does not reject zero; or None.

    Between two points of the grid each seed's difference is linear in log fraction, so squared mean less squared
    critical value is a quadratic, whose roots are the ends. (The set may have holes; the ends enclose them.)
    """
    seeds = len(differences)
    if seeds < 2 or bool((np.ptp(differences, axis=0) < COARSE).all()):
        return None
    square = critical(level, seeds - 1) ** 2 / seeds / (seeds - 1)
    means = differences.mean(axis=0)  # (fractions,)
    around = differences - means  # (seeds, fractions)
    kept: list[float] = []
    for place in range(len(grid) - 1):
        mean, rise = means[place], means[place + 1] - means[place]
        start = around[:, place]  # (seeds,)
        change = around[:, place + 1] - start  # (seeds,)
        a = float(rise**2 - square * (change @ change))
        b = float(2 * (mean * rise - square * (start @ change)))
        c = float(mean**2 - square * (start @ start))
        ends = (0.0, 1.0, *_roots(a, b, c))
        inside = [part for part in ends if 0 <= part <= 1 and (a * part + b) * part + c <= ROUNDING]
        kept += [_between(grid, place, part) for part in inside]
    return (min(kept), max(kept)) if kept else None


def _roots(a: float, b: float, c: float) -> list[float]:
    """Of a x^2 + b x + c; where it has none, the place nearest to zero, as two that rounding has parted are one."""
    if a == 0:
        return [] if b == 0 else [-c / b]
    of_like_signs = -(b + math.copysign(math.sqrt(max(b * b - 4 * a * c, 0.0)), b)) / 2
    return [of_like_signs / a, *([c / of_like_signs] if of_like_signs else [])]


def _between(grid: Array, place: int, part: float) -> float:
    """The fraction `part` of the way, in logs, from a point of the grid to the next; at its ends the points' own."""
    if part in (0.0, 1.0):
        return float(grid[place + int(part)])
    low, high = math.log(grid[place]), math.log(grid[place + 1])
    return math.exp(low + part * (high - low))
