"""The regression function of an attention head seen as a mixture of experts, and its mixing measure.

f_G(x) = sum_j gate_j(x) (M_V + P_V,j) x with gate = softmax_j(x^T P_Q,j M_K x + c_j) and rank-one P = b a^T.
The frozen query matrix M_Q adds the same to every logit and cancels. With `anchor` an unadapted reference expert
(P = 0, c = 0) stays in the softmax. `...` in shapes are any batch axes, such as replicates or values of delta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from replora.theory._checks import Array, array_of, number, positive, require, whole

DESIGN_POINTS = 200
RADIUS = 3.0
TWO_EXPERTS = ((0.0, 1.5), (-2.0, 0.5))


@dataclass(frozen=True)
class Setting:
    """Everything that is known and frozen: inputs (m, d), M_K and M_V (d, d), and whether the anchor is in the softmax.

    Raises `ValueError` for shapes that do not fit together. Source: docs/theory.md section 2, equation 1.
    """

    inputs: Array  # (m, d)
    key_matrix: Array  # (d, d)
    value_matrix: Array  # (d, d)
    anchor: bool = True

    def __post_init__(self) -> None:
        inputs = array_of("inputs", self.inputs, (None, None))
        require(inputs.ndim == 2 and inputs.size > 0, "inputs", "a matrix (m, d) that is not empty", inputs.shape)
        d = inputs.shape[1]
        object.__setattr__(self, "inputs", inputs)
        for name in ("key_matrix", "value_matrix"):
            matrix = array_of(name, getattr(self, name), (d, d))
            require(matrix.ndim == 2, name, f"a matrix ({d}, {d})", f"shape {matrix.shape}")
            object.__setattr__(self, name, matrix)

    @property
    def points(self) -> int:
        """m, the number of design points."""
        return int(self.inputs.shape[0])

    @property
    def dimension(self) -> int:
        """d, the width of inputs and outputs."""
        return int(self.inputs.shape[1])


@dataclass(frozen=True)
class MixingMeasure:
    """G = sum_j exp(c_j) delta_(P_Q,j, P_V,j) with rank-one P = b a^T, atoms on the axis before the last (equation 2).

    log_weights (..., L); b_query, a_query, b_value, a_value (..., L, d); batch axes broadcast against each other.
    Raises `ValueError` for shapes that do not fit together.
    """

    log_weights: Array  # (..., L)
    b_query: Array  # (..., L, d)
    a_query: Array  # (..., L, d)
    b_value: Array  # (..., L, d)
    a_value: Array  # (..., L, d)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_weights", array_of("log_weights", self.log_weights, (None,)))
        atoms = self.log_weights.shape[-1]
        require(atoms >= 1, "log_weights", "at least one atom long", self.log_weights.shape)
        width: int | None = None
        for name in ("b_query", "a_query", "b_value", "a_value"):
            array = array_of(name, getattr(self, name), (atoms, width))
            width = array.shape[-1]
            object.__setattr__(self, name, array)

    @property
    def atoms(self) -> int:
        """L, the number of atoms."""
        return int(self.log_weights.shape[-1])

    @property
    def weights(self) -> Array:
        """exp(c_j), (..., L)."""
        return np.exp(self.log_weights)

    @property
    def query_products(self) -> Array:
        """P_Q,j = b a^T, (..., L, d, d): what f depends on; (s b, a / s) is the same expert."""
        return self.b_query[..., :, None] * self.a_query[..., None, :]

    @property
    def value_products(self) -> Array:
        """P_V,j = b a^T, (..., L, d, d)."""
        return self.b_value[..., :, None] * self.a_value[..., None, :]


def sunflower(points: int = DESIGN_POINTS, radius: float = RADIUS) -> Array:
    """`points` fixed inputs spread evenly over a disc, (points, 2): radius * sqrt((k + 1/2) / m) at golden angles.

    Raises `ValueError` for points outside 1 to 100000 or a radius that is not positive. Source: Vogel 1979.
    """
    points, radius = whole("points", points, 1, 100_000), positive("radius", radius)
    k = np.arange(points)
    distance = radius * np.sqrt((k + 0.5) / points)
    angle = k * np.pi * (3 - np.sqrt(5))
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def disc_setting(points: int = DESIGN_POINTS, radius: float = RADIUS, *, anchor: bool = True) -> Setting:
    """The stylised setting: d = 2, M_K = [[0, 1], [-1, 0]], M_V = I, inputs on a disc (docs/theory.md section 2).

    With A frozen at a = e_1 the gate logit of an atom is c + (b . x) x_2 and its expert is x + b x_1.
    Raises `ValueError` as `sunflower` does.
    """
    return Setting(sunflower(points, radius), np.array([[0.0, 1.0], [-1.0, 0.0]]), np.eye(2), anchor)


def tied_truth(b: Sequence[Sequence[float]] = TWO_EXPERTS, eta: float = 0.0) -> MixingMeasure:
    """A truth with frozen a = e_1 and c* = 0 whose atoms share b_Q = b_V = b_j*, one row of `b` an atom (L, d).

    `eta` unties it: every coordinate of b_Q,j is that of b_V,j plus eta (equation 18); 0 is the shared truth. The
    default is docs/theory.md section 2's: b_1* = (0, 1.5), b_2* = (-2, 0.5).
    Raises `ValueError` for numbers that are not finite.
    """
    value = array_of("b", b, (None, None))  # (L, d)
    a = np.zeros_like(value)
    a[:, 0] = 1.0
    return MixingMeasure(np.zeros(len(value)), value + number("eta", eta, -100.0, 100.0), a, value, a)


def gate_logits(setting: Setting, measure: MixingMeasure) -> Array:
    """x^T P_Q,j M_K x + c_j, (..., m, L), the anchor's 0 appended as last column where there is one (equation 1)."""
    query = setting.inputs @ np.swapaxes(measure.b_query, -1, -2)  # (..., m, L)
    key = (setting.inputs @ setting.key_matrix.T) @ np.swapaxes(measure.a_query, -1, -2)  # (..., m, L)
    logits = query * key + measure.log_weights[..., None, :]
    if not setting.anchor:
        return logits
    return np.concatenate([logits, np.zeros_like(logits[..., :1])], axis=-1)


def gates(setting: Setting, measure: MixingMeasure) -> Array:
    """softmax over atoms of `gate_logits`, (..., m, L) or (..., m, L + 1) with the anchor last; rows sum to 1."""
    logits = gate_logits(setting, measure)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def experts(setting: Setting, measure: MixingMeasure) -> Array:
    """(M_V + P_V,j) x, (..., m, L, d), the anchor's M_V x appended as last expert where there is one (equation 1)."""
    value = setting.inputs @ np.swapaxes(measure.a_value, -1, -2)  # (..., m, L)
    frozen = setting.inputs @ setting.value_matrix.T  # (m, d)
    outputs = frozen[:, None, :] + value[..., None] * measure.b_value[..., None, :, :]
    if not setting.anchor:
        return np.asarray(outputs)
    anchor = np.broadcast_to(frozen[:, None, :], (*outputs.shape[:-2], 1, frozen.shape[-1]))
    return np.concatenate([outputs, anchor], axis=-2)


def regression_function(setting: Setting, measure: MixingMeasure) -> Array:
    """f_G at the design points, (..., m, d) (equation 1). Raises `ValueError` where d of the two differ."""
    width = measure.b_query.shape[-1]
    require(width == setting.dimension, "measure", f"of width {setting.dimension}", f"width {width}")
    mixture: Array = np.einsum("...ml,...mld->...md", gates(setting, measure), experts(setting, measure))
    return mixture


def distance(setting: Setting, measure: MixingMeasure, truth: MixingMeasure) -> Array:
    """||f_G - f_G*||, (...): root of the mean over inputs of the squared error summed over outputs (equation 8)."""
    error = regression_function(setting, measure) - regression_function(setting, truth)
    return np.asarray(np.sqrt((error**2).sum(axis=-1).mean(axis=-1)))
