"""A race over the norm of its updates: roads that are the same, roads that are not, and old records without norms."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from present import of_type, present
from synthetic_runs import synthetic_race
from valid_figures import assert_drawn

from replora.config import RaceOptions
from replora.events import Evaluated, Event, Step
from replora.figures.race.by_norm import (
    accuracy_by_norm,
    equal_norm_sentences,
    loss_by_norm,
    norms_then,
    over_norm,
)
from replora.figures.race.curves import accuracies
from replora.figures.race.figures import PlottedRace
from replora.statistics.equal_norm import equal_norm, rising

SPEC = RaceOptions(methods=("head", "lora", "replora"), seeds=(0, 1, 2), steps=20, evaluate_every=4).race()


def test_one_road_at_two_speeds_is_no_difference_at_equal_norm() -> None:
    def road(speed: float) -> list[tuple[float, float]]:
        return [(speed * step, 0.5 + 0.1 * speed * step) for step in range(1, 11)]

    found = present(equal_norm({0: road(0.3), 1: road(0.31)}, {0: road(0.1), 1: road(0.12)}))
    assert (found.low, found.high) == pytest.approx((0.31, 1.0))
    assert list(found.differences.values()) == pytest.approx([0, 0], abs=1e-12)


def test_the_mean_over_common_norms_is_the_area_between_the_curves() -> None:
    ours, theirs = [(0.0, 0.2), (2.0, 0.6), (5.0, 0.6)], [(1.0, 0.1), (3.0, 0.5)]
    found = present(equal_norm({7: ours}, {7: theirs, 8: theirs}))
    assert (found.low, found.high) == (1.0, 3.0)
    # ours over 1 to 3: 0.4 to 0.6, then 0.6; theirs: 0.1 to 0.5
    assert found.differences[7] == pytest.approx((0.5 + 0.6) / 2 - 0.3, abs=1e-6)
    assert found.sentence("replora", "lora").startswith(
        "At equal norm of delta_weight, mean over 1.00 to 3.00, where 1 to 2 evaluations of each run lie: RepLoRA is"
    )
    assert "an anecdote, not a finding" in found.sentence("replora", "lora")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {0: [(1.0, 1.0)]}),
        ({0: [(1.0, 0.5), (2.0, 0.6)]}, {0: [(2.0, 0.5), (3.0, 0.6)]}),
        ({0: []}, {0: [(1.0, 1.0)]}),
    ],
)
def test_without_a_norm_in_common_there_is_no_comparison(ours: Any, theirs: Any) -> None:
    assert equal_norm(ours, theirs) is None


def test_a_norm_that_falls_back_is_not_counted_again() -> None:
    assert rising([(0.1, 1.0), (0.3, 2.0), (0.2, 9.0), (0.3, 8.0), (0.4, 3.0)]) == [(0.1, 1.0), (0.3, 2.0), (0.4, 3.0)]


def test_old_records_take_the_norm_before_the_next_step() -> None:
    events: list[Event] = list(synthetic_race(SPEC))
    steps = {each.step: each.delta_norms for each in of_type(Step, events)}
    assert all(not each.delta_norms for each in of_type(Evaluated, events))
    old = norms_then(events)
    assert [old[step] for step in (4, 8)] == [steps[5], steps[9]]
    assert old[20] == steps[20]  # nobody told the one after it
    new = [
        dataclasses.replace(each, delta_norms=(1.0,) * len(SPEC.runs)) if isinstance(each, Evaluated) else each
        for each in events
    ]
    assert set(norms_then(new).values()) == {(1.0,) * len(SPEC.runs)}


def test_curves_over_the_norm_are_those_of_runs_with_adapters() -> None:
    events = list(synthetic_race(SPEC, diverge={8: 6}))
    found = over_norm(events, accuracies)
    assert {each.method for each in found} == {"lora", "replora"}
    assert sum(each.diverged is not None for each in found) == 1
    for curve in found:
        shares = [(value / 100 - 0.1) / 0.7 for _, value in curve.points]
        norms = [norm for norm, _ in curve.points]
        assert np.all(np.diff(norms) >= 0)
        assert len(shares) == len(norms)


@pytest.mark.parametrize("facts", [{}, {"diverge": {4: 6}}])
def test_the_pictures_are_valid_whole_empty_and_early(facts: Any) -> None:
    events = list(synthetic_race(SPEC, **facts))
    for shown in ((), events[:1], events[:8], events):
        for draw in (accuracy_by_norm, loss_by_norm):
            assert_drawn(draw(PlottedRace(SPEC, shown, message="Press Play")))
    keys = {draw(PlottedRace(SPEC, events)).key for draw in (accuracy_by_norm, loss_by_norm)}
    assert keys == {"accuracy_by_norm", "loss_by_norm"}


def test_the_sentences_are_paired_over_seeds_and_say_how_long_heads_had_trained() -> None:
    raced = list(synthetic_race(SPEC))  # its accuracy is one function of the norm
    norms = {each.step: each.delta_norms for each in of_type(Step, raced)}
    events: list[Event] = [
        dataclasses.replace(each, delta_norms=norms[each.step]) if isinstance(each, Evaluated) else each
        for each in raced
    ]
    first, second = equal_norm_sentences(events)
    assert "over 3 paired seeds" in first
    assert "level. Taken off are the 0.00 points" in first
    assert "evaluations of each run lie" in first
    lost = equal_norm_sentences(list(synthetic_race(SPEC, diverge={8: 6})))
    assert "1 of 6 runs diverged and is not counted. Taken off are the" in lost[0]
    assert second.startswith("At norm ")
    assert "LoRA's for 20 steps" in second
    one = equal_norm_sentences(list(synthetic_race(RaceOptions(steps=20, evaluate_every=4).race())))
    assert "an anecdote, not a finding" in one[0]
    assert equal_norm_sentences([]) == []
    assert equal_norm_sentences(list(synthetic_race(RaceOptions(methods=("lora",), steps=8).race()))) == []
