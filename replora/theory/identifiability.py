"""What the data can and cannot tell of a split, without noise: Fisher information, samples needed, profile deviance.

All results are exact up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from replora.theory._checks import Array, BoolArray, IntArray, array_of, number, positive, require, whole
from replora.theory.estimation import NormalEquations, least_squares_problem, levenberg_marquardt
from replora.theory.families import Family
from replora.theory.mixture import MixingMeasure, regression_function
from replora.theory.splits import ROUNDING, deltas_of, first_copy, split_theta

ZERO_EIGENVALUE = 1e-10


@dataclass(frozen=True)
class FisherSpectrum:
    """Eigenvalues of the Fisher information of one observation along a split, ascending, and how many are zero."""

    deltas: Array  # (D,)
    eigenvalues: Array  # (D, p)
    zeros: IntArray  # (D,)


@dataclass(frozen=True)
class Profile:
    """Smallest squared error with the split held at delta and all else fitted, and its deviance at n observations."""

    deltas: Array  # (D,)
    excess_loss: Array  # (D,)
    deviance: Array  # (D,), n * excess_loss / sigma^2
    theta: Array  # (D, p), where it is attained


def fisher_eigenvalues(family: Family, theta: Array, noise: float) -> Array:
    """Eigenvalues of J^T J / (m sigma^2), the Fisher information of one observation, ascending, (D, p) (equation 10).

    From the singular values of J, so that zeros are zero to rounding. theta (D, p). Raises `ValueError` for noise that
    is not positive or too few design points.
    """
    noise = positive("noise", noise)
    m, d = family.setting.points, family.setting.dimension
    require(m * d >= family.parameters, "design points", f"enough for {family.parameters} parameters", m)
    jacobian = family.jacobian(array_of("theta", theta, (None, family.parameters)))
    singular = np.linalg.svd(jacobian.reshape(len(theta), m * d, -1), compute_uv=False)  # (D, p), descending
    return np.asarray(singular[:, ::-1] ** 2 / (m * noise**2))


def zero_eigenvalues(eigenvalues: Array, tolerance: float = ZERO_EIGENVALUE) -> IntArray:
    """How many of the last axis are zero: at most `tolerance` of the largest, (...)."""
    tolerance = number("tolerance", tolerance, 0.0, 1.0)
    largest = eigenvalues.max(axis=-1, keepdims=True)
    return np.asarray((eigenvalues <= tolerance * largest).sum(axis=-1), dtype=np.int64)


def fisher_along_split(
    family: Family,
    truth: MixingMeasure,
    deltas: Sequence[float] | Array,
    *,
    noise: float = 0.5,
    direction: Sequence[float] | Array = (1.0, 0.0),
    atom: int = 0,
) -> FisherSpectrum:
    """Fisher spectrum of an over-specified family as the split opens (equation 10).

    Raises `ValueError` as `split_theta` and `fisher_eigenvalues` do.
    """
    theta = split_theta(family, truth, deltas, direction, atom)
    eigenvalues = fisher_eigenvalues(family, theta, noise)
    return FisherSpectrum(deltas_of(deltas), eigenvalues, zero_eigenvalues(eigenvalues))


def samples_to_tell(distances: Sequence[float] | Array, noise: float, error_rate: float = 0.05) -> Array:
    """Observations that tell a split from none with these errors both ways, (D,) (equation 11).

    n = 4 z^2 sigma^2 / ||f_delta - f*||^2, infinite where the distance is zero to rounding (1e-12): none is enough.
    Raises `ValueError` for noise that is not positive, negative distances or an error rate outside 1e-6 to 0.499.
    """
    distances, noise = array_of("distances", distances, (None,)), positive("noise", noise)
    require(bool((distances >= 0).all()), "distances", "numbers of at least 0", float(distances.min(initial=0.0)))
    z = NormalDist().inv_cdf(1 - number("error_rate", error_rate, 1e-6, 0.499))
    told: BoolArray = distances > ROUNDING
    squares = np.where(told, distances, 1.0) ** 2
    return np.asarray(np.where(told, 4 * (z * noise) ** 2 / squares, np.inf))


def profile_deviance(
    family: Family,
    truth: MixingMeasure,
    deltas: Sequence[float] | Array,
    n: int,
    *,
    noise: float = 0.5,
    direction: Sequence[float] | Array = (1.0, 0.0),
    atom: int = 0,
    box: float = 1000.0,
    max_steps: int = 200,
) -> Profile:
    """n / sigma^2 times the smallest ||f - f*||^2 with the two copies held 2 delta u apart (equation 12).

    Held is the difference of the rows a split moves (b_V, b or beta); their centre and all else are fitted.
    Compare with the 95 % point of chi-squared(1), 3.84.
    Raises `ValueError` for n below the number of parameters, noise that is not positive, or as `split_theta` does.
    """
    n, noise = whole("n", n, 1, 10**15), positive("noise", noise)
    require(n >= family.parameters, "n", f"at least the number of parameters, {family.parameters}", n)
    deltas = deltas_of(deltas)
    d = family.setting.dimension
    base = split_theta(family, truth, deltas, direction, atom)  # (D, p)
    first = (family.rows - family.atoms + first_copy(family, truth, atom)) * d
    kept = np.delete(np.arange(family.parameters), np.arange(first + d, first + 2 * d))
    spread = np.zeros((family.parameters, kept.size))  # theta = base + spread @ phi
    spread[kept, np.arange(kept.size)] = 1.0
    spread[first + d : first + 2 * d] = spread[first : first + d]  # the two copies share their centre
    target = regression_function(family.setting, truth)
    full = least_squares_problem(family, np.repeat(target[None], deltas.size, axis=0))

    def problem(phi: Array, replicates: IntArray) -> NormalEquations:
        cost, gradient, curvature = full(base[replicates] + phi @ spread.T, replicates)
        return NormalEquations(cost, gradient @ spread, spread.T @ curvature @ spread)

    reach = np.full(kept.size, number("box", box, 1e-6, 1e6))
    found = levenberg_marquardt(problem, np.zeros((deltas.size, kept.size)), -reach, reach, max_steps=max_steps)
    excess = 2 * found.cost / family.setting.points
    return Profile(deltas, excess, n * excess / noise**2, base + found.theta @ spread.T)
