"""How far other test examples would move a single accuracy."""

from __future__ import annotations

import pytest
from scipy import stats

from replora.statistics.intervals import sampling_half_width


@pytest.mark.parametrize(("right", "examples"), [(0, 20), (140, 200), (300, 300)])
def test_it_is_half_of_wilsons_interval(right: int, examples: int) -> None:
    oracle = stats.binomtest(right, examples).proportion_ci(0.95, method="wilson")
    assert sampling_half_width(right / examples, examples) == pytest.approx((oracle.high - oracle.low) / 2)
