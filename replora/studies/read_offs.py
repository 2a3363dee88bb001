"""What is read off curves over a grid: the data a method needs, and the learning rates that are good. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replora.config import METHOD_TITLES
from replora.statistics.intervals import COARSE, LEVEL, RESAMPLES, tails
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, seeds_in_words

Array = npt.NDArray[np.float64]

POINT = 0.01


@dataclass(frozen=True)
class DataNeeded:
    """The data fraction with which a method reaches what its reference reaches at the largest fraction.

    value: None where it is not reached. at_most: it is reached at the smallest fraction already. low, high: 95 %
    bootstrap interval over seeds, both None below two seeds; high alone is None where more than 2.5 % of the resamples
    do not reach the target, low too where more than 97.5 % do not.
    """

    method: str
    reference: str
    target: float | None
    target_fraction: float
    value: float | None
    low: float | None
    high: float | None
    at_most: bool
    seeds: int
    reached_share: float | None

    def sentence(self) -> str:
        """'RepLoRA reaches LoRA's full-data accuracy with 24 % [17, 41] of the data.' or that it does not."""
        ours, theirs = METHOD_TITLES.get(self.method, self.method), METHOD_TITLES.get(self.reference, self.reference)
        if self.target is None:
            return f"There are no finished seeds of {ours} and {theirs} at every fraction to read the data needed off."
        full = self.target_fraction == 1
        goal = "full-data accuracy" if full else f"accuracy with {_percent(self.target_fraction)} % of the data"
        goal = f"{theirs}'s {goal} ({100 * self.target:.1f} %)"
        alone = "" if self.seeds >= SEEDS_FOR_A_VERDICT else f" ({seeds_in_words(self.seeds)}: an anecdote)"
        if self.value is None:
            count = f"{100 * (self.reached_share or 0):.0f}"
            share = (
                "" if not self.reached_share else f"; {'under 1' if count == '0' else count} % of resamples reach it"
            )
            return f"{ours} does not reach {goal}{share}{alone}."
        most = "at most " if self.at_most else ""
        return f"{ours} reaches {goal} with {most}{_percent(self.value)} %{self._bracket()} of the data{alone}."

    def _bracket(self) -> str:
        if self.low is None:
            return ""
        high = "not reached" if self.high is None else _percent(self.high)
        return f" [{_percent(self.low)}, {high}]"


def data_needed(
    fractions: Sequence[float],
    ours: npt.ArrayLike,
    theirs: npt.ArrayLike,
    method: str = "replora",
    reference: str = "lora",
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> DataNeeded:
    """Read the data needed off two curves of accuracy against data fraction.

    fractions: ascending. ours, theirs: (seeds, fractions), rows paired by seed. The target is the mean of `theirs` at
    the largest fraction; the value is where the mean of `ours` first reaches it, linear in log fraction between the
    grid's points. The interval resamples seeds, the same for both, target included.
    Raises `ValueError` where shapes do not fit or fractions do not ascend.
    """
    grid = np.asarray(fractions, dtype=float)
    first, second = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != len(grid):
        raise ValueError(f"Curves must be two (seeds, {len(grid)}), got {first.shape} and {second.shape}.")
    if not len(grid) or (grid <= 0).any() or (np.diff(grid) <= 0).any():
        raise ValueError("Fractions must be positive and ascend.")
    seeds = len(first)
    if not seeds:
        return DataNeeded(method, reference, None, float(grid[-1]), None, None, None, False, 0, None)
    target = float(second[:, -1].mean())
    value = float(_first_reached(grid, first.mean(axis=0)[None], np.array([target]))[0])
    low = high = share = None
    if seeds > 1:
        chosen = np.random.default_rng(seed).integers(seeds, size=(resamples, seeds))
        found = _first_reached(grid, first[chosen].mean(axis=1), second[chosen, -1].mean(axis=1))
        share = float(np.isfinite(found).mean())
        # 'lower', 'higher': a quantile between a number and infinity would be no number.
        low = _finite(float(np.quantile(found, tails(level)[0], method="lower")))
        high = _finite(float(np.quantile(found, tails(level)[1], method="higher")))
    return DataNeeded(
        method,
        reference,
        target,
        float(grid[-1]),
        _finite(value),
        low,
        high,
        value == float(grid[0]),
        seeds,
        share,
    )


def _first_reached(grid: Array, curves: Array, targets: Array) -> Array:
    """Where each curve (curves, fractions) first reaches its target, infinite where it does not, (curves,)."""
    reached = curves >= targets[:, None] - COARSE
    place = reached.argmax(axis=1)
    rows = np.arange(len(curves))
    before = np.maximum(place - 1, 0)
    y0, y1 = curves[rows, before], curves[rows, place]
    rise = np.where(place > 0, y1 - y0, 1.0)
    part = np.clip((targets - y0) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
    logs = np.log(grid)
    between = np.exp(logs[before] + part * (logs[place] - logs[before]))
    found = np.where(place > 0, between, grid[0])
    return np.where(reached.any(axis=1), found, np.inf)


@dataclass(frozen=True)
class GoodRegion:
    """The learning rates about the best with which a method does nearly as well.

    Nearly: a mean accuracy at most one point or one standard deviation over the seeds at the best rate, whichever is
    more, below the best mean (`threshold`). The region is contiguous; its ends are interpolated in log rate between
    grid points. A rate at which a run diverged is outside, and next to it the region ends at the last rate that holds.
    open_low, open_high: the region goes on to the grid's end, so it is at least this wide.
    """

    best_rate: float
    best: float
    threshold: float
    low: float
    high: float
    open_low: bool
    open_high: bool

    @property
    def decades(self) -> float:
        """Width in powers of ten."""
        return math.log10(self.high / self.low)


def good_region(
    rates: Sequence[float], means: Sequence[float | None], deviations: Sequence[float | None], lost: Sequence[int]
) -> GoodRegion | None:
    """The good region of a grid of ascending rates; None where no rate is free of divergence.

    means: accuracies, None where nothing finished. deviations: over seeds, None for one seed. lost: diverged runs.
    """
    usable = [mean if mean is not None and not gone else None for mean, gone in zip(means, lost, strict=True)]
    places = [place for place, mean in enumerate(usable) if mean is not None]
    if not places:
        return None
    best_place = max(places, key=lambda place: usable[place] or 0.0)
    best = usable[best_place] or 0.0
    threshold = best - max(POINT, deviations[best_place] or 0.0)

    def end(direction: int) -> tuple[float, bool]:
        place = best_place
        while True:
            following = place + direction
            if not 0 <= following < len(rates):
                return rates[place], True
            inner, outer = usable[place] or 0.0, usable[following]
            if outer is None:
                return rates[place], False
            if outer < threshold:
                part = (inner - threshold) / (inner - outer)
                return math.exp((1 - part) * math.log(rates[place]) + part * math.log(rates[following])), False
            place = following

    (low, open_low), (high, open_high) = end(-1), end(1)
    return GoodRegion(rates[best_place], best, threshold, low, high, open_low, open_high)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"
