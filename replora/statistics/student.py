"""Student's distribution out of `scipy.special`: `scipy.stats` says the same, but takes a second to import."""

from __future__ import annotations

from scipy import special


def critical(level: float, freedom: float) -> float:
    """The value that lies at the upper end of the middle `level` of the distribution."""
    return float(special.stdtrit(freedom, (1 + level) / 2))


def ends(mean: float, error: float, freedom: float, level: float) -> tuple[float, float]:
    """The ends of the interval of a mean with a standard error."""
    lower = float(special.stdtrit(freedom, (1 - level) / 2))
    return mean + lower * error, mean + critical(level, freedom) * error


def two_sided(t: float, freedom: float) -> float:
    """The p-value of a two-sided test."""
    return 2 * float(special.stdtr(freedom, -abs(t)))
