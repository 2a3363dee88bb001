"""At equal norm two methods on one curve are level, however unlike their points lie on it: roads of known truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from present import present

from replora.statistics.equal_norm import EqualNorm, equal_norm

Array = npt.NDArray[np.float64]
Curve = Callable[[Array], Array]
SEEDS = range(5)
# Of a sweep: logarithms of norms, RepLoRA's closer together than LoRA's, as in the records.
CLOSE, FAR = np.linspace(-2.6, 3.6, 9), np.linspace(-3.8, 4.2, 7)
BENDING: dict[str, Curve] = {  # accuracies that rise and level off
    "tanh": lambda x: 0.3 + 0.4 * np.tanh((x + 4) / 4),
    "saturating": lambda x: 0.9 - 0.5 * np.exp(-(x + 4) / 3),
    "root": lambda x: 0.2 + 0.25 * np.sqrt(x + 4.5),
    "with a peak": lambda x: 0.9 - 0.4 * np.exp(-(x + 4) / 2.5) - 0.01 * (x - 1) ** 2,
}


def walked(curve: Curve, places: Array, gap: float = 0.0) -> dict[int, Sequence[tuple[float, float]]]:
    """A road a seed, each a little further along than the one before."""
    roads = {seed: places + 0.05 * seed for seed in SEEDS}
    return {seed: list(zip(norms, curve(norms) + gap, strict=True)) for seed, norms in roads.items()}


def mean(found: EqualNorm) -> float:
    """In points."""
    return 100 * float(np.mean(list(found.differences.values())))


def test_a_shared_curve_of_the_fourth_degree_is_level_to_rounding():
    def curve(x: Array) -> Array:
        return 0.6 + 0.05 * x - 0.01 * x**2 + 0.001 * x**3 - 0.0002 * x**4

    found = present(equal_norm(walked(curve, CLOSE), walked(curve, FAR)))
    assert list(found.differences.values()) == pytest.approx([0.0] * 5, abs=1e-12)
    assert present(found.bend) > 0.002  # which straight lines alone would have told as a lead


@pytest.mark.parametrize("name", BENDING)
def test_a_curve_that_bends_down_flatters_nobody(name):
    curve = BENDING[name]
    for ours, theirs in ((CLOSE, FAR), (FAR, CLOSE)):
        found = present(equal_norm(walked(curve, ours), walked(curve, theirs)))
        straight = mean(found) + 100 * present(found.bend)
        assert (straight > 0) == (ours is CLOSE)
        assert abs(straight) > 0.05
        assert abs(mean(found)) < abs(straight) / 3
        assert abs(mean(found)) < 0.1


@pytest.mark.parametrize("name", BENDING)
@pytest.mark.parametrize("gap", [-0.03, 0.01])
def test_a_true_difference_is_kept(name, gap):
    curve = BENDING[name]
    found = present(equal_norm(walked(curve, CLOSE, gap), walked(curve, FAR)))
    assert mean(found) == pytest.approx(100 * gap, abs=0.15)


def test_noise_grows_no_larger_by_what_is_taken_off():
    taken, left = [], []
    for trial in range(200):
        rng = np.random.default_rng(trial)

        def noisy(x: Array, rng: np.random.Generator = rng) -> Array:
            return BENDING["tanh"](x) + 0.01 * rng.normal(size=len(x))

        found = present(equal_norm(walked(noisy, CLOSE), walked(noisy, FAR)))
        taken.append(mean(found))
        left.append(mean(found) + 100 * present(found.bend))
    assert np.std(taken) < 1.15 * np.std(left)
    assert abs(np.mean(taken)) < abs(np.mean(left)) / 3


def test_two_points_in_the_range_bend_once_and_one_says_that_it_is_too_few():
    ours = {0: [(0.0, 0.1), (1.0, 0.4), (2.0, 0.5), (3.0, 0.52)]}
    theirs = {0: [(0.5, 0.2), (0.9, 0.3), (2.2, 0.5)]}
    assert present(equal_norm(ours, theirs)).bend is not None
    few = present(equal_norm(ours, {0: [(0.9, 0.3), (1.1, 0.5)]}))
    assert few.bend is None
    assert few.bend_sentence().startswith("The points are too few")
