"""Monte Carlo: slopes by family and seed, the two modes of plain LoRA, floors, reproducibility, bad input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from replora.theory import (
    QUANTITIES,
    THEORY_SLOPES,
    Estimates,
    Experiment,
    Interval,
    Sharing,
    cell_losses,
    distance,
    fit_slope,
    fit_slopes,
    mean_band,
    monte_carlo,
    n_mse_over_sigma2,
    sample_sizes,
    untied_floor,
)

SEEDS = (0, 1, 2)


@cache
def ran(sharing: Sharing, atoms: int, seed: int) -> list[Estimates]:
    replicates = 100 if (sharing, atoms) == ("plain", 3) else 150
    return list(monte_carlo(Experiment(sharing=sharing, atoms=atoms, replicates=replicates, seed=seed)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sharing", ["plain", "shared"])
@pytest.mark.parametrize("atoms", [2, 3])
def test_slopes_are_those_of_the_theory(sharing: Sharing, atoms: int, seed: int) -> None:
    slopes = fit_slopes(ran(sharing, atoms, seed))
    for quantity, expected in THEORY_SLOPES[sharing, "exact" if atoms == 2 else "over"].items():
        found = slopes[quantity]
        if expected is not None:
            assert found is not None
            assert found.value == pytest.approx(expected, abs=0.06), quantity
            assert found.low < found.value < found.high
    if (sharing, atoms) == ("plain", 3):  # measured; no theorem names a slope
        assert slopes["D_1"] is not None
        assert slopes["D_1"].value == pytest.approx(0, abs=0.06)
    assert (slopes["doubled_cell"] is None) == (atoms == 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_over_specified_plain_has_two_modes_and_nothing_else_has(seed: int) -> None:
    last = ran("plain", 3, seed)[-1]
    assert 0.25 <= last.far_fraction <= 0.55
    assert 0.2 <= last.edge_fraction <= last.far_fraction + 0.02
    near, far = last.d1[~last.far], last.d1[last.far]
    assert near.max() < 0.5
    assert far.min() > 1
    for sharing, atoms in (("shared", 2), ("shared", 3), ("plain", 2)):
        assert ran(sharing, atoms, seed)[-1].far_fraction == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("sharing", "parameters"), [("shared", 4), ("plain", 8)])
def test_regular_fits_pay_sigma_squared_over_n_a_parameter(sharing: Sharing, parameters: int, seed: int) -> None:
    assert n_mse_over_sigma2(ran(sharing, 2, seed), 0.5) == pytest.approx(parameters, rel=0.1)


@pytest.mark.slow
def test_tanh_sharing_gives_the_linear_estimates() -> None:
    """The rate comes from tying: tanh is a smooth bijection of linear sharing."""
    shared, tanh = ran("shared", 2, 0), ran("tanh", 2, 0)
    for one, other in zip(shared, tanh, strict=True):
        np.testing.assert_allclose(one.d1, other.d1, rtol=1e-3, atol=1e-7)
    over = fit_slope(ran("tanh", 3, 0), "D_2")
    assert over is not None
    assert over.value == pytest.approx(-0.5, abs=0.06)


def test_free_weights_cost_no_rate_where_the_anchor_stands() -> None:
    experiment = Experiment(sharing="shared", atoms=2, replicates=60, free_weights=True)
    slope = fit_slope(list(monte_carlo(experiment)), "D_1")
    assert slope is not None
    assert slope.value == pytest.approx(-0.5, abs=0.06)


def test_more_than_two_true_atoms() -> None:
    b = ((0.0, 1.5), (-2.0, 0.5), (1.5, -1.0))
    experiment = Experiment(sharing="shared", atoms=3, true_b=b, replicates=20, n_grid=(10**6, 10**8))
    first, last = monte_carlo(experiment)
    assert experiment.specification == "exact"
    assert np.median(last.d1) < np.median(first.d1) / 5


def test_results_come_as_they_are_ready_and_do_not_depend_on_the_rest() -> None:
    grid = (10**4, 10**6)
    stream = monte_carlo(Experiment(replicates=6, n_grid=grid))
    first = next(stream)
    second = next(stream)
    assert (first.n, second.n) == grid
    assert next(stream, None) is None
    (alone,) = monte_carlo(Experiment(replicates=4, n_grid=(10**6,)))
    np.testing.assert_allclose(alone.d1, second.d1[:4], rtol=1e-9)
    (again,) = monte_carlo(Experiment(replicates=4, n_grid=(10**6,)))
    np.testing.assert_array_equal(again.d1, alone.d1)
    (other,) = monte_carlo(Experiment(replicates=4, n_grid=(10**6,), seed=1))
    assert not np.allclose(other.d1, alone.d1)


def test_estimates_are_what_they_say() -> None:
    experiment = Experiment(replicates=5, n_grid=(10**5,))
    (estimates,) = monte_carlo(experiment)
    losses = cell_losses(estimates.fitted, experiment.truth)
    np.testing.assert_array_equal(estimates.cells, losses.cells)
    assert estimates.single_cell is not None
    assert estimates.doubled_cell is not None
    np.testing.assert_allclose(estimates.single_cell + estimates.doubled_cell, estimates.d1)
    np.testing.assert_allclose(estimates.d2, losses.second.sum(axis=-1))
    np.testing.assert_allclose(estimates.prediction, distance(experiment.setting, estimates.fitted, experiment.truth))
    assert estimates.fitted.b_value.shape == (5, 3, 2)
    assert all(estimates.errors(name) is not None for name in QUANTITIES)


def test_an_untied_truth_stops_the_shared_fit_and_not_the_plain_one() -> None:
    floor = untied_floor(0.1)
    assert floor.prediction == pytest.approx(0.0317, abs=0.0005)
    assert untied_floor(0.1, sharing="plain").prediction < 1e-9
    assert untied_floor(0.0).prediction < 1e-9
    assert untied_floor(0.2).prediction == pytest.approx(2 * floor.prediction, rel=0.1)
    grid = (10**5, 10**8)
    shared, plain = (
        list(monte_carlo(Experiment(sharing=name, atoms=2, eta=0.1, replicates=20, n_grid=grid)))
        for name in ("shared", "plain")
    )
    assert shared[-1].prediction.mean() == pytest.approx(floor.prediction, rel=0.01)
    assert shared[-1].d1.mean() == pytest.approx(floor.d1, rel=0.02)
    assert plain[-1].prediction.mean() < floor.prediction / 50


def test_slope_and_band_by_hand() -> None:
    estimates = ran("shared", 2, 0)
    means = [float(each.d1.mean()) for each in estimates]
    expected = np.polyfit(np.log([each.n for each in estimates]), np.log(means), 1)[0]
    found = fit_slope(estimates, "D_1")
    assert found is not None
    assert found.value == pytest.approx(expected, rel=1e-10)
    errors = np.random.default_rng(0).exponential(size=400)
    band = mean_band(errors)
    assert band.value == errors.mean()
    half = stats.t.ppf(0.975, 399) * stats.sem(errors) / errors.mean()
    assert np.log([band.low, band.high]) == pytest.approx([np.log(band.value) - half, np.log(band.value) + half])
    assert mean_band(errors[:1]) == Interval(errors[0], 0.0, np.inf)


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [5, 10, 40])
def test_bands_and_slopes_of_skewed_errors_cover_the_truth(replicates: int) -> None:
    """Squared errors of four parameters, at five sample sizes, in 2,000 Monte Carlos."""
    rng, some = np.random.default_rng(replicates), ran("shared", 2, 0)[0]
    sizes = (10**4, 10**5, 10**6, 10**7, 10**8)
    bands = slopes = 0
    for _ in range(2000):
        estimates = [replace(some, n=n, prediction=rng.chisquare(4, size=replicates) / (4 * n)) for n in sizes]
        slope = fit_slope(estimates, "prediction")
        assert slope is not None
        slopes += slope.low <= -1 <= slope.high
        band = mean_band(estimates[0].prediction)
        bands += band.low <= 1 / sizes[0] <= band.high
    assert min(bands, slopes) >= 0.93 * 2000


def test_sample_sizes_are_multiples_of_the_design() -> None:
    sizes = sample_sizes(200, 10**8, 7)
    assert len(sizes) == 7
    assert sizes[0] == 200
    assert sizes[-1] == 10**8
    assert all(size % 200 == 0 for size in sizes)
    assert sample_sizes(200, 400, 9) == (200, 400)
    assert len(list(monte_carlo(Experiment(replicates=2, n_grid=sizes)))) == 7


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"atoms": 1}, "atoms must be at least the truth's 2, got 1."),
        ({"sharing": "linear"}, "sharing must be one of plain, shared, tanh, got 'linear'."),
        ({"n_grid": (5,)}, "n must be at least the number of parameters, 6, got 5."),
        ({"sharing": "plain", "n_grid": (11,)}, "n must be at least the number of parameters, 12, got 11."),
        ({"n_grid": (250,)}, "n must be a multiple of the 200 design points, got 250."),
        ({"n_grid": ()}, "n_grid must be at least one sample size, got ()."),
        ({"noise": 0.0}, "noise must be a finite number above 0, got 0.0."),
        ({"noise": float("inf")}, "noise must be a finite number above 0, got inf."),
        ({"replicates": 0}, "replicates must be a whole number from 1 to 100000, got 0."),
        ({"eta": 3.0}, "eta must be a number from -2 to 2, got 3.0."),
        ({"box": 1.0}, "box must be above the truth's largest coordinate, 2, got 1.0."),
        ({"sharing": "tanh", "box": 5.0}, "box must be below 5 for tanh sharing, got 5.0."),
        ({"design_points": 2, "n_grid": (200,)}, "design_points must be enough for 6 parameters, got 2."),
        ({"seed": -1}, f"seed must be a whole number from 0 to {2**63 - 1}, got -1."),
        ({"true_b": ((1.0, 2.0, 3.0),)}, "true_b must be an array with last axes (any, 2), got shape (1, 3)."),
    ],
)
def test_bad_input_is_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        Experiment(**values)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


def test_slopes_need_two_sample_sizes() -> None:
    one: Sequence[Estimates] = ran("shared", 2, 0)[:1]
    with pytest.raises(ValueError, match=r"^estimates must be at least two sample sizes, got 1\.$"):
        fit_slope(one, "D_1")
    with pytest.raises(ValueError, match=r"^estimates must be at least one sample size, got 0\.$"):
        n_mse_over_sigma2([], 0.5)
