"""What the times of merging allow to say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from synthetic_inside import synthetic_merge

from replora.figures.inside.latency import latency_verdict


@pytest.mark.parametrize(
    ("adapted", "merged", "said"),
    [
        ((5.0, 4.8, 5.2), (4.0, 3.9, 4.1), "Merged is faster than adapted: 4.00 against 5.00 ms."),
        ((4.0, 3.9, 4.1), (5.0, 4.8, 5.2), "Merged is slower than adapted: 5.00 against 4.00 ms."),
        ((4.2, 3.9, 4.5), (4.0, 3.8, 4.1), "Merged and adapted are not distinguishable by these times"),
    ],
)
def test_merging_is_called_faster_only_where_quartiles_do_not_overlap(adapted, merged, said) -> None:
    quartiles = np.array([(3.0, 3.1), adapted[1:], merged[1:]], dtype=np.float32)
    answer = dataclasses.replace(synthetic_merge(), milliseconds=(3.0, adapted[0], merged[0]), quartiles=quartiles)
    assert latency_verdict(answer).startswith(said)
