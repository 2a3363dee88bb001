"""Where axes end, what their ticks and rates are called, and how labels keep apart."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import ceil, floor, log10
from typing import TypeVar

from replora.options import format_value

FINE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
MOST_TICKS = 6
Name = TypeVar("Name", bound=Hashable)


def nice_ceiling(value: float, steps: Sequence[float] = FINE) -> float:
    """The least round number not below `value`; the coarser the steps, the more rarely a growing value changes it."""
    power = 10.0 ** floor(log10(value))
    return next(each * power for each in steps if each * power >= value * (1 - 1e-9))


def nice_range(values: Sequence[float], least: float) -> tuple[float, float]:
    """Round ends around the values, at least so far apart; (0, `least`) without values."""
    if not values:
        return 0.0, least
    low, high = min(values), max(values)
    step = nice_ceiling(max(high - low, least) / 5, (1.0, 2.0, 5.0, 10.0))
    return step * floor(low / step + 1e-9), step * ceil(high / step - 1e-9) + (step if high - low < step else 0.0)


def stretched(grid: Sequence[float], share: float = 0.05) -> tuple[float, float]:
    """The ends of a log axis that leaves room beside the ends of a grid."""
    low, high = min(grid), max(grid)
    room = (high / low) ** share if high > low else 2.0
    return low / room, high * room


def decades(low: float, high: float) -> list[float]:
    """Powers of ten between two values, at most about MOST_TICKS, at even steps."""
    first, last = ceil(log10(low) - 1e-9), floor(log10(high) + 1e-9)
    step = max(1, ceil((last - first) / MOST_TICKS))
    return [10.0**power for power in range(first, last + 1) if power % step == 0]


def format_rate(rate: float) -> str:
    """A learning rate as the slider shows it, whatever single precision did to it."""
    return format_value(float(f"{rate:.4g}"))


def apart(shares: Mapping[Name, float], gap: float) -> dict[Name, float]:
    """The shares in [0, 1] moved so that neighbours are at least `gap` apart, in the same order."""
    order = sorted(shares, key=lambda name: shares[name])
    placed: dict[Name, float] = {}
    lowest = 0.03
    for name in order:
        placed[name] = lowest = max(lowest, min(max(shares[name], 0.0), 1.0))
        lowest += gap
    highest = 0.97
    for name in reversed(order):
        placed[name] = highest = min(highest, placed[name])
        highest -= gap
    return placed
