"""The regression function against a version written with loops, and what it does not depend on."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from replora.theory import (
    MixingMeasure,
    Setting,
    disc_setting,
    distance,
    experts,
    gate_logits,
    gates,
    regression_function,
    sunflower,
    tied_truth,
)

Array = NDArray[np.float64]


def random_case(seed: int, *, anchor: bool, atoms: int = 4, d: int = 3) -> tuple[Setting, MixingMeasure]:
    rng = np.random.default_rng(seed)
    setting = Setting(rng.normal(size=(6, d)), rng.normal(size=(d, d)), rng.normal(size=(d, d)), anchor)
    measure = MixingMeasure(rng.normal(size=atoms), *(rng.normal(size=(atoms, d)) for _ in range(4)))
    return setting, measure


def by_loops(setting: Setting, measure: MixingMeasure, query_matrix: Array) -> Array:
    """f with the frozen M_Q kept in every logit."""
    outputs = []
    for x in setting.inputs:
        powers, values = [], []
        for j in range(measure.atoms):
            query = query_matrix + np.outer(measure.b_query[j], measure.a_query[j])
            powers.append(np.exp(x @ query @ setting.key_matrix @ x + measure.log_weights[j]))
            values.append((setting.value_matrix + np.outer(measure.b_value[j], measure.a_value[j])) @ x)
        if setting.anchor:
            powers.append(np.exp(x @ query_matrix @ setting.key_matrix @ x))
            values.append(setting.value_matrix @ x)
        outputs.append(sum(p * v for p, v in zip(powers, values, strict=True)) / sum(powers))
    return np.array(outputs)


@pytest.mark.parametrize("anchor", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_regression_function_by_loops(seed: int, anchor: bool) -> None:
    setting, measure = random_case(seed, anchor=anchor)
    query_matrix = np.random.default_rng(100 + seed).normal(size=(3, 3)) / 3
    np.testing.assert_allclose(
        regression_function(setting, measure), by_loops(setting, measure, query_matrix), rtol=1e-9, atol=1e-9
    )


def test_a_batch_is_each_alone() -> None:
    setting, _ = random_case(0, anchor=True)
    each = [random_case(seed, anchor=True)[1] for seed in range(5)]
    names = ("log_weights", "b_query", "a_query", "b_value", "a_value")
    batch = MixingMeasure(*(np.stack([getattr(one, name) for one in each]) for name in names))
    alone = np.stack([regression_function(setting, one) for one in each])
    np.testing.assert_allclose(regression_function(setting, batch), alone, rtol=1e-13)
    np.testing.assert_allclose(
        distance(setting, batch, each[0]), np.sqrt(((alone - alone[0]) ** 2).sum(-1).mean(-1)), rtol=1e-13
    )


def test_gates_are_a_distribution_even_for_large_logits() -> None:
    setting = disc_setting(50)
    far = tied_truth(((400.0, 300.0), (-500.0, 80.0)))
    share = gates(setting, far)
    assert share.shape == (50, 3)
    assert (share >= 0).all()
    np.testing.assert_allclose(share.sum(axis=-1), 1, rtol=1e-14)
    assert np.isfinite(regression_function(setting, far)).all()


def test_only_products_matter() -> None:
    setting, measure = random_case(1, anchor=True)
    scaled = MixingMeasure(
        measure.log_weights, 3 * measure.b_query, measure.a_query / 3, measure.b_value / 7, 7 * measure.a_value
    )
    np.testing.assert_allclose(regression_function(setting, scaled), regression_function(setting, measure), rtol=1e-12)
    np.testing.assert_allclose(scaled.query_products, measure.query_products, rtol=1e-12)


def test_the_disc_has_the_logits_and_experts_it_says() -> None:
    setting, truth = disc_setting(40), tied_truth()
    x = setting.inputs
    logits = gate_logits(setting, truth)
    np.testing.assert_allclose(logits[:, :2], (x @ truth.b_query.T) * x[:, 1:], atol=1e-13)
    assert (logits[:, 2] == 0).all()
    outputs = experts(setting, truth)
    np.testing.assert_allclose(outputs[:, 0], x + truth.b_value[0] * x[:, :1], atol=1e-13)
    np.testing.assert_allclose(outputs[:, 2], x, atol=1e-15)


def test_sunflower_covers_the_disc_evenly() -> None:
    points = sunflower(500, 3.0)
    squares = (points**2).sum(axis=1)
    assert squares.max() < 9
    assert squares.mean() == pytest.approx(4.5)  # of the uniform law on the disc
    assert np.abs(points.mean(axis=0)).max() < 0.05


def test_eta_unties_every_coordinate() -> None:
    truth = tied_truth(eta=0.25)
    np.testing.assert_allclose(truth.b_query - truth.b_value, 0.25)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: sunflower(0), "points must be a whole number from 1 to 100000, got 0."),
        (lambda: sunflower(10, -1.0), "radius must be a finite number above 0, got -1.0."),
        (lambda: tied_truth(eta=float("nan")), "eta must be a number from -100 to 100, got nan."),
        (lambda: tied_truth(((1.0,), (1.0, 2.0))), "b must be an array of numbers, got ((1.0,), (1.0, 2.0))."),
        (
            lambda: Setting(np.ones((4, 2)), np.eye(3), np.eye(2)),
            "key_matrix must be an array with last axes (2, 2), got shape (3, 3).",
        ),
        (
            lambda: Setting(np.array([[np.inf, 0.0]]), np.eye(2), np.eye(2)),
            "inputs must be finite everywhere, got values that are not finite.",
        ),
        (
            lambda: MixingMeasure(np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((3, 2))),
            "a_value must be an array with last axes (2, 2), got shape (3, 2).",
        ),
        (
            lambda: regression_function(disc_setting(10), tied_truth(((1.0, 2.0, 3.0),))),
            "measure must be of width 2, got width 3.",
        ),
    ],
)
def test_bad_input_is_one_sentence(build: object, sentence: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        build()
    assert str(caught.value) == sentence
