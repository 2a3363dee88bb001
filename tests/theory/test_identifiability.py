"""What is exact: flat valley, quartic bowl, exponents, Fisher zeros, profile deviance, samples to tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from replora.theory import (
    SHARINGS,
    Sharing,
    antisymmetric,
    disc_setting,
    exponents_by_direction,
    family_for,
    fisher_along_split,
    fisher_eigenvalues,
    fitted_exponent,
    profile_deviance,
    regression_function,
    samples_to_tell,
    split_kappa,
    split_loss,
    split_measure,
    split_theta,
    tied_truth,
    zero_eigenvalues,
)

SETTING, TRUTH = disc_setting(), tied_truth()
WIDE = np.concatenate([[0.0], np.geomspace(1e-6, 100, 60)])
NARROW = np.geomspace(1e-3, 3e-2, 15)


def loss_of(
    sharing: Sharing, deltas: np.ndarray, direction: tuple[float, float] = (1.0, 0.0), atom: int = 0
) -> np.ndarray:
    family = family_for(SETTING, TRUTH, sharing, 4 if atom else 3)
    theta = split_theta(family, TRUTH, deltas, direction, atom)
    return split_loss(SETTING, TRUTH, family.measure(theta), deltas).distance


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (-0.3, 2.0)])
@pytest.mark.parametrize("atom", [0, 1])
def test_plain_value_split_is_flat_up_to_a_hundred(direction: tuple[float, float], atom: int) -> None:
    family = family_for(SETTING, TRUTH, "plain", 4)
    theta = split_theta(family, TRUTH, WIDE, direction, atom)
    loss = split_loss(SETTING, TRUTH, family.measure(theta), WIDE)
    assert loss.maximum.max() <= 1e-12
    value = antisymmetric(2, b_value=np.array(direction))
    by_factors = split_loss(SETTING, TRUTH, split_measure(TRUTH, value, WIDE / 3, atom), WIDE)
    assert by_factors.maximum.max() <= 1e-12
    assert fitted_exponent(WIDE[1:], loss.distance[1:]).value is None


@pytest.mark.parametrize("sharing", ["shared", "tanh"])
@pytest.mark.parametrize("atom", [0, 1])
@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (0.6, -0.8)])
def test_shared_split_is_a_quartic_bowl(sharing: Sharing, direction: tuple[float, float], atom: int) -> None:
    distances = loss_of(sharing, NARROW, direction, atom)
    found = fitted_exponent(NARROW, distances)
    assert found.value == pytest.approx(2, abs=0.03)
    squared = np.polyfit(np.log(NARROW), np.log(distances**2), 1)[0]
    assert squared == pytest.approx(4, abs=0.06)
    kappa = split_kappa(SETTING, TRUTH, direction, atom=atom, sharing=sharing)
    tiny = np.array([2e-4])
    assert loss_of(sharing, tiny, direction, atom)[0] / tiny[0] ** 2 == pytest.approx(kappa, rel=1e-5)


def test_kappa_along_e1() -> None:
    assert split_kappa(SETTING, TRUTH) == pytest.approx(2.303, abs=0.001)
    assert split_kappa(SETTING, TRUTH, (5.0, 0.0)) == split_kappa(SETTING, TRUTH)
    assert split_kappa(SETTING, TRUTH, sharing="plain") == 0
    # the design stands for the uniform law on the disc
    assert split_kappa(disc_setting(20_000), TRUTH) == pytest.approx(split_kappa(SETTING, TRUTH), rel=0.02)


def test_halves_of_a_split_by_factors_and_by_parameters_agree() -> None:
    direction = antisymmetric(2, b_query=np.array([0.6, 0.8]), b_value=np.array([0.6, 0.8]))
    by_factors = split_loss(SETTING, TRUTH, split_measure(TRUTH, direction, NARROW), NARROW).distance
    np.testing.assert_allclose(by_factors, loss_of("shared", NARROW, (0.6, 0.8)), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("atom", [0, 1])
def test_exponents_by_direction(seed: int, atom: int) -> None:
    found = {name: each.value for name, each in exponents_by_direction(SETTING, TRUTH, atom=atom, seed=seed).items()}
    assert found.pop("plain value B") is None
    assert found.pop("plain value A") is None
    for name in ("one-sided", "random"):
        assert found.pop(name) == pytest.approx(1, abs=0.05)
    assert sorted(found) == ["plain query A", "plain query B", "shared A", "shared B", "shared B and A"]
    assert all(value == pytest.approx(2, abs=0.05) for value in found.values())


def test_fisher_zeros_along_a_split() -> None:
    zeros = {
        name: fisher_along_split(family_for(SETTING, TRUTH, name, 3), TRUTH, [0, 0.1, 1]).zeros.tolist()
        for name in SHARINGS
    }
    assert zeros == {"plain": [4, 2, 2], "shared": [2, 0, 0], "tanh": [2, 0, 0]}


def test_fisher_zeros_without_an_anchor_are_the_shifts_softmax_cannot_see() -> None:
    """One shift of all c_j; plain: one shift of all b_Q (2 coordinates) as well. With the anchor: none."""
    found = {}
    for anchor in (True, False):
        for name in SHARINGS:
            family = family_for(disc_setting(anchor=anchor), TRUTH, name, 2, free_weights=True)
            eigenvalues = fisher_eigenvalues(family, family.theta_at(TRUTH)[None], 0.5)
            found[name, anchor] = int(zero_eigenvalues(eigenvalues)[0])
    assert found == {
        ("plain", True): 0,
        ("shared", True): 0,
        ("tanh", True): 0,
        ("plain", False): 3,
        ("shared", False): 1,
        ("tanh", False): 1,
    }


def test_fisher_eigenvalues_are_those_of_the_information_matrix() -> None:
    family = family_for(SETTING, TRUTH, "shared", 3)
    theta = split_theta(family, TRUTH, [0.5, 1.0])
    jacobian = family.jacobian(theta).reshape(2, -1, family.parameters)
    information = jacobian.transpose(0, 2, 1) @ jacobian / (SETTING.points * 0.3**2)
    np.testing.assert_allclose(fisher_eigenvalues(family, theta, 0.3), np.linalg.eigvalsh(information), rtol=1e-9)


def test_smallest_fisher_eigenvalue_of_a_shared_split_grows_as_delta_squared() -> None:
    spectrum = fisher_along_split(family_for(SETTING, TRUTH, "shared", 3), TRUTH, NARROW)
    slope = np.polyfit(np.log(NARROW), np.log(spectrum.eigenvalues[:, 0]), 1)[0]
    assert slope == pytest.approx(2, abs=0.05)


def test_samples_to_tell_a_split() -> None:
    shared = samples_to_tell(loss_of("shared", NARROW), 0.5)
    assert np.polyfit(np.log(NARROW), np.log(shared), 1)[0] == pytest.approx(-4, abs=0.06)
    assert np.isinf(samples_to_tell(loss_of("plain", WIDE), 0.5)).all()
    still = np.zeros(2)
    one_sided = antisymmetric(2)
    shift = np.stack([np.array([1.0, 0.0]), still])
    moved = type(one_sided)(shift, one_sided.a_query, shift, one_sided.a_value)
    exact = split_loss(SETTING, TRUTH, split_measure(TRUTH, moved, NARROW), NARROW).distance
    assert np.polyfit(np.log(NARROW), np.log(samples_to_tell(exact, 0.5)), 1)[0] == pytest.approx(-2, abs=0.06)
    assert samples_to_tell([0.1], 0.5)[0] == pytest.approx(4 * 1.6448536**2 * 0.25 / 0.01)


def test_samples_to_tell_keep_their_promise() -> None:
    """With n(delta) observations the likelihood ratio test errs 5 % of the time."""
    deltas = np.array([0.3])
    family = family_for(SETTING, TRUTH, "shared", 3)
    base = regression_function(SETTING, TRUTH)
    moved = family.predict(split_theta(family, TRUTH, deltas))[0]
    n = float(samples_to_tell(loss_of("shared", deltas), 0.5)[0])
    rng = np.random.default_rng(0)
    seen = base + 0.5 * np.sqrt(SETTING.points / n) * rng.standard_normal((4000, *base.shape))
    errors = ((seen - moved) ** 2).sum(axis=(1, 2)) < ((seen - base) ** 2).sum(axis=(1, 2))
    assert errors.mean() == pytest.approx(0.05, abs=0.012)


def test_profile_deviance_is_flat_for_plain_and_quartic_for_shared() -> None:
    deltas = np.geomspace(0.01, 0.1, 6)
    plain, shared = (family_for(SETTING, TRUTH, name, 3) for name in ("plain", "shared"))
    assert profile_deviance(plain, TRUTH, [0, 0.5, 2, 50], 10**8).deviance.max() < 1e-9
    profile = profile_deviance(shared, TRUTH, deltas, 10**4)
    assert np.polyfit(np.log(deltas), np.log(profile.deviance), 1)[0] == pytest.approx(4, abs=0.06)
    np.testing.assert_allclose(profile.deviance, 10**4 * profile.excess_loss / 0.25)
    assert (profile.excess_loss < loss_of("shared", deltas) ** 2).all()
    assert profile_deviance(shared, TRUTH, [0.0], 100).deviance[0] < 1e-12


@pytest.mark.parametrize("sharing", SHARINGS)
def test_profile_deviance_is_the_minimum_scipy_finds(sharing: Sharing) -> None:
    family = family_for(SETTING, TRUTH, sharing, 3)
    profile = profile_deviance(family, TRUTH, [0.8], 1000)
    rows = profile.theta[0].reshape(-1, 2)[-3:]
    np.testing.assert_allclose((rows[0] - rows[1]) / 2, [0.8, 0.0], atol=1e-12)
    np.testing.assert_allclose(
        ((family.predict(profile.theta)[0] - regression_function(SETTING, TRUTH)) ** 2).sum(-1).mean(),
        profile.excess_loss[0],
        rtol=1e-9,
        atol=1e-24,
    )
    first = family.parameters - 6  # the value rows stand last

    def residual(free: np.ndarray) -> np.ndarray:
        theta = np.insert(free, first + 2, free[first : first + 2] - [1.6, 0.0])
        return np.asarray(family.predict(theta[None])[0] - regression_function(SETTING, TRUTH)).ravel()

    start = np.delete(split_theta(family, TRUTH, [0.8])[0], [first + 2, first + 3])
    theirs = 2 * least_squares(residual, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).cost / SETTING.points
    assert profile.excess_loss[0] == pytest.approx(theirs, rel=1e-6, abs=1e-20)


def test_bad_input_is_one_sentence() -> None:
    exact, over = (family_for(SETTING, TRUTH, "shared", atoms) for atoms in (2, 3))
    with pytest.raises(ValueError, match=r"^atoms must be enough to hold atom 0 twice, got 2\.$"):
        split_theta(exact, TRUTH, [0.1])
    with pytest.raises(ValueError, match=r"^atom must be a whole number from 0 to 1, got 2\.$"):
        split_theta(over, TRUTH, [0.1], atom=2)
    with pytest.raises(ValueError, match=r"^direction must be a vector \(2,\) other than zero, got \[0\.0, 0\.0\]\.$"):
        split_theta(over, TRUTH, [0.1], (0.0, 0.0))
    with pytest.raises(ValueError, match=r"^noise must be a finite number above 0, got -1\.$"):
        samples_to_tell([0.1], -1)
    with pytest.raises(ValueError, match=r"^noise must be a finite number above 0, got 0\.$"):
        fisher_eigenvalues(over, over.theta_at(TRUTH)[None], 0)
    with pytest.raises(ValueError, match=r"^error_rate must be a number from 1e-06 to 0\.499, got 0\.7\.$"):
        samples_to_tell([0.1], 0.5, 0.7)
    with pytest.raises(ValueError, match=r"^n must be at least the number of parameters, 6, got 5\.$"):
        profile_deviance(over, TRUTH, [0.1], 5)
    with pytest.raises(ValueError, match=r"^truth must be tied, with one frozen a, got another\.$"):
        split_kappa(SETTING, tied_truth(eta=0.1))
    with pytest.raises(ValueError, match=r"^split must be a batch of 2 measures, got \(1,\)\.$"):
        split_loss(SETTING, TRUTH, over.measure(split_theta(over, TRUTH, [0.1])), [0.1, 0.2])
    with pytest.raises(ValueError, match=r"^deltas must be finite everywhere, got values that are not finite\.$"):
        split_theta(over, TRUTH, [float("inf")])
    with pytest.raises(ValueError, match=r"^deltas must be at least two positive numbers, got \[0\.0, 1\.0\]\.$"):
        fitted_exponent([0.0, 1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"^distances must be all above 1e-12, or none, got 1 below\.$"):
        fitted_exponent([0.1, 1.0], [0.0, 1.0])
