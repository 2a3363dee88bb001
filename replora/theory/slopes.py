"""What errors over a grid of sample sizes come to: means, slopes of log mean error on log n, and their intervals.

Errors are positive and skewed, so intervals are made on the logarithm of the mean, by the delta method and Student's t
(`benchmarks.coverage` measures how often they cover the truth).
For over-specified plain LoRA the mean hides two modes: look at the replicates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from replora.theory._checks import Array, positive, require
from replora.theory.rates import QUANTITIES, Estimates, Quantity

TANGIBLE = 1e-300
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval; of one replicate alone it is without bounds."""

    value: float
    low: float
    high: float


def mean_band(errors: Array) -> Interval:
    """The mean of replicates' errors (R,) with its 95 % interval. Raises `ValueError` where there are no errors."""
    errors = np.asarray(errors, dtype=np.float64)
    require(errors.ndim == 1 and errors.size > 0, "errors", "a vector that is not empty", f"shape {errors.shape}")
    mean = float(errors.mean())
    if len(errors) == 1:
        return Interval(mean, 0.0, math.inf)
    factor = math.exp(_critical(len(errors) - 1) * math.sqrt(_log_variance(errors)))
    return Interval(mean, mean / factor, mean * factor)


def fit_slope(estimates: Sequence[Estimates], quantity: Quantity) -> Interval | None:
    """Least squares slope of log mean error on log n with its 95 % interval over replicates, which differ at each n;
    None where there is no such quantity. Degrees of freedom are Satterthwaite's (1946).

    Raises `ValueError` for fewer than two sample sizes.
    """
    sizes = [estimate.n for estimate in estimates]
    require(len(set(sizes)) >= 2, "estimates", "at least two sample sizes", len(set(sizes)))
    errors = [estimate.errors(quantity) for estimate in estimates]
    present = [values for values in errors if values is not None]
    if len(present) < len(errors):
        return None
    centred = np.log(np.array(sizes, dtype=np.float64))
    centred -= centred.mean()
    weights = centred / (centred @ centred)  # (N,), of each log mean error in the slope
    value = float(weights @ np.log([max(float(values.mean()), TANGIBLE) for values in present]))
    freedoms = np.array([len(values) - 1 for values in present])
    if not freedoms.all():
        return Interval(value, -math.inf, math.inf)
    variances = weights**2 * np.array([_log_variance(values) for values in present])
    total = float(variances.sum())
    if total == 0:
        return Interval(value, value, value)
    half = _critical(total**2 / float((variances**2 / freedoms).sum())) * math.sqrt(total)
    return Interval(value, value - half, value + half)


def fit_slopes(estimates: Sequence[Estimates]) -> Mapping[Quantity, Interval | None]:
    """`fit_slope` of every quantity."""
    return {name: fit_slope(estimates, name) for name in QUANTITIES}


def _log_variance(errors: Array) -> float:
    """Of the logarithm of the mean of errors (R,), R >= 2, by the delta method."""
    mean = max(float(errors.mean()), TANGIBLE)
    return float(errors.var(ddof=1)) / len(errors) / mean**2


def _critical(freedom: float) -> float:
    from scipy import special  # takes longer to import than all of the theory

    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))


def n_mse_over_sigma2(estimates: Sequence[Estimates], noise: float) -> float:
    """n E||f_hat - f*||^2 / sigma^2, averaged over sample sizes and replicates; the number of parameters where the
    family is regular (equation 17). Raises `ValueError` for no estimates or noise that is not positive.
    """
    require(len(estimates) > 0, "estimates", "at least one sample size", 0)
    variance = positive("noise", noise) ** 2
    return float(np.mean([each.n * (each.prediction**2).mean() / variance for each in estimates]))
