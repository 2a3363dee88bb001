"""The families that are fitted: plain LoRA, shared (linear) and shared through tanh, A frozen at one direction.

A parameter vector theta holds one row of d numbers an atom, [b_Q; b_V] for plain, [b] for shared, [beta] for tanh with
b = s tanh(beta / s); free log-weights c_j follow. Replicates are the leading axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from replora.theory._checks import Array, array_of, number, one_of, require, whole
from replora.theory.mixture import MixingMeasure, Setting

Sharing = Literal["plain", "shared", "tanh"]
SHARINGS: tuple[Sharing, ...] = get_args(Sharing)
TANH_SCALE = 5.0
MAX_ATOMS = 64


def multiplicities(true_atoms: int, atoms: int) -> tuple[int, ...]:
    """How many of L' fitted atoms stand for each of L true ones: the surplus goes round from the first, (L,).

    Raises `ValueError` for L' < L.
    """
    true_atoms = whole("true_atoms", true_atoms, 1, MAX_ATOMS)
    whole("atoms", atoms, 1, MAX_ATOMS)
    require(atoms >= true_atoms, "atoms", f"at least the truth's {true_atoms}", atoms)
    each, surplus = divmod(atoms, true_atoms)
    return tuple(each + (index < surplus) for index in range(true_atoms))


@dataclass(frozen=True)
class Family:
    """f over a fixed setting as a function of theta (equations 1 and 3).

    direction: the frozen a, (d,). log_weights: the known c_j, (L',), or None where they are fitted as well.
    Raises `ValueError` for an unknown sharing, fewer than one atom or shapes that do not fit.
    """

    setting: Setting
    sharing: Sharing
    atoms: int
    log_weights: Array | None  # (L',) or None: free
    direction: Array  # (d,)

    def __post_init__(self) -> None:
        one_of("sharing", self.sharing, SHARINGS)
        whole("atoms", self.atoms, 1, MAX_ATOMS)
        direction = array_of("direction", self.direction, (self.setting.dimension,))
        require(direction.ndim == 1, "direction", f"a vector ({self.setting.dimension},)", f"shape {direction.shape}")
        object.__setattr__(self, "direction", direction)
        if self.log_weights is not None:
            known = array_of("log_weights", self.log_weights, (self.atoms,))
            require(known.ndim == 1, "log_weights", f"a vector ({self.atoms},)", f"shape {known.shape}")
            object.__setattr__(self, "log_weights", known)

    @property
    def rows(self) -> int:
        """Rows of d numbers in theta: 2 L' for plain, L' for shared and tanh."""
        return (2 if self.sharing == "plain" else 1) * self.atoms

    @property
    def parameters(self) -> int:
        """Length of theta: rows * d, and L' more where the log-weights are free."""
        return self.rows * self.setting.dimension + (self.atoms if self.log_weights is None else 0)

    def split(self, theta: Array) -> tuple[Array, Array]:
        """theta (..., p) as rows (..., rows, d) and log-weights (..., L'). Raises `ValueError` for another length."""
        theta = array_of("theta", theta, (self.parameters,))
        cut = self.rows * self.setting.dimension
        rows = theta[..., :cut].reshape(*theta.shape[:-1], self.rows, self.setting.dimension)
        if self.log_weights is None:
            return rows, theta[..., cut:]
        return rows, np.broadcast_to(self.log_weights, (*theta.shape[:-1], self.atoms))

    def measure(self, theta: Array) -> MixingMeasure:
        """The mixing measure at theta (..., p), batch axes kept."""
        rows, log_weights = self.split(theta)
        b_query, b_value = self._factors(rows)
        a = np.broadcast_to(self.direction, b_query.shape)
        return MixingMeasure(log_weights, b_query, a, b_value, a)

    def theta_at(self, truth: MixingMeasure) -> Array:
        """theta (p,) of the truth (no batch axes), atoms repeated by `multiplicities`, b_V taken where it is tied.

        Free log-weights share each atom's weight equally. Raises `ValueError` for L' < L, for a truth with other
        frozen a, and for tanh where |b| reaches its scale.
        """
        for name in ("a_query", "a_value"):
            fits = bool(np.allclose(getattr(truth, name), self.direction))
            require(
                fits, f"truth.{name}", f"the frozen direction {self.direction.tolist()}", getattr(truth, name).tolist()
            )
        copies = multiplicities(truth.atoms, self.atoms)
        value = np.repeat(truth.b_value, copies, axis=0)  # (L', d)
        rows = value
        if self.sharing == "plain":
            rows = np.concatenate([np.repeat(truth.b_query, copies, axis=0), value])
        elif self.sharing == "tanh":
            largest = float(np.abs(value).max())
            require(largest < TANH_SCALE, "truth.b_value", f"below {TANH_SCALE:g} for tanh sharing", largest)
            rows = TANH_SCALE * np.arctanh(value / TANH_SCALE)
        free = [] if self.log_weights is not None else [shared_log_weights(truth, self.atoms)]
        return np.concatenate([rows.ravel(), *free])

    def bounds(self, box: float) -> tuple[Array, Array]:
        """Lower and upper bounds of theta, (p,), that keep every coordinate of b (and free c) in [-box, box].

        Raises `ValueError` for a box that is not positive, or not below the scale of tanh.
        """
        box = number("box", box, 1e-6, 1e6)
        reach = np.full(self.parameters, box)
        if self.sharing == "tanh":
            require(box < TANH_SCALE, "box", f"below {TANH_SCALE:g} for tanh sharing", box)
            reach[: self.rows * self.setting.dimension] = TANH_SCALE * math.atanh(box / TANH_SCALE)
        return -reach, reach

    def predict(self, theta: Array) -> Array:
        """f at the design points, (R, m, d) for theta (R, p)."""
        return self._frozen() + np.swapaxes(self._mix(theta)[1], -1, -2)

    def jacobian(self, theta: Array) -> Array:
        """Derivatives of f, (R, m, d, p) for theta (R, p): analytic (equation 14)."""
        _, rows = self.residual_rows(theta)
        replicates, m, d = theta.shape[0], self.setting.points, self.setting.dimension
        return rows.reshape(replicates, self.parameters, d, m).transpose(0, 3, 2, 1)

    def targets(self, observations: Array) -> Array:
        """Observations (R, m, d) less the frozen M_V x, (R, d m): what `residual_rows` is compared with."""
        shifted = np.swapaxes(observations - self._frozen(), -1, -2)
        return np.ascontiguousarray(shifted).reshape(len(observations), -1)

    def residual_rows(self, theta: Array) -> tuple[Array, Array]:
        """f less the frozen M_V x, (R, d m), and its derivatives, (R, p, d m), flat as least squares wants them.

        With g the gates, k = x^T M_K^T a, v = a^T x and mean value vector s = sum_j g_j b_V,j:
        df/dc_i = g_i v (b_V,i - s), df/db_Q,i = df/dc_i k x^T, df/db_V,i = g_i v I (equation 14).
        """
        gates, mixed, b_value, slope = self._mix(theta)
        replicates, m, d = theta.shape[0], self.setting.points, self.setting.dimension
        value = self.setting.inputs @ self.direction  # (m,)
        weighted = gates * value  # (R, L', m)
        mean = gates.transpose(0, 2, 1) @ b_value  # (R, m, d), s
        by_logit = weighted[:, :, None, :] * (b_value[..., None] - mean.transpose(0, 2, 1)[:, None])  # (R, L', d, m)
        rows = by_logit[:, :, None] * self._query_features()[:, None, :]  # (R, L', d, d, m), by b_Q
        diagonal = np.arange(d)
        if self.sharing == "plain":
            values = np.zeros_like(rows)  # (R, L', d, d, m), by b_V
            values[:, :, diagonal, diagonal] = weighted[:, :, None, :]
            rows = np.concatenate([rows, values], axis=1)
        else:
            rows[:, :, diagonal, diagonal] += weighted[:, :, None, :]
        if slope is not None:
            rows *= slope[..., None, None]
        flat = rows.reshape(replicates, -1, d * m)
        if self.log_weights is None:
            flat = np.concatenate([flat, by_logit.reshape(replicates, self.atoms, d * m)], axis=1)
        return mixed.reshape(replicates, d * m), flat

    def _frozen(self) -> Array:
        return self.setting.inputs @ self.setting.value_matrix.T  # (m, d)

    def _query_features(self) -> Array:
        """x k(x), (d, m): the gate logit of an atom is its product with b_Q, plus c."""
        key = self.setting.inputs @ (self.setting.key_matrix.T @ self.direction)  # (m,)
        return np.asarray((self.setting.inputs * key[:, None]).T)

    def _factors(self, rows: Array) -> tuple[Array, Array]:
        """b_Q and b_V, (..., L', d) each, of rows (..., rows, d)."""
        if self.sharing == "plain":
            return rows[..., : self.atoms, :], rows[..., self.atoms :, :]
        b = TANH_SCALE * np.tanh(rows / TANH_SCALE) if self.sharing == "tanh" else rows
        return b, b

    def _mix(self, theta: Array) -> tuple[Array, Array, Array, Array | None]:
        """Gates (R, L', m) without the anchor's, f less M_V x (R, d, m), b_V (R, L', d), and db/dbeta for tanh."""
        rows, log_weights = self.split(theta)
        b_query, b_value = self._factors(rows)
        slope = 1 - (b_query / TANH_SCALE) ** 2 if self.sharing == "tanh" else None
        logits = b_query @ self._query_features() + log_weights[..., None]  # (R, L', m)
        top = logits.max(axis=1, keepdims=True)
        if self.setting.anchor:
            top = np.maximum(top, 0.0)
        powers = np.exp(logits - top)
        total = powers.sum(axis=1, keepdims=True)
        if self.setting.anchor:
            total += np.exp(-top)
        gates = powers / total
        value = self.setting.inputs @ self.direction  # (m,)
        mixed = (np.swapaxes(b_value, -1, -2) @ gates) * value  # (R, d, m)
        return gates, mixed, b_value, slope


def shared_log_weights(truth: MixingMeasure, atoms: int) -> Array:
    """c of L' atoms that share each true atom's weight equally, (L',). Raises `ValueError` for L' < L."""
    copies = multiplicities(truth.atoms, atoms)
    return np.repeat(truth.log_weights - np.log(copies), copies)


def family_for(
    setting: Setting, truth: MixingMeasure, sharing: Sharing, atoms: int, *, free_weights: bool = False
) -> Family:
    """The family with L' = `atoms` atoms that contains the truth (shared: where the truth is tied), A frozen at its a.

    Weights are known (each true weight shared equally by its copies) unless `free_weights`.
    Raises `ValueError` for L' < L or an unknown sharing.
    """
    known = shared_log_weights(truth, atoms)
    return Family(setting, sharing, atoms, None if free_weights else known, truth.a_value[0])
