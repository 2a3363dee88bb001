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
    seeds = 3
    half = stats.t.ppf(0.975, seeds - 1) * spread / np.sqrt(seeds)
    values = np.array([-1.0, 0.0, 1.0]) * spread
    found = width_of_difference(t_interval(list(values)), "", "")
    assert present(found.half) * NARROW == pytest.approx(half)
    needed = present(found.seeds_needed())
    narrow = [n for n in range(2, 50) if stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n) <= NARROW]
    assert needed == narrow[0] <= MOST_SEEDS
    assert width_of_difference(t_interval(list(4 * values)), "", "").seeds_needed() is None
