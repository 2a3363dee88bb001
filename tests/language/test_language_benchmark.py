"""The benchmark of texts to continue: rates chosen on what was held out, differences with Student's interval."""

from __future__ import annotations

import json
from typing import Any

import pytest
import scipy.stats
from click.testing import CliRunner

from benchmarks.language import RATES, Ended, best_rate, compared, main


def runs(losses: dict[str, dict[float, list[tuple[float | None, float | None]]]]) -> list[Ended]:
    """Of test and held-out losses by method, rate and seed."""
    return [
        Ended(method, rate, seed, {"test": 5.0, "held_out": 5.0}, test, held)
        for method, by_rate in losses.items()
        for rate, pairs in by_rate.items()
        for seed, (test, held) in enumerate(pairs)
    ]


def test_a_rate_is_chosen_on_what_was_held_out_and_never_one_that_diverges() -> None:
    held = {rate: [(1.0, 4.0)] * 3 for rate in RATES}
    losses: dict[str, Any] = {"lora": {**held, 1e-3: [(9.0, 3.0)] * 3, 2e-3: [(0.1, 2.0), (0.1, 2.0), (None, None)]}}
    assert best_rate(runs(losses), "lora") == 1e-3


def test_the_difference_is_paired_and_has_students_interval() -> None:
    lora, replora = [4.0, 4.1, 4.3], [4.2, 4.2, 4.6]
    told = compared(
        runs({"lora": {1e-3: [(loss, 0) for loss in lora]}, "replora": {1e-4: [(loss, 0) for loss in replora]}}),
        {"lora": 1e-3, "replora": 1e-4},
        "test",
    )
    differences = [one - other for one, other in zip(replora, lora, strict=True)]
    oracle = scipy.stats.ttest_1samp(differences, 0).confidence_interval()
    assert (told["difference"], told["seeds"]) == (0.2, 3)
    assert told["interval"] == pytest.approx([oracle.low, oracle.high], abs=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("twin")
def test_the_command_tells_three_sizes_and_the_untouched_model() -> None:
    options = ["--steps", "2", "--blocks", "1", "--seeds", "2", "--test-examples", "6", "--held-out", "4"]
    told = CliRunner().invoke(main, [*options, "--device", "cpu", "--json"], catch_exceptions=False)
    found = json.loads(told.stdout.splitlines()[-1])
    assert list(found["sizes"]) == ["16", "256", "2478"]
    untouched = [each["untouched"]["test"] for each in found["sizes"].values()]
    assert untouched == [untouched[0]] * 3
    for each in found["sizes"].values():
        chosen = each["own rates"]
        edge = [name for name, rate in chosen["rates"].items() if rate in (RATES[0], RATES[-1])]
        assert chosen["at_the_edge"] == sorted(edge)
        assert each["same rates"]["rates"] == {"lora": 3e-4, "replora": 3e-4}
        assert 0 < abs(each["same rates"]["test"]["lora"] - untouched[0]) < 0.1  # two steps of random weights
