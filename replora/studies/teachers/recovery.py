"""How near a found low-rank update is to a hidden one: relative error, principal angles, and sketches for pictures.

Updates are numpy arrays: A (layers, rank, in_features) and B (layers, out_features, rank), scaling included in B.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from replora.methods import Projection
from replora.studies.events import Rows, Sketch

Array = npt.NDArray[np.float64]

SHOWN = 48  # rows and columns of a matrix that a sketch keeps
DIGITS = 4  # significant ones, in a sketch
RIGHT_ANGLE = 90.0


@dataclass(frozen=True)
class Update:
    """The update of one projection in all adapted layers."""

    a: Array  # (layers, rank, in_features)
    b: Array  # (layers, out_features, rank)

    def delta_weights(self) -> Array:
        """delta_weight layer by layer, (layers, out_features, in_features)."""
        product: Array = self.b @ self.a
        return product


Updates = Mapping[Projection, Update]  # of every projection, in the order of PROJECTIONS


def relative_error(found: Update, hidden: Update) -> float:
    """||found - hidden||^2 / ||hidden||^2, all layers together: 0 is recovered, 1 is what no update at all has."""
    target = hidden.delta_weights()
    return float(np.square(found.delta_weights() - target).sum() / np.square(target).sum())


def mean_angle(found: Update, hidden: Update) -> float:
    """Mean principal angle in degrees between row spaces and between column spaces, over layers.

    There are as many angles as the smaller of the two ranks; a direction that the found update lacks counts as 90.
    """
    angles: list[float] = []
    for layer in range(len(hidden.a)):
        angles += _angles(found.a[layer].T, hidden.a[layer].T)
        angles += _angles(found.b[layer], hidden.b[layer])
    return float(np.mean(angles))


def _angles(found: Array, hidden: Array) -> list[float]:
    """Principal angles in degrees between the spaces that the columns span."""
    expected = min(found.shape[1], hidden.shape[1])
    if not np.any(found):
        return [RIGHT_ANGLE] * expected
    known = np.degrees(linalg.subspace_angles(found, hidden))[:expected].tolist()
    return [*known, *[RIGHT_ANGLE] * (expected - len(known))]


def sketches(updates: Updates) -> tuple[Sketch, ...]:
    """Each layer's factors at about SHOWN evenly spaced rows and columns."""
    layers = len(next(iter(updates.values())).a)
    return tuple(
        Sketch.of({projection: _sketched(update, layer) for projection, update in updates.items()})
        for layer in range(layers)
    )


def _sketched(update: Update, layer: int) -> tuple[Rows, Rows]:
    a, b = update.a[layer], update.b[layer]
    return _short(a[:, _spaced(a.shape[1])]), _short(b[_spaced(b.shape[0])])


def _spaced(features: int) -> npt.NDArray[np.int64]:
    return np.arange(0, features, max(1, features // SHOWN))[:SHOWN]


def _short(matrix: Array) -> list[list[float]]:
    rounded: Any = [[float(f"{each:.{DIGITS}g}") for each in row] for row in matrix]
    return rounded  # type: ignore[no-any-return]
