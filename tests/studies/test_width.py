"""When an interval decides, and how many seeds would make it narrow enough."""

from __future__ import annotations

import numpy as np
import pytest
from present import present
from scipy import stats

from replora.statistics.intervals import geometric_interval, t_interval
from replora.statistics.width import MOST_SEEDS, NARROW, NARROW_RATIO, width_of_difference, width_of_ratio


@pytest.mark.parametrize(
    ("differences", "decides"),
    [
        ([0.2, 0.22, 0.21], True),  # somebody is ahead
        ([0.001, -0.001, 0.002], True),  # nobody is, by more than is narrow
        ([-0.17, 0.02, -0.1], False),  # -8.3 ± 23.9
        ([0.0, 0.004, 0.008], True),  # 0.4 ± 1.0 points: within 2 points of zero
        ([0.018, 0.0, 0.018, 0.0], False),  # 0.9 ± 1.7: narrow, and may be more than 2 points
        ([0.013, 0.013, 0.013], True),  # on every seed, and within 2 points
        ([0.05, 0.05, 0.05], False),  # all alike say nothing of a lead
        ([0.01], False),
        ([], False),
    ],
)
def test_an_interval_decides_where_it_excludes_a_draw_or_any_lead_worth_naming(differences, decides):
    assert width_of_difference(t_interval(differences), "", "").decides == decides


def test_an_interval_of_a_ratio_is_judged_on_its_logarithm():
    at_the_limit = width_of_ratio(geometric_interval([0.99, 1.0, 1.01]), "", "")
    assert at_the_limit.decides
    assert width_of_ratio(geometric_interval([0.5, 0.52, 0.51]), "", "").decides
    wide = geometric_interval([0.5, 1.1, 1.5])
    found = width_of_ratio(wide, "", "")
    assert not found.decides
    ends = present(wide)
    assert NARROW_RATIO ** present(found.half) == pytest.approx((present(ends.high) / present(ends.low)) ** 0.5)


def test_as_many_seeds_as_are_said_to_be_needed_make_the_interval_narrow():
    spread = 0.02
    seeds = 3  # of middle zero
    half = stats.t.ppf(0.975, seeds - 1) * spread / np.sqrt(seeds)
    values = np.array([-1.0, 0.0, 1.0]) * spread
    found = width_of_difference(t_interval(list(values)), "", "")
    assert present(found.half) * NARROW == pytest.approx(half)
    needed = present(found.seeds_needed())
    narrow = [n for n in range(2, 50) if stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n) <= NARROW]
    assert needed == narrow[0] <= MOST_SEEDS
    aside = width_of_difference(t_interval(list(0.5 * values + 0.015)), "", "")  # must exclude zero: 1.5 points
    narrow = [n for n in range(2, 50) if stats.t.ppf(0.975, n - 1) * spread / 2 / np.sqrt(n) < 0.015]
    assert aside.seeds_needed() == narrow[0] > seeds
    near = width_of_difference(t_interval(list(0.5 * values + 0.005)), "", "")  # must lie within: 2 - 0.5 points
    assert near.seeds_needed() == narrow[0]
    assert width_of_difference(t_interval(list(4 * values)), "", "").seeds_needed() is None
