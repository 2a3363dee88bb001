"""The parameterised families: the same f as the mixing measure, and the analytic Jacobian against two oracles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from replora.theory import (
    SHARINGS,
    Family,
    Setting,
    Sharing,
    disc_setting,
    family_for,
    multiplicities,
    regression_function,
    tied_truth,
)

CASES = list(itertools.product(SHARINGS, [True, False], [True, False]))


def random_family(sharing: Sharing, anchor: bool, free: bool, *, d: int = 3, atoms: int = 4) -> Family:
    rng = np.random.default_rng(7)
    setting = Setting(rng.normal(size=(9, d)), rng.normal(size=(d, d)), rng.normal(size=(d, d)), anchor)
    return Family(setting, sharing, atoms, None if free else rng.normal(size=atoms), rng.normal(size=d))


def random_theta(family: Family, replicates: int = 3) -> np.ndarray:
    return np.random.default_rng(8).normal(size=(replicates, family.parameters))


@pytest.mark.parametrize(("sharing", "anchor", "free"), CASES)
def test_predict_is_the_regression_function(sharing: Sharing, anchor: bool, free: bool) -> None:
    family = random_family(sharing, anchor, free)
    theta = random_theta(family)
    expected = regression_function(family.setting, family.measure(theta))
    np.testing.assert_allclose(family.predict(theta), expected, rtol=1e-11, atol=1e-11)
    frozen = family.setting.inputs @ family.setting.value_matrix.T
    fitted = family.residual_rows(theta)[0]
    np.testing.assert_allclose(fitted, family.targets(expected), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(family.targets(frozen[None]), 0, atol=1e-14)


@pytest.mark.parametrize(("sharing", "anchor", "free"), CASES)
def test_jacobian_by_finite_differences(sharing: Sharing, anchor: bool, free: bool) -> None:
    family = random_family(sharing, anchor, free)
    theta, step = random_theta(family), 1e-6
    columns = []
    for index in range(family.parameters):
        shift = step * np.eye(family.parameters)[index]
        columns.append((family.predict(theta + shift) - family.predict(theta - shift)) / (2 * step))
    np.testing.assert_allclose(family.jacobian(theta), np.stack(columns, axis=-1), rtol=1e-6, atol=1e-7)


def in_torch(family: Family, theta: torch.Tensor) -> torch.Tensor:
    """f written once more, from equation 1, for autograd."""
    d, atoms = family.setting.dimension, family.atoms
    x, keys, values = (
        torch.from_numpy(each)
        for each in (family.setting.inputs, family.setting.key_matrix, family.setting.value_matrix)
    )
    a = torch.from_numpy(family.direction)
    rows = theta[: family.rows * d].reshape(family.rows, d)
    c = theta[family.rows * d :] if family.log_weights is None else torch.from_numpy(family.log_weights)
    if family.sharing == "tanh":
        rows = 5.0 * torch.tanh(rows / 5.0)
    b_query, b_value = rows[:atoms], rows[-atoms:]
    logits = [((x @ torch.outer(b_query[j], a)) * (x @ keys.T)).sum(1) + c[j] for j in range(atoms)]
    outputs = [x @ (values + torch.outer(b_value[j], a)).T for j in range(atoms)]
    if family.setting.anchor:
        logits.append(torch.zeros(len(x), dtype=x.dtype))
        outputs.append(x @ values.T)
    gates = torch.softmax(torch.stack(logits, dim=1), dim=1)
    return (gates[:, :, None] * torch.stack(outputs, dim=1)).sum(1)


@pytest.mark.parametrize(("sharing", "anchor", "free"), CASES)
def test_jacobian_by_autograd(sharing: Sharing, anchor: bool, free: bool) -> None:
    family = random_family(sharing, anchor, free)
    theta = random_theta(family)
    for one, ours in zip(theta, family.jacobian(theta), strict=True):
        theirs = torch.func.jacrev(lambda t: in_torch(family, t))(torch.from_numpy(one))
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("atoms", [2, 3, 5])
def test_every_family_holds_the_truth(sharing: Sharing, free: bool, atoms: int) -> None:
    setting, truth = disc_setting(60), tied_truth()
    family = family_for(setting, truth, sharing, atoms, free_weights=free)
    here = family.predict(family.theta_at(truth)[None])[0]
    np.testing.assert_allclose(here, regression_function(setting, truth), atol=1e-13)


def test_plain_alone_holds_an_untied_truth() -> None:
    setting, truth = disc_setting(60), tied_truth(eta=0.3)
    plain, shared = (family_for(setting, truth, name, 2) for name in ("plain", "shared"))
    target = regression_function(setting, truth)
    np.testing.assert_allclose(plain.predict(plain.theta_at(truth)[None])[0], target, atol=1e-13)
    assert np.abs(shared.predict(shared.theta_at(truth)[None])[0] - target).max() > 0.01


def test_tanh_is_a_bijection_of_linear_sharing() -> None:
    setting, truth = disc_setting(60), tied_truth()
    shared, tanh = (family_for(setting, truth, name, 3) for name in ("shared", "tanh"))
    b = np.random.default_rng(0).uniform(-4, 4, size=(5, 6))
    beta = 5 * np.arctanh(b / 5)
    np.testing.assert_allclose(tanh.predict(beta), shared.predict(b), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(tanh.bounds(4.0)[1], 5 * np.arctanh(0.8))


def test_multiplicities_go_round() -> None:
    assert multiplicities(2, 3) == (2, 1)
    assert multiplicities(3, 8) == (3, 3, 2)
    with pytest.raises(ValueError, match=r"^atoms must be at least the truth's 2, got 1\.$"):
        multiplicities(2, 1)


def test_bad_input_is_one_sentence() -> None:
    setting, truth = disc_setting(60), tied_truth()
    with pytest.raises(ValueError, match=r"^sharing must be one of plain, shared, tanh, got 'linear'\.$"):
        family_for(setting, truth, "linear", 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^atoms must be at least the truth's 2, got 1\.$"):
        family_for(setting, truth, "plain", 1)
    tanh = family_for(setting, truth, "tanh", 2)
    with pytest.raises(ValueError, match=r"^box must be below 5 for tanh sharing, got 6\.0\.$"):
        tanh.bounds(6)
    with pytest.raises(ValueError, match=r"^theta must be an array with last axes \(4\), got shape \(1, 5\)\.$"):
        tanh.predict(np.zeros((1, 5)))
    with pytest.raises(ValueError, match=r"^truth\.b_value must be below 5 for tanh sharing, got 6\.0\.$"):
        tanh.theta_at(tied_truth(((6.0, 0.0), (0.0, 1.0))))
