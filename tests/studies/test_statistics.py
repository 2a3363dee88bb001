"""Intervals against scipy and simulation, sentences by hand."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from replora.statistics.intervals import Interval, bootstrap_interval, paired, t_interval, two_level_bootstrap
from replora.statistics.verdict import lost_sentence, verdict
from replora.studies.answers import pack_answers, unpack_answers
from replora.studies.read_offs import data_needed, good_region

VALUES = [0.012, -0.004, 0.02, 0.007, 0.001]


def test_t_interval_is_that_of_scipy_and_of_the_textbook():
    found = t_interval(VALUES)
    oracle = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    by_hand = 2.7764451051977987 * statistics.stdev(VALUES) / math.sqrt(5)
    assert found.half_width == pytest.approx(by_hand)
    assert found.mean == pytest.approx(statistics.fmean(VALUES))


def test_t_interval_of_paired_differences_is_that_of_the_paired_t_test():
    ours, theirs = [0.81, 0.84, 0.79, 0.8], [0.80, 0.8, 0.81, 0.78]
    differences = paired(dict(enumerate(ours)), dict(enumerate(theirs)))
    found = t_interval(list(differences.values()))
    oracle = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize("interval", [t_interval, bootstrap_interval])
def test_few_or_equal_values(interval):
    assert interval([]) is None
    assert interval([0.3]) == Interval(0.3, None, None, 1)
    assert not interval([0.3]).excludes_zero
    two = interval([0.1, 0.3])
    assert two.n == 2
    assert two.low <= 0.2 <= two.high
    equal = interval([0.25, 0.25, 0.25])
    assert (equal.low, equal.high, equal.half_width) == (0.25, 0.25, 0.0)


def test_bootstrap_interval_is_that_of_scipy():
    found = bootstrap_interval(VALUES, resamples=999, seed=3)
    oracle = stats.bootstrap((VALUES,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(3))
    assert (found.low, found.high) == (oracle.confidence_interval.low, oracle.confidence_interval.high)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_t_interval_covers_the_truth_in_95_of_100_studies(count):
    draws = np.random.default_rng(count).normal(0.01, 0.02, size=(2000, count))
    found = [t_interval(row) for row in draws]
    assert np.mean([each.low <= 0.01 <= each.high for each in found]) == pytest.approx(0.95, abs=0.03)


def test_two_level_bootstrap_covers_when_seeds_and_examples_vary():
    generator = np.random.default_rng(0)
    covered = 0
    for index in range(200):
        gap = 0.03 + generator.normal(0, 0.02, size=(12, 1)) + generator.normal(0, 0.1, size=(1, 80))
        ours = generator.random((12, 80)) < 0.7 + gap / 2
        theirs = generator.random((12, 80)) < 0.7 - gap / 2
        found = two_level_bootstrap(ours, theirs, resamples=400, seed=index)
        covered += found.low <= 0.03 <= found.high
    assert covered / 200 >= 0.92


def test_two_level_bootstrap_agrees_with_resampling_by_hand_and_widens_with_examples():
    generator = np.random.default_rng(1)
    ours, theirs = generator.random((5, 60)) < 0.8, generator.random((5, 60)) < 0.7
    found = two_level_bootstrap(ours, theirs, resamples=4000)
    means = []
    for _ in range(4000):
        rows, columns = generator.integers(5, size=5), generator.integers(60, size=60)
        means.append((ours[rows][:, columns].mean() - theirs[rows][:, columns].mean()).item())
    assert (found.low, found.high) == pytest.approx(np.quantile(means, (0.025, 0.975)), abs=0.01)
    assert found.mean == pytest.approx(ours.mean() - theirs.mean())
    one = two_level_bootstrap(ours[:1], theirs[:1])
    assert one.low < one.high
    assert two_level_bootstrap(np.ones((3, 4)), np.zeros((3, 4))) == Interval(1.0, 1.0, 1.0, 3)
    assert two_level_bootstrap([[True]], [[False]]) == Interval(1.0, None, None, 1)
    assert two_level_bootstrap(np.zeros((0, 4)), np.zeros((0, 4))) is None
    with pytest.raises(ValueError, match="one shape"):
        two_level_bootstrap(ours, theirs[:3])


def test_answers_survive_packing():
    right = np.random.default_rng(2).random(21) < 0.5
    assert unpack_answers(pack_answers(right), 21).tolist() == right.tolist()


@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        ([], "There is no pair of runs of RepLoRA and LoRA to compare."),
        ([0.008], "RepLoRA is 0.8 points ahead, with one seed: an anecdote, not a finding."),
        ([0.02, 0.02], "RepLoRA is 2.0 points ahead, with 2 seeds: an anecdote, not a finding."),
        (VALUES, "RepLoRA minus LoRA: 0.7 ± 1.2 points over 5 paired seeds: not distinguishable."),
        ([0.05, 0.06, 0.07], "RepLoRA minus LoRA: 6.0 ± 2.5 points over 3 paired seeds: RepLoRA is ahead."),
        ([-0.05, -0.06, -0.07], "RepLoRA minus LoRA: −6.0 ± 2.5 points over 3 paired seeds: LoRA is ahead."),
        ([0.0, 0.0, 0.0], "RepLoRA minus LoRA: 0.0 points over 3 paired seeds: level."),
        (
            [0.01, 0.01, 0.01],
            "RepLoRA minus LoRA: 1.0 points over 3 paired seeds: "
            "the same on every seed, too coarse a measure for an interval.",
        ),
    ],
)
def test_the_verdict_claims_no_more_than_the_runs_allow(differences, sentence):
    assert verdict(differences) == sentence


def test_diverged_runs_are_counted_and_named():
    assert lost_sentence([], 10) == ""
    lost = [("replora", 0.03, 2), ("lora", 0.1, 0), ("replora", 0.03, 0)]
    named = "LoRA at rate 0.1 (seed 0); RepLoRA at rate 0.03 (seeds 0, 2)."
    assert lost_sentence(lost, 10) == f"3 of 10 runs diverged and are not counted: {named}"
    assert lost_sentence(lost[:1], 2).startswith("1 of 2 runs diverged and is not counted")
    assert verdict([0.1], lost="Two diverged.").endswith("finding. Two diverged.")


FRACTIONS = (0.01, 0.1, 1.0)


def test_data_needed_is_read_off_in_log_fraction():
    theirs = [[0.4, 0.5, 0.6], [0.4, 0.5, 0.6]]
    ours = [[0.4, 0.5, 0.7], [0.4, 0.5, 0.7]]
    found = data_needed(FRACTIONS, ours, theirs)
    assert found.value == pytest.approx(10**-0.5)
    assert (found.low, found.high) == pytest.approx((10**-0.5, 10**-0.5))
    assert found.sentence() == (
        "RepLoRA reaches LoRA's full-data accuracy (60.0 %) with 32 % [32, 32] of the data (2 seeds: an anecdote)."
    )


def test_data_needed_has_an_interval_over_seeds():
    generator = np.random.default_rng(0)
    theirs = np.array([0.4, 0.5, 0.6]) + generator.normal(0, 0.01, size=(5, 3))
    ours = np.array([0.4, 0.55, 0.66]) + generator.normal(0, 0.01, size=(5, 3))
    found = data_needed(FRACTIONS, ours, theirs)
    assert found.low < found.value < found.high < 1
    assert found.reached_share == 1
    assert found.sentence().endswith("] of the data.")
    assert data_needed(FRACTIONS, ours, theirs) == found


def test_data_needed_says_when_it_is_not_reached_or_reached_at_once():
    low, high = [[0.1, 0.2, 0.3]] * 3, [[0.4, 0.5, 0.6]] * 3
    assert data_needed(FRACTIONS, low, high).sentence() == "RepLoRA does not reach LoRA's full-data accuracy (60.0 %)."
    never = data_needed(FRACTIONS, low, high)
    assert (never.value, never.low, never.high, never.reached_share) == (None, None, None, 0.0)
    at_once = data_needed(FRACTIONS, high, low)
    assert at_once.at_most
    assert "with at most 1 % [1, 1] of the data" in at_once.sentence()
    sometimes = data_needed((0.1, 0.3), [[0.1, 0.7], [0.1, 0.5], [0.1, 0.5]], [[0.1, 0.55]] * 3)
    assert sometimes.high is None
    assert sometimes.low is not None
    assert "LoRA's accuracy with 30 % of the data (55.0 %)" in sometimes.sentence()
    assert ", not reached] of the data" in sometimes.sentence()
    alone = data_needed(FRACTIONS, high[:1], high[:1])
    assert (alone.value, alone.low) == (pytest.approx(1.0), None)
    assert "(one seed: an anecdote)" in alone.sentence()
    nothing = data_needed(FRACTIONS, np.zeros((0, 3)), np.zeros((0, 3)))
    assert nothing.sentence().startswith("There are no finished seeds")
    with pytest.raises(ValueError, match="ascend"):
        data_needed((0.1, 0.1), [[0, 0]], [[0, 0]])
    with pytest.raises(ValueError, match="Curves"):
        data_needed(FRACTIONS, [[0, 0]], [[0, 0]])


RATES = (1e-4, 1e-3, 1e-2, 1e-1)


def test_the_good_region_is_interpolated_and_stops_at_divergence():
    found = good_region(RATES, [0.5, 0.7, 0.6, 0.2], [0.0] * 4, [0] * 4)
    assert (found.best_rate, found.threshold) == (1e-3, pytest.approx(0.69))
    assert found.low == pytest.approx(10 ** (-3 - 0.05))
    assert found.high == pytest.approx(10 ** (-3 + 0.1))
    assert found.decades == pytest.approx(0.15)
    assert not found.open_low
    wide = good_region(RATES, [0.69, 0.7, 0.69, None], [0.02] * 4, [0, 0, 0, 3])
    assert (wide.low, wide.high, wide.open_low, wide.open_high) == (1e-4, 1e-2, True, False)
    partly = good_region(RATES, [0.5, 0.7, 0.9, 0.9], [None] * 4, [0, 0, 1, 2])
    assert (partly.best_rate, partly.high) == (1e-3, 1e-3)
    assert good_region(RATES, [None] * 4, [None] * 4, [1] * 4) is None
