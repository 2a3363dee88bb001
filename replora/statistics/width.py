"""Whether an interval is narrow enough to decide, and how many seeds would make it so. Pure numbers, no torch.

It decides where it excludes that both are equal, or where it lies within what nobody would care about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from replora.statistics.intervals import COARSE, LEVEL, Interval
from replora.statistics.student import critical

NARROW = 0.02  # half an interval of a difference of accuracy
NARROW_RATIO = 1.25  # an interval of a ratio from its middle to either end
MOST_SEEDS = 10  # that a study is asked for to make an interval narrow


@dataclass(frozen=True)
class Width:
    """One comparison. place, text: where and how large, in words: 'with 1 % of the data', '-3.3 ± 4.1 points'.

    middle, half: of its interval, from both being equal on, in units of what would be narrow enough; half is None
    without an interval. excludes: that both are equal.
    """

    place: str
    text: str
    middle: float
    half: float | None
    excludes: bool
    seeds: int

    @property
    def is_coarse(self) -> bool:
        """Whether all seeds have the same: the measure is too coarse for an interval (`Interval.is_coarse`)."""
        return self.half is not None and self.half < COARSE

    @property
    def decides(self) -> bool:
        """Whether somebody is ahead, or neither by more than what is narrow."""
        return self.half is not None and (self.excludes or abs(self.middle) + self.half <= 1)

    def seeds_needed(self) -> int | None:
        """How many seeds with this middle and as much spread would decide; None where `MOST_SEEDS` would not."""
        if not self.half:
            return None
        limit = max(abs(self.middle), 1 - abs(self.middle))  # of half an interval: to exclude, or to lie within
        spread = self.half * math.sqrt(self.seeds) / critical(LEVEL, self.seeds - 1)
        counts = range(self.seeds, MOST_SEEDS + 1)
        return next((n for n in counts if critical(LEVEL, n - 1) * spread / math.sqrt(n) < limit), None)


def width_of_difference(interval: Interval | None, place: str, text: str) -> Width:
    """Of a difference of accuracies."""
    if interval is None:
        return Width(place, text, 0.0, None, False, 0)
    half = None if interval.half_width is None else interval.half_width / NARROW
    return Width(place, text, interval.mean / NARROW, half, interval.excludes_zero, interval.n)


def width_of_ratio(interval: Interval | None, place: str, text: str) -> Width:
    """Of a ratio of errors."""
    if interval is None:
        return Width(place, text, 0.0, None, False, 0)
    unit = math.log(NARROW_RATIO)
    half = None
    if interval.low is not None and interval.high is not None:
        half = math.log(interval.high / interval.low) / 2 / unit
    return Width(place, text, math.log(interval.mean) / unit, half, interval.excludes(1.0), interval.n)
