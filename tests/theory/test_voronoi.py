"""Voronoi cells and losses against versions written with loops."""

from __future__ import annotations

import numpy as np
import pytest

from replora.theory import (
    MixingMeasure,
    cell_losses,
    tied_truth,
    voronoi_cells,
    voronoi_loss,
    voronoi_loss_by_count,
)


def random_measure(rng: np.random.Generator, atoms: int, d: int = 3) -> MixingMeasure:
    return MixingMeasure(rng.normal(size=atoms), *(rng.normal(size=(atoms, d)) for _ in range(4)))


def by_loops(fitted: MixingMeasure, truth: MixingMeasure, power: float | None) -> tuple[list[int], float]:
    """Cells and D_1,r for a power, D_2 for None."""

    def gaps(i: int, j: int) -> tuple[float, float]:
        query = np.outer(fitted.b_query[i], fitted.a_query[i]) - np.outer(truth.b_query[j], truth.a_query[j])
        value = np.outer(fitted.b_value[i], fitted.a_value[i]) - np.outer(truth.b_value[j], truth.a_value[j])
        return float(np.linalg.norm(query)), float(np.linalg.norm(value))

    cells = [
        min(range(truth.atoms), key=lambda j, i=i: gaps(i, j)[0] ** 2 + gaps(i, j)[1] ** 2)  # type: ignore[misc]
        for i in range(fitted.atoms)
    ]
    total = 0.0
    for j in range(truth.atoms):
        members = [i for i in range(fitted.atoms) if cells[i] == j]
        exponent = power if power is not None else (1.0 if len(members) == 1 else 2.0)
        total += abs(sum(np.exp(fitted.log_weights[i]) for i in members) - np.exp(truth.log_weights[j]))
        for i in members:
            query, value = gaps(i, j)
            total += np.exp(fitted.log_weights[i]) * (query**exponent + value**exponent)
    return cells, total


@pytest.mark.parametrize("seed", range(8))
def test_cells_and_losses_by_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, fitted = random_measure(rng, 3), random_measure(rng, 5)
    assert voronoi_cells(fitted, truth).tolist() == by_loops(fitted, truth, 1.0)[0]
    for power in (1.0, 2.0, 3.5):
        assert float(voronoi_loss(fitted, truth, power)) == pytest.approx(by_loops(fitted, truth, power)[1], rel=1e-12)
    assert float(voronoi_loss_by_count(fitted, truth)) == pytest.approx(by_loops(fitted, truth, None)[1], rel=1e-12)


def test_a_batch_is_each_alone_and_cells_add_up() -> None:
    rng = np.random.default_rng(0)
    truth = random_measure(rng, 3)
    each = [random_measure(rng, 4) for _ in range(6)]
    names = ("log_weights", "b_query", "a_query", "b_value", "a_value")
    batch = MixingMeasure(*(np.stack([getattr(one, name) for one in each]) for name in names))
    losses = cell_losses(batch, truth)
    for index, one in enumerate(each):
        assert losses.cells[index].tolist() == voronoi_cells(one, truth).tolist()
        assert losses.first[index].sum() == pytest.approx(float(voronoi_loss(one, truth)), rel=1e-12)
        assert losses.second[index].sum() == pytest.approx(float(voronoi_loss_by_count(one, truth)), rel=1e-12)
    assert (losses.counts.sum(axis=-1) == 4).all()


def test_the_truth_has_no_loss_whatever_the_scale_of_its_factors_and_the_order_of_its_atoms() -> None:
    truth = tied_truth()
    other = MixingMeasure(
        truth.log_weights[::-1], 2 * truth.b_query[::-1], truth.a_query[::-1] / 2, truth.b_value[::-1], truth.a_value
    )
    assert float(voronoi_loss(other, truth)) == pytest.approx(0, abs=1e-15)
    assert float(voronoi_loss_by_count(other, truth)) == pytest.approx(0, abs=1e-15)


def test_power_two_only_in_cells_of_several() -> None:
    truth = tied_truth()
    halves = np.log([0.5, 0.5, 1.0])
    b = np.array([[0.1, 1.5], [-0.1, 1.5], [-2.0, 0.7]])
    a = np.tile([1.0, 0.0], (3, 1))
    losses = cell_losses(MixingMeasure(halves, b, a, b, a), truth)
    assert losses.counts.tolist() == [2, 1]
    np.testing.assert_allclose(losses.first, [2 * 0.1, 2 * 0.2])
    np.testing.assert_allclose(losses.second, [2 * 0.01, 2 * 0.2])


def test_an_empty_cell_costs_the_mass_it_lacks() -> None:
    truth = tied_truth()
    b = np.array([[0.0, 1.5], [0.0, 1.5]])
    losses = cell_losses(MixingMeasure(np.zeros(2), b, truth.a_query, b, truth.a_value), truth)
    np.testing.assert_allclose(losses.first, [1.0, 1.0])


def test_bad_power() -> None:
    with pytest.raises(ValueError, match=r"^power must be a finite number above 0, got 0\.$"):
        voronoi_loss(tied_truth(), tied_truth(), 0)
