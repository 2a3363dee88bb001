"""How near a found update is to a hidden one, against dense matrices, scipy and angles known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from replora.studies.teachers.recovery import SHOWN, Update, mean_angle, relative_error, sketches

GENERATOR = np.random.default_rng(0)


def drawn(layers=2, rank=3, inside=8, outside=10):
    return Update(GENERATOR.normal(size=(layers, rank, inside)), GENERATOR.normal(size=(layers, outside, rank)))


def test_the_relative_error_is_that_of_the_dense_matrices():
    found, hidden = drawn(), drawn(rank=2)
    apart = sum(np.linalg.norm(found.b[k] @ found.a[k] - hidden.b[k] @ hidden.a[k]) ** 2 for k in range(2))
    whole = sum(np.linalg.norm(hidden.b[k] @ hidden.a[k]) ** 2 for k in range(2))
    assert relative_error(found, hidden) == pytest.approx(apart / whole, rel=1e-12)


def test_nothing_found_is_off_by_one_and_the_truth_by_nothing_whatever_its_factors():
    hidden = drawn()
    assert relative_error(Update(hidden.a, 0 * hidden.b), hidden) == 1
    mixing = GENERATOR.normal(size=(3, 3))
    same = Update(np.linalg.inv(mixing) @ hidden.a, hidden.b @ mixing)
    assert relative_error(same, hidden) < 1e-20
    assert mean_angle(same, hidden) < 1e-5


def test_angles_are_scipys_over_both_sides_and_all_layers():
    found, hidden = drawn(), drawn(rank=2)
    expected = [
        angle
        for layer in range(2)
        for ours, theirs in ((found.a[layer].T, hidden.a[layer].T), (found.b[layer], hidden.b[layer]))
        for angle in np.degrees(linalg.subspace_angles(ours, theirs))
    ]
    assert len(expected) == 8
    assert mean_angle(found, hidden) == pytest.approx(np.mean(expected))


def test_angles_known_by_hand():
    def one(degrees):
        radians = np.radians(degrees)
        row = np.array([[[np.cos(radians), np.sin(radians), 0.0]]])  # (1, 1, 3)
        return Update(row, row.transpose(0, 2, 1))

    assert mean_angle(one(30), one(0)) == pytest.approx(30)
    assert mean_angle(one(90), one(0)) == pytest.approx(90)
    assert mean_angle(Update(one(0).a, 0 * one(0).b), one(0)) == pytest.approx(45)  # rows found, columns not at all


def test_a_direction_that_is_missing_counts_as_a_right_angle():
    hidden = Update(np.eye(2, 4)[None], np.eye(4, 2)[None])
    thin = Update(np.array([[[1.0, 0, 0, 0], [1.0, 0, 0, 0]]]), np.eye(4, 2)[None])
    assert mean_angle(thin, hidden) == pytest.approx((0 + 90 + 0 + 0) / 4)


def test_a_sketch_is_the_matrix_at_evenly_spaced_places():
    query, value = drawn(rank=2, inside=384, outside=384), drawn(rank=2, inside=384, outside=96)
    found = sketches({"query": query, "value": value})
    assert len(found) == 2
    places = np.arange(0, 384, 8)
    for layer, sketch in enumerate(found):
        a, b = sketch.factors("query")
        product = np.array(b) @ np.array(a)
        assert product.shape == (SHOWN, SHOWN)
        np.testing.assert_allclose(product, query.delta_weights()[layer][np.ix_(places, places)], atol=0.02)
        assert np.array(sketch.b_value).shape == (48, 2)
