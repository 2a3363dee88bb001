"""How far a split of an atom moves the regression function: directions, distances, exponents and their coefficients.

A split replaces one true atom by two of half its weight and moves them by delta. All results are exact up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from replora.theory._checks import Array, array_of, one_of, require, whole
from replora.theory.families import SHARINGS, TANH_SCALE, Family, Sharing, multiplicities
from replora.theory.mixture import MixingMeasure, Setting, distance, gates, regression_function

ROUNDING = 1e-12


@dataclass(frozen=True)
class Direction:
    """Where the two halves of a split go, by factor: each is (2, d), the shift of the first and of the second half."""

    b_query: Array  # (2, d)
    a_query: Array  # (2, d)
    b_value: Array  # (2, d)
    a_value: Array  # (2, d)


@dataclass(frozen=True)
class Exponent:
    """||f_delta - f*|| = coefficient * delta^value to leading order; value None and coefficient 0 where it is flat."""

    value: float | None
    coefficient: float


@dataclass(frozen=True)
class SplitLoss:
    """How far a split moves f (equation 8)."""

    deltas: Array  # (D,)
    distance: Array  # (D,), ||f_delta - f*||
    maximum: Array  # (D,), largest |f_delta - f*| over inputs and outputs

    @property
    def excess_loss(self) -> Array:
        """||f_delta - f*||^2, (D,), the squared error above the noise."""
        return self.distance**2


def deltas_of(deltas: Sequence[float] | Array) -> Array:
    """How far splits open, (D,); `ValueError` unless it is a vector that is not empty."""
    array = array_of("deltas", deltas, (None,))
    require(array.ndim == 1 and array.size > 0, "deltas", "a vector that is not empty", f"shape {array.shape}")
    return array


def unit_of(direction: Sequence[float] | Array, d: int) -> Array:
    """The unit vector (d,) along a direction; `ValueError` for none or another size."""
    array = array_of("direction", direction, (d,))
    length = float(np.linalg.norm(array))
    require(array.ndim == 1 and length > 0, "direction", f"a vector ({d},) other than zero", array.tolist())
    return array / length


def split_measure(
    truth: MixingMeasure, direction: Direction, deltas: Sequence[float] | Array, atom: int = 0
) -> MixingMeasure:
    """The truth with one atom halved and the halves' factors moved by delta times the direction, batch axis (D,).

    The halves stand where the atom stood: atom, atom + 1 (equation 7). Raises `ValueError` for an atom the truth lacks.
    """
    deltas, atom = deltas_of(deltas), whole("atom", atom, 0, truth.atoms - 1)
    copies = np.ones(truth.atoms, dtype=np.int64)
    copies[atom] = 2

    def moved(name: str) -> Array:
        base = np.repeat(getattr(truth, name), copies, axis=0)  # (L + 1, d)
        shift = np.zeros_like(base)
        shift[atom : atom + 2] = getattr(direction, name)
        return np.asarray(base + deltas[:, None, None] * shift)  # (D, L + 1, d)

    log_weights = np.repeat(truth.log_weights - np.log(copies), copies)
    return MixingMeasure(log_weights, moved("b_query"), moved("a_query"), moved("b_value"), moved("a_value"))


def split_loss(
    setting: Setting, truth: MixingMeasure, split: MixingMeasure, deltas: Sequence[float] | Array
) -> SplitLoss:
    """How far f moves from the truth for a measure with batch axis (D,), one entry for each delta (equation 8)."""
    deltas = deltas_of(deltas)
    error = regression_function(setting, split) - regression_function(setting, truth)  # (D, m, d)
    require(error.shape[:-2] == deltas.shape, "split", f"a batch of {deltas.size} measures", f"{error.shape[:-2]}")
    return SplitLoss(deltas, distance(setting, split, truth), np.abs(error).max(axis=(-1, -2)))


def split_theta(
    family: Family,
    truth: MixingMeasure,
    deltas: Sequence[float] | Array,
    direction: Sequence[float] | Array = (1.0, 0.0),
    atom: int = 0,
) -> Array:
    """theta (D, p) of an over-specified family at the truth, the atom's first two copies at +delta u and -delta u.

    u is the unit vector along `direction`; what moves is b_V for plain, b for shared, beta for tanh (equation 7).
    Raises `ValueError` where the family has fewer than two copies of the atom.
    """
    deltas = deltas_of(deltas)
    d = family.setting.dimension
    unit = unit_of(direction, d)
    first = first_copy(family, truth, atom)
    shift = np.zeros(family.parameters)
    offset = family.rows - family.atoms + first  # the value rows stand last
    shift[offset * d : (offset + 1) * d] = unit
    shift[(offset + 1) * d : (offset + 2) * d] = -unit
    return np.asarray(family.theta_at(truth) + deltas[:, None] * shift)


def first_copy(family: Family, truth: MixingMeasure, atom: int) -> int:
    """Index of the atom's first fitted copy; `ValueError` unless there are two."""
    atom = whole("atom", atom, 0, truth.atoms - 1)
    copies = multiplicities(truth.atoms, family.atoms)
    require(copies[atom] >= 2, "atoms", f"enough to hold atom {atom} twice", family.atoms)
    return sum(copies[:atom])


def antisymmetric(
    d: int,
    *,
    b_query: Array | None = None,
    a_query: Array | None = None,
    b_value: Array | None = None,
    a_value: Array | None = None,
) -> Direction:
    """The direction that moves the first half by these vectors (d,) and the second by their negatives."""

    def halves(vector: Array | None) -> Array:
        shift = np.zeros(d) if vector is None else array_of("direction", vector, (d,))
        return np.stack([shift, -shift])

    return Direction(halves(b_query), halves(a_query), halves(b_value), halves(a_value))


def named_directions(d: int = 2, seed: int = 0) -> dict[str, Direction]:
    """Directions worth comparing, by name: which factors move, tied or not; vectors are drawn on the unit sphere.

    'one-sided' moves the first half alone, 'random' both independently.
    Raises `ValueError` for d below 1 or a bad seed.
    """
    d, seed = whole("d", d, 1, 1000), whole("seed", seed, 0, 2**63 - 1)
    rng = np.random.default_rng(seed)
    b, a, *others = (vector / np.linalg.norm(vector) for vector in rng.standard_normal((10, d)))
    still = np.zeros(d)
    return {
        "plain value B": antisymmetric(d, b_value=b),
        "plain value A": antisymmetric(d, a_value=a),
        "plain query B": antisymmetric(d, b_query=b),
        "plain query A": antisymmetric(d, a_query=a),
        "shared B": antisymmetric(d, b_query=b, b_value=b),
        "shared A": antisymmetric(d, a_query=a, a_value=a),
        "shared B and A": antisymmetric(d, b_query=b, a_query=a, b_value=b, a_value=a),
        "one-sided": Direction(*(np.stack([vector, still]) for vector in (b, still, b, still))),
        "random": Direction(*(np.stack(others[2 * index : 2 * index + 2]) for index in range(4))),
    }


def fitted_exponent(deltas: Sequence[float] | Array, distances: Sequence[float] | Array) -> Exponent:
    """The slope of log distance on log delta, and the coefficient at the smallest delta (equation 8).

    All distances at rounding level (1e-12): flat. The coefficient is taken with the exponent rounded to a whole number,
    so that it has a unit. Raises `ValueError` for deltas that are not positive, fewer than two, or a mix of flat and
    not.
    """
    deltas, distances = deltas_of(deltas), deltas_of(distances)
    require(deltas.size >= 2 and bool((deltas > 0).all()), "deltas", "at least two positive numbers", deltas.tolist())
    require(deltas.size == distances.size, "distances", f"{deltas.size} numbers, one a delta", distances.size)
    flat = distances <= ROUNDING
    if flat.all():
        return Exponent(None, 0.0)
    require(not flat.any(), "distances", f"all above {ROUNDING:g}, or none", f"{int(flat.sum())} below")
    slope = float(np.polyfit(np.log(deltas), np.log(distances), 1)[0])
    smallest = int(deltas.argmin())
    return Exponent(slope, float(distances[smallest] / deltas[smallest] ** round(slope)))


def exponents_by_direction(
    setting: Setting,
    truth: MixingMeasure,
    deltas: Sequence[float] | Array | None = None,
    *,
    atom: int = 0,
    seed: int = 0,
) -> dict[str, Exponent]:
    """`fitted_exponent` for each of `named_directions` (docs/theory.md section 3): flat, 1 or 2.

    deltas: 9 from 1e-4 to 1e-2 unless given.
    """
    steps = np.geomspace(1e-4, 1e-2, 9) if deltas is None else deltas_of(deltas)
    losses = {
        name: split_loss(setting, truth, split_measure(truth, direction, steps, atom), steps)
        for name, direction in named_directions(setting.dimension, seed).items()
    }
    return {name: fitted_exponent(steps, loss.distance) for name, loss in losses.items()}


def split_kappa(
    setting: Setting,
    truth: MixingMeasure,
    direction: Sequence[float] | Array = (1.0, 0.0),
    *,
    atom: int = 0,
    sharing: Sharing = "shared",
) -> float:
    """kappa in ||f_delta - f*|| = kappa delta^2 + O(delta^3) for a split of b along the unit vector u (equation 9).

    With k the key feature, v the value feature, t = k (u . x), s the mean value vector and g_1 the split atom's gate:
    f_delta - f* = delta^2 g_1 v [(t^2 / 2 + k (q . x)) (b_1 - s) + t u + q] to leading order, with q = 0 for shared;
    for tanh b'(beta) u stands for u and q = b''(beta) u^2 / 2, by coordinate. plain: 0, the split is flat.
    Root of the mean over design points; unit: output per parameter squared. Raises `ValueError` for a bad direction,
    atom or sharing, and for a truth that is not tied.
    """
    unit = unit_of(direction, setting.dimension)
    atom = whole("atom", atom, 0, truth.atoms - 1)
    one_of("sharing", sharing, SHARINGS)
    tied = np.allclose(truth.b_query, truth.b_value) and np.allclose(truth.a_query, truth.a_value)
    require(tied and np.allclose(truth.a_value, truth.a_value[0]), "truth", "tied, with one frozen a", "another")
    if sharing == "plain":
        return 0.0
    b = truth.b_value[atom]  # (d,)
    curve = np.zeros_like(unit)
    if sharing == "tanh":
        ratio = b / TANH_SCALE
        slope = 1 - ratio**2
        curve = -ratio * slope / TANH_SCALE * unit**2  # half of b''(beta) u^2
        unit = slope * unit
    key = setting.inputs @ (setting.key_matrix.T @ truth.a_query[atom])  # (m,)
    value = setting.inputs @ truth.a_value[atom]  # (m,)
    weights = gates(setting, truth)[:, : truth.atoms]  # (m, L)
    mean = weights @ truth.b_value  # (m, d), the anchor adds nothing
    turn = key * (setting.inputs @ unit)  # (m,)
    bend = key * (setting.inputs @ curve)  # (m,)
    pull = (turn**2 / 2 + bend)[:, None] * (b - mean) + turn[:, None] * unit + curve
    leading = (value * weights[:, atom])[:, None] * pull  # (m, d)
    return float(np.sqrt((leading**2).sum(axis=1).mean()))
