"""Whether an interval is narrow enough to decide, and how many seeds would make it so. Pure numbers, no torch.

It decides where it excludes that both are equal, or where it excludes a difference that anybody would care about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from replora.statistics.intervals import LEVEL, Interval
from replora.statistics.student import critical

NARROW = 0.02  # half an interval of a difference of accuracy
NARROW_RATIO = 1.25  # an interval of a ratio from its middle to either end
MOST_SEEDS = 10  # that a study is asked for to make an interval narrow


@dataclass(frozen=True)
class Width:
    """One comparison. place, text: where and how large, in words: 'with 1 % of the data', '-3.3 ± 4.1 points'.

    half: of its interval, in units of what would be narrow enough; None without an interval. excludes: that both are
    equal.
    """

    place: str
    text: str
    half: float | None
    excludes: bool
    seeds: int

    @property
    def decides(self) -> bool:
        """Whether somebody is ahead, or neither by more than what is narrow."""
        return self.half is not None and (self.excludes or self.half <= 1)

    def seeds_needed(self) -> int | None:
        """How many seeds with as much spread would be narrow enough; None where `MOST_SEEDS` would not be."""
        if self.half is None:
            return None
        spread = self.half * math.sqrt(self.seeds) / critical(LEVEL, self.seeds - 1)
        enough = (n for n in range(self.seeds, MOST_SEEDS + 1) if critical(LEVEL, n - 1) * spread / math.sqrt(n) <= 1)
        return next(enough, None)


def width_of_difference(interval: Interval | None, place: str, text: str) -> Width:
    """Of a difference of accuracies."""
    half = None if interval is None or interval.half_width is None else interval.half_width / NARROW
    return Width(place, text, half, bool(interval and interval.excludes_zero), interval.n if interval else 0)


def width_of_ratio(interval: Interval | None, place: str, text: str) -> Width:
    """Of a ratio of errors."""
    if interval is None or interval.low is None or interval.high is None:
        return Width(place, text, None, False, interval.n if interval else 0)
    half = math.log(interval.high / interval.low) / 2 / math.log(NARROW_RATIO)
    return Width(place, text, half, not interval.low <= 1 <= interval.high, interval.n)
