"""Voronoi cells of a mixing measure and the losses between a fitted measure and the truth.

Distances are between the products P = b a^T, for every family alike: the factors have no meaning of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from replora.theory._checks import Array, IntArray, positive
from replora.theory.mixture import MixingMeasure


@dataclass(frozen=True)
class CellLosses:
    """What each true atom's cell holds and adds to the losses; `...` are the batch axes of the fitted measure.

    The cells' `first` add up to D_1, their `second` to D_2.
    """

    cells: IntArray  # (..., L'), the true atom each fitted atom is nearest to
    counts: IntArray  # (..., L), fitted atoms in each cell
    first: Array  # (..., L), D_1,1 by cell
    second: Array  # (..., L), D_2 by cell


def atom_distances(fitted: MixingMeasure, truth: MixingMeasure) -> tuple[Array, Array]:
    """||P_Q,i - P_Q,j*|| and ||P_V,i - P_V,j*|| (Frobenius), (..., L', L) each."""
    query = fitted.query_products[..., :, None, :, :] - truth.query_products[..., None, :, :, :]
    value = fitted.value_products[..., :, None, :, :] - truth.value_products[..., None, :, :, :]
    return np.sqrt((query**2).sum(axis=(-1, -2))), np.sqrt((value**2).sum(axis=(-1, -2)))


def voronoi_cells(fitted: MixingMeasure, truth: MixingMeasure) -> IntArray:
    """The index of the true atom nearest to each fitted atom, (..., L'), by ||dP_Q||^2 + ||dP_V||^2 (equation 4)."""
    query, value = atom_distances(fitted, truth)
    return np.asarray((query**2 + value**2).argmin(axis=-1))


def _losses_by_cell(fitted: MixingMeasure, truth: MixingMeasure, inside: Array, power: Array) -> Array:
    """|mass error| + sum of weight * (||dP_Q||^power + ||dP_V||^power), (..., L); power (..., L) or one number."""
    query, value = atom_distances(fitted, truth)
    weights = fitted.weights[..., :, None]  # (..., L', 1)
    exponent = power[..., None, :]  # (..., 1, L)
    mass = np.abs((inside * weights).sum(axis=-2) - truth.weights)
    spread = (inside * weights * (query**exponent + value**exponent)).sum(axis=-2)
    return np.asarray(mass + spread)


def _inside(cells: IntArray, atoms: int) -> Array:
    """1 where fitted atom i lies in cell j, (..., L', L)."""
    return np.asarray(cells[..., None] == np.arange(atoms), dtype=np.float64)


def cell_losses(fitted: MixingMeasure, truth: MixingMeasure) -> CellLosses:
    """Cells and losses by cell; power 2 in D_2 only in cells that hold several atoms (equations 4 to 6).

    An empty cell has the loss exp(c_j*), the mass it lacks.
    """
    cells = voronoi_cells(fitted, truth)
    inside = _inside(cells, truth.atoms)
    counts = inside.sum(axis=-2).astype(np.int64)
    ones = np.ones(counts.shape)
    first = _losses_by_cell(fitted, truth, inside, ones)
    second = _losses_by_cell(fitted, truth, inside, np.where(counts > 1, 2.0, 1.0))
    return CellLosses(cells, counts, first, second)


def voronoi_loss(fitted: MixingMeasure, truth: MixingMeasure, power: float = 1.0) -> Array:
    """D_1,r with r = `power`, (...) (equation 5). Raises `ValueError` for a power that is not positive."""
    inside = _inside(voronoi_cells(fitted, truth), truth.atoms)
    exponent = np.full((*inside.shape[:-2], truth.atoms), positive("power", power))
    return np.asarray(_losses_by_cell(fitted, truth, inside, exponent).sum(axis=-1))


def voronoi_loss_by_count(fitted: MixingMeasure, truth: MixingMeasure) -> Array:
    """D_2, (...): power 1 in cells of one atom, 2 in cells of several (equation 6)."""
    return np.asarray(cell_losses(fitted, truth).second.sum(axis=-1))
