"""The learning rates about the best with which a method does nearly as well, read off a grid. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

POINT = 0.01


@dataclass(frozen=True)
class GoodRegion:
    """The learning rates about the best with which a method does nearly as well.

    Nearly: a mean accuracy at most one point, a mean loss at most 0.01 nats a token, or one standard deviation over the
    seeds at the best rate, whichever is more, behind the best mean (`threshold`). The region is contiguous; its ends
    are interpolated in log rate between grid points. A rate at which a run diverged is outside, and next to it the
    region ends at the last rate that holds.
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

    def text(self) -> str:
        """'0.0004 to 0.004'."""
        return f"{self.low:.2g} to {self.high:.2g}"

    def width(self) -> str:
        """'good over 1.0 decades', 'at least' where the grid ends before the region does."""
        least = "at least " if self.open_low or self.open_high else ""
        return f"good over {least}{self.decades:.1f} decades"


def good_region(
    rates: Sequence[float],
    means: Sequence[float | None],
    deviations: Sequence[float | None],
    lost: Sequence[int],
    *,
    lower_is_better: bool = False,
) -> GoodRegion | None:
    """The good region of a grid of ascending rates; None where no rate is free of divergence.

    means: accuracies, or losses, of which lower ones are better; None where nothing finished. deviations: over seeds,
    None for one seed. lost: diverged runs.
    """
    sign = -1.0 if lower_is_better else 1.0
    usable = [sign * mean if mean is not None and not gone else None for mean, gone in zip(means, lost, strict=True)]
    places = [place for place, mean in enumerate(usable) if mean is not None]
    if not places:
        return None
    best = max(mean for mean in usable if mean is not None)
    best_place = usable.index(best)
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
    return GoodRegion(rates[best_place], sign * best, sign * threshold, low, high, open_low, open_high)
