"""Intervals against scipy and simulation, sentences by hand."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from present import present
from scipy import stats

from benchmarks import coverage
from replora.statistics.data_needed import data_needed, percent
from replora.statistics.good_region import good_region
from replora.statistics.intervals import Interval, by_luck, crossed_interval, holm, p_value, paired, t_interval
from replora.statistics.student import critical, ends, two_sided
from replora.statistics.verdict import lost_sentence, ratio_ends, ratio_verdict, verdict
from replora.studies.answers import pack_answers, unpack_answers

VALUES = [0.012, -0.004, 0.02, 0.007, 0.001]


def test_t_interval_is_that_of_scipy_and_of_the_textbook():
    found = present(t_interval(VALUES))
    oracle = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    by_hand = 2.7764451051977987 * statistics.stdev(VALUES) / math.sqrt(5)
    assert found.half_width == pytest.approx(by_hand)
    assert found.mean == pytest.approx(statistics.fmean(VALUES))


def test_t_interval_of_paired_differences_is_that_of_the_paired_t_test():
    ours, theirs = [0.81, 0.84, 0.79, 0.8], [0.80, 0.8, 0.81, 0.78]
    differences = paired(dict(enumerate(ours)), dict(enumerate(theirs)))
    found = present(t_interval(list(differences.values())))
    oracle = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))


def test_few_or_equal_values():
    assert t_interval([]) is None
    assert t_interval([0.3]) == Interval(0.3, None, None, 1)
    assert not present(t_interval([0.3])).excludes_zero
    two = present(t_interval([0.1, 0.3]))
    assert two.n == 2
    assert present(two.low) <= 0.2 <= present(two.high)
    equal = present(t_interval([0.25, 0.25, 0.25]))
    assert (equal.low, equal.high, equal.half_width) == (0.25, 0.25, 0.0)
    assert not equal.excludes_zero  # all answers alike: the measure is coarse
    assert Interval(0.25, 0.2, 0.3, 3).excludes_zero
    assert Interval(0.25, 0.2, 0.3, 3).excludes(1.0)
    assert not Interval(0.25, 0.2, 0.3, 3).excludes(0.3)


@pytest.mark.slow
def test_every_interval_that_claims_95_covers_93_to_98_and_equal_methods_have_few_winners():
    measured = coverage.measure(1500)
    winners = measured.pop("winner between equals")
    assert max(winners.values()) <= 0.06, winners
    assert all(0.86 < share < 0.92 for share in measured.pop("differences all skewed").values())
    assert measured["theory band, two modes"].pop("5 replicates") < 0.85
    assert measured["theory band, two modes"].pop("10 replicates") > 0.9
    for kind, cases in measured.items():
        for case, share in cases.items():
            assert 0.93 <= share <= 0.985, (kind, case)


def test_the_crossed_interval_is_made_of_the_mean_squares_of_two_way_analysis_of_variance():
    generator = np.random.default_rng(1)
    rows, columns = np.array([[0.9], [0.5], [0.7], [0.2]]), np.linspace(0.5, 1, 9)
    ours, theirs = generator.random((4, 9)) < rows * columns, generator.random((4, 9)) < 0.3
    d = ours.astype(float) - theirs
    square = {"seeds": 0.0, "examples": 0.0, "rest": 0.0}
    for row in range(4):
        for column in range(9):
            square["seeds"] += (d[row].mean() - d.mean()) ** 2 / 3
            square["examples"] += (d[:, column].mean() - d.mean()) ** 2 / 8
            square["rest"] += (d[row, column] - d[row].mean() - d[:, column].mean() + d.mean()) ** 2 / 24
    total = square["seeds"] + square["examples"] - square["rest"]
    assert total > max(square["seeds"], square["examples"])
    freedom = total**2 / (square["seeds"] ** 2 / 3 + square["examples"] ** 2 / 8 + square["rest"] ** 2 / 24)
    found = present(crossed_interval(ours, theirs))
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(total / 36))
    assert found.mean == pytest.approx(ours.mean() - theirs.mean())


def test_the_crossed_interval_of_one_seed_is_over_examples():
    generator = np.random.default_rng(1)
    ours, theirs = generator.random((5, 60)) < 0.8, generator.random((5, 60)) < 0.7
    one = present(crossed_interval(ours[:1], theirs[:1]))
    over_examples = present(t_interval(ours[0].astype(float) - theirs[0]))
    assert (one.low, one.high, one.n) == (over_examples.low, over_examples.high, 1)
    assert crossed_interval(np.ones((3, 4)), np.zeros((3, 4))) == Interval(1.0, 1.0, 1.0, 3)
    assert crossed_interval([[True]], [[False]]) == Interval(1.0, None, None, 1)
    assert crossed_interval(np.zeros((0, 4)), np.zeros((0, 4))) is None
    with pytest.raises(ValueError, match="one shape"):
        crossed_interval(ours, theirs[:3])


def test_holm_holds_the_share_of_families_that_err_and_is_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    draws = np.random.default_rng(0).normal(size=(2000, 5, 5))
    families = stats.ttest_1samp(draws, 0, axis=2).pvalue.tolist()  # which `p_value` gives one by one
    assert np.mean([min(family) < 0.05 for family in families]) > 0.18
    assert np.mean([min(holm(family)) < 0.05 for family in families]) <= 0.06


@pytest.mark.parametrize("freedom", [1, 2.7, 4, 30.5, 1e6])
def test_students_distribution_is_that_of_scipys_statistics(freedom: float) -> None:
    for level in (0.5, 0.95, 0.999):
        assert ends(0.3, 0.2, freedom, level) == pytest.approx(stats.t.interval(level, freedom, 0.3, 0.2), rel=1e-12)
        assert critical(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-12)
    for t in (0.0, 0.4, -3.0, 25.0):
        assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-12)


def test_p_value_is_that_of_the_t_test_and_agrees_with_the_interval():
    assert present(p_value(VALUES)) == pytest.approx(stats.ttest_1samp(VALUES, 0).pvalue)
    assert p_value([0.1]) is None
    assert p_value([0.1, 0.1]) == 1


def test_the_chance_that_one_of_several_looks_errs_is_not_above_its_bound():
    generator = np.random.default_rng(4)
    for together in (0.0, 0.7):
        common = generator.normal(size=(3000, 5, 1))
        draws = math.sqrt(together) * common + math.sqrt(1 - together) * generator.normal(size=(3000, 5, 4))
        erring = (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).any(axis=1).mean()
        assert erring <= by_luck(4) + 0.015
    assert by_luck(1) == pytest.approx(0.05)


def test_no_verdict_seems_to_come_out_of_rounding():
    assert "0.62 ± 0.60 points" in verdict([0.003785, 0.0062, 0.008615])
    narrow = ratio_verdict([0.92, 0.84, 0.76, 0.69, 0.959], "A", "B")
    assert "is ahead" in narrow
    assert ", 1.00]" not in narrow
    assert ratio_ends(0.69, 0.9991) == "[0.690, 0.999]"
    assert ratio_ends(1.004, 1.3) == "[1.004, 1.300]"
    assert ratio_ends(0.5, 1.5) == "[0.50, 1.50]"


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
    assert (found.low, found.high) == (None, None)  # seeds that agree exactly tell nothing of luck
    assert found.sentence() == (
        "RepLoRA reaches LoRA's full-data accuracy (60.0 %) with 32 % of the data (2 seeds: an anecdote)."
    )


def test_the_interval_of_data_needed_inverts_the_paired_t_test():
    generator = np.random.default_rng(0)
    theirs = np.array([0.4, 0.5, 0.6]) + generator.normal(0, 0.01, size=(5, 3))
    ours = np.array([0.4, 0.55, 0.66]) + generator.normal(0, 0.01, size=(5, 3))
    found = data_needed(FRACTIONS, ours, theirs)
    assert present(found.low) < present(found.value) < present(found.high) < 1
    assert not found.open_low
    assert not found.open_high
    assert found.sentence().endswith("] of the data.")
    logs = np.log(FRACTIONS)
    places = np.linspace(logs[0], logs[-1], 4001)
    there = np.array([np.interp(places, logs, row) for row in ours])  # (seeds, places)
    kept = np.exp(places[stats.ttest_rel(there, theirs[:, -1:], axis=0).pvalue >= 0.05])
    assert (found.low, found.high) == pytest.approx((kept[0], kept[-1]), rel=0.003)


def test_where_all_seeds_cross_at_one_share_of_the_data_no_other_is_left():
    theirs = np.array([[0.4, 0.5, 0.6], [0.41, 0.5, 0.6]])
    for top in (0.61, 0.63, 0.67, 0.7):  # in some of these rounding parts the two roots, in some it loses them
        found = data_needed(FRACTIONS, [[0.4, 0.5, top], [0.41, 0.5, top]], theirs)
        assert (found.low, found.high) == pytest.approx((present(found.value),) * 2, rel=1e-6)


def test_no_data_needed_is_read_off_where_data_have_no_clear_effect():
    flat = np.random.default_rng(3).normal(0.5, 0.03, size=(3, 3))
    found = data_needed(FRACTIONS, flat + 0.01, flat)
    assert not found.is_told
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.sentence().startswith("LoRA with 100 % of the data is not clearly above LoRA with 1 % (")
    assert found.sentence().endswith("to show an effect of data. So no data needed is read off.")


def test_data_needed_says_when_it_is_not_reached_or_reached_at_once():
    generator = np.random.default_rng(5)
    low, high = (np.array(mean) + generator.normal(0, 0.01, (3, 3)) for mean in ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]))
    never = data_needed(FRACTIONS, low, high)
    assert (never.value, never.low, never.high) == (None, None, None)
    goal = f"LoRA's full-data accuracy ({100 * high[:, -1].mean():.1f} %)"
    assert never.sentence() == f"RepLoRA does not reach {goal}."
    at_once = data_needed(FRACTIONS, high + 0.5, high)
    assert at_once.at_most
    assert f"reaches {goal} with at most 1 % of the data." in at_once.sentence()
    perhaps = data_needed((0.1, 0.3), [[0.1, 0.7], [0.1, 0.5], [0.1, 0.5]], [[0.1, 0.56], [0.1, 0.55], [0.1, 0.55]])
    assert perhaps.open_high
    assert "LoRA's accuracy with 30 % of the data (55.3 %)" in perhaps.sentence()
    assert ", not reached] of the data" in perhaps.sentence()
    close = data_needed(FRACTIONS, high - np.array([[0.01], [0.0], [0.004]]), high)
    assert close.value is None
    assert "though with" in close.sentence()
    assert "to 100 % of the data the seeds do not exclude it." in close.sentence()
    assert close.text() == f"not reached [{percent(present(close.low))}, not reached]"
    spread = np.array([[-0.3, -0.1, 0.0], [0.0, 0.0, 0.02], [0.05, 0.11, 0.01]])
    vague = data_needed(FRACTIONS, [[0.5, 0.6, 0.61]] * 3 + spread, [[0.2, 0.5, 0.6]] * 3 + 0.01 * spread)
    assert vague.is_told
    assert vague.value is not None
    assert not vague.excludes_some
    assert vague.text() == "not told [≤ 1, not reached]"
    assert "cannot be told: the seeds exclude none from 1 to 100 %." in vague.sentence()
    assert "RepLoRA reaches" in vague.sentence()
    assert never.text() == "not reached"
    alone = data_needed(FRACTIONS, high[:1], high[:1])
    assert not alone.is_told
    assert alone.sentence().startswith("With one seed an effect of data cannot be told from luck.")
    nothing = data_needed(FRACTIONS, np.zeros((0, 3)), np.zeros((0, 3)))
    assert nothing.sentence().startswith("There are no finished seeds")
    with pytest.raises(ValueError, match="ascend"):
        data_needed((0.1, 0.1), [[0, 0]], [[0, 0]])
    with pytest.raises(ValueError, match="Curves"):
        data_needed(FRACTIONS, [[0, 0]], [[0, 0]])


RATES = (1e-4, 1e-3, 1e-2, 1e-1)


def test_the_good_region_is_interpolated_and_stops_at_divergence():
    found = present(good_region(RATES, [0.5, 0.7, 0.6, 0.2], [0.0] * 4, [0] * 4))
    assert (found.best_rate, found.threshold) == pytest.approx((1e-3, 0.69))
    assert found.low == pytest.approx(10 ** (-3 - 0.05))
    assert found.high == pytest.approx(10 ** (-3 + 0.1))
    assert found.decades == pytest.approx(0.15)
    assert not found.open_low
    wide = present(good_region(RATES, [0.69, 0.7, 0.69, None], [0.02] * 4, [0, 0, 0, 3]))
    assert (wide.low, wide.high, wide.open_low, wide.open_high) == (1e-4, 1e-2, True, False)
    partly = present(good_region(RATES, [0.5, 0.7, 0.9, 0.9], [None] * 4, [0, 0, 1, 2]))
    assert (partly.best_rate, partly.high) == (1e-3, 1e-3)
    assert good_region(RATES, [None] * 4, [None] * 4, [1] * 4) is None
