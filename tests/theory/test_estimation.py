"""Batched Levenberg-Marquardt against scipy, and the averages against all observations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares, lsq_linear

from replora.theory import (
    SHARINGS,
    Family,
    Sharing,
    averages,
    disc_setting,
    family_for,
    fit,
    least_squares_problem,
    levenberg_marquardt,
    regression_function,
    tied_truth,
)
from replora.theory.estimation import NormalEquations

Array = NDArray[np.float64]
SETTING = disc_setting(40)


def random_case(sharing: Sharing, seed: int, *, free: bool = False, noise: float = 0.3) -> tuple[Family, Array, Array]:
    """A family, observations of 3 data sets about a random two-atom truth, and starts near it."""
    rng = np.random.default_rng(seed)
    truth = tied_truth(tuple(map(tuple, rng.uniform(-1.5, 1.5, size=(2, 2)))))
    family = family_for(SETTING, truth, sharing, 2, free_weights=free)
    observations = averages(regression_function(SETTING, truth), 400, noise, 3, rng)
    return family, observations, family.theta_at(truth) + 0.1 * rng.normal(size=(3, family.parameters))


def by_scipy(family: Family, observation: Array, start: Array, box: float) -> tuple[float, Array]:
    lower, upper = family.bounds(box)
    found = least_squares(
        lambda theta: (family.predict(theta[None])[0] - observation).ravel(),
        np.clip(start, lower + 1e-9, upper - 1e-9),
        jac=lambda theta: family.jacobian(theta[None])[0].reshape(-1, family.parameters),
        bounds=(lower, upper),
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-13,
        max_nfev=5000,
    )
    return float(found.cost), np.asarray(found.x)


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("seed", range(4))
def test_same_optimum_as_scipy(sharing: Sharing, seed: int) -> None:
    family, observations, start = random_case(sharing, seed)
    found = fit(family, observations, start, box=4.0)
    assert found.converged.all()
    for index in range(3):
        cost, theta = by_scipy(family, observations[index], start[index], 4.0)
        assert found.cost[index] == pytest.approx(cost, rel=1e-9)
        np.testing.assert_allclose(found.theta[index], theta, atol=2e-4)


@pytest.mark.parametrize("seed", range(3))
def test_same_optimum_as_scipy_with_free_weights(seed: int) -> None:
    family, observations, start = random_case("shared", seed, free=True, noise=0.1)
    found = fit(family, observations, start, box=4.0)
    for index in range(3):
        cost, _ = by_scipy(family, observations[index], start[index], 4.0)
        assert found.cost[index] == pytest.approx(cost, rel=1e-8)


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("seed", range(3))
def test_same_optimum_as_scipy_at_the_edge_of_the_box(sharing: Sharing, seed: int) -> None:
    family, observations, start = random_case(sharing, seed)
    box = 0.6
    found = fit(family, observations, start, box=box)
    lower, upper = family.bounds(box)
    assert found.converged.all()
    assert ((found.theta == lower) | (found.theta == upper)).any(axis=1).all()
    assert (found.theta >= lower).all()
    assert (found.theta <= upper).all()
    for index in range(3):
        cost, _ = by_scipy(family, observations[index], start[index], box)
        assert found.cost[index] <= cost * (1 + 1e-7)
        from_there, _ = by_scipy(family, observations[index], found.theta[index], box)
        assert found.cost[index] == pytest.approx(from_there, rel=1e-7)


def test_linear_least_squares_in_a_box() -> None:
    rng = np.random.default_rng(3)
    matrices, targets = rng.normal(size=(6, 12, 5)), 2 * rng.normal(size=(6, 12))

    def problem(theta: Array, replicates: NDArray[np.int64]) -> NormalEquations:
        matrix = matrices[replicates]
        residual = (matrix @ theta[..., None])[..., 0] - targets[replicates]
        gradient = (matrix.transpose(0, 2, 1) @ residual[..., None])[..., 0]
        return NormalEquations((residual**2).sum(axis=1) / 2, gradient, matrix.transpose(0, 2, 1) @ matrix)

    reach = np.full(5, 0.3)
    found = levenberg_marquardt(problem, np.zeros((6, 5)), -reach, reach)
    for index in range(6):
        theirs = lsq_linear(matrices[index], targets[index], (-0.3, 0.3), tol=1e-14)
        np.testing.assert_allclose(found.theta[index], theirs.x, atol=1e-6)


def test_a_batch_is_each_alone() -> None:
    family, observations, start = random_case("plain", 1)
    together = fit(family, observations, start, box=4.0)
    for index in range(3):
        alone = fit(family, observations[index : index + 1], start[index : index + 1], box=4.0)
        np.testing.assert_allclose(alone.theta[0], together.theta[index], atol=1e-9)
        assert alone.steps[0] == together.steps[index]


def test_exact_data_are_fitted_exactly() -> None:
    truth = tied_truth()
    family = family_for(SETTING, truth, "plain", 2)
    start = family.theta_at(truth) + 0.2 * np.random.default_rng(0).normal(size=(5, 8))
    found = fit(family, np.repeat(regression_function(SETTING, truth)[None], 5, axis=0), start, box=4.0)
    assert found.converged.all()
    assert found.cost.max() < 1e-20
    np.testing.assert_allclose(found.theta, np.tile(family.theta_at(truth), (5, 1)), atol=1e-9)


def test_running_out_of_steps_is_said() -> None:
    family, observations, start = random_case("plain", 0)
    found = fit(family, observations, start, box=4.0, max_steps=1)
    assert not found.converged.any()
    assert (found.steps == 1).all()


def test_averages_hold_all_that_n_observations_say() -> None:
    """The sum of squares over all observations is a constant plus n / m times that over the averages (equation 13)."""
    rng = np.random.default_rng(5)
    truth = tied_truth()
    family = family_for(SETTING, truth, "shared", 3)
    repeats = 7
    every = regression_function(SETTING, truth) + rng.normal(size=(repeats, 40, 2))  # n = 280
    thetas = family.theta_at(truth) + rng.normal(size=(4, family.parameters))
    predicted = family.predict(thetas)
    full = ((every[None] - predicted[:, None]) ** 2).sum(axis=(1, 2, 3))
    short = repeats * ((every.mean(axis=0) - predicted) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(full - full[0], short - short[0], rtol=1e-10)


def test_averages_have_the_noise_of_n_over_m_observations() -> None:
    regression = regression_function(SETTING, tied_truth())
    drawn = averages(regression, 4000, 0.5, 500, np.random.default_rng(0)) - regression
    assert drawn.std() == pytest.approx(0.5 * np.sqrt(40 / 4000), rel=0.02)
    fewer = averages(regression, 4000, 0.5, 3, np.random.default_rng(0)) - regression
    np.testing.assert_array_equal(fewer, drawn[:3])


def test_bad_input_is_one_sentence() -> None:
    family, observations, start = random_case("plain", 0)
    regression, rng = observations[0], np.random.default_rng(0)
    for noise in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=rf"^noise must be a finite number above 0, got {noise}\.$"):
            averages(regression, 400, noise, 1, rng)
    with pytest.raises(ValueError, match=r"^n must be a multiple of the 40 design points, got 50\.$"):
        averages(regression, 50, 0.5, 1, rng)
    with pytest.raises(ValueError, match=r"^replicates must be a whole number from 1 to 1000000, got 0\.$"):
        averages(regression, 400, 0.5, 0, rng)
    with pytest.raises(ValueError, match=r"^observations must be an array with last axes \(40, 2\), got shape"):
        fit(family, observations[:, :10], start, box=4.0)
    with pytest.raises(ValueError, match=r"^box must be a number from 1e-06 to 1e\+06, got 0\.$"):
        fit(family, observations, start, box=0)
    with pytest.raises(ValueError, match=r"^max_steps must be a whole number from 1 to 1000000, got 0\.$"):
        fit(family, observations, start, box=4.0, max_steps=0)
    few = family_for(disc_setting(3), tied_truth(), "plain", 2)
    with pytest.raises(ValueError, match=r"^design points must be enough for 8 parameters, got 3\.$"):
        least_squares_problem(few, np.zeros((1, 3, 2)))
    problem = least_squares_problem(family, observations)
    with pytest.raises(ValueError, match=r"^lower must be below upper everywhere, got a box that is empty\.$"):
        levenberg_marquardt(problem, start, np.ones(8), np.ones(8))
