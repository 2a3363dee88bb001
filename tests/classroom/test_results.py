"""Pooled results: against the verdict of one race of all seeds, and against arithmetic by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest
from class_rooms import TINY
from present import present
from scipy import stats
from synthetic_runs import synthetic_race

from replora.classroom.expectations import calibration, interval_score, scored
from replora.classroom.results import command_of, own_difference, pooled, result_of
from replora.classroom.room import Expectation, Seat
from replora.classroom.setup import Setup
from replora.config import RaceOptions
from replora.summary import paired_differences, race_verdict, summarize

GRID = replace(TINY, each="cell", seeds=3, rates=(3e-4, 1e-3))


def seat(number: int, setup: Setup = TINY, **facts: Any) -> Seat:
    own = facts.pop("own", {})
    events = list(synthetic_race(setup.race_of(number, own), **facts))
    result = result_of(events, f"job{number}", setup.chosen_otherwise(own))
    return Seat("room", number, "words", "", own, result=result)


def differences(seats: Sequence[Seat]) -> list[float]:
    return [found for each in seats if each.result and (found := own_difference(each.result)) is not None]


def test_a_class_of_seeds_says_what_one_race_of_all_seeds_says() -> None:
    seats = [seat(number) for number in range(1, 6)]
    whole = RaceOptions(steps=4, evaluate_every=2, seeds=(1, 2, 3, 4, 5)).race()
    summary = summarize(synthetic_race(whole))
    assert summary
    pool = pooled(seats)
    (group,) = pool.groups
    found = t(list(group.differences.values()))
    assert group.interval
    assert (group.interval.mean, group.interval.low, group.interval.high) == pytest.approx(found)
    assert list(group.differences) == [1, 2, 3, 4, 5]
    assert list(group.differences.values()) == differences(seats)
    assert len(paired_differences(summary)) == 5
    assert ("RepLoRA minus LoRA" in pool.verdicts[0]) == ("RepLoRA minus LoRA" in race_verdict(summary))


def t(values: Sequence[float]) -> tuple[float, float, float]:
    half = stats.t.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values), fmean(values) - half, fmean(values) + half


def test_two_seats_are_an_anecdote_and_who_is_missing_is_said() -> None:
    seats = [seat(1), seat(2), replace(seat(3), result=None)]
    pool = pooled(seats)
    assert (pool.seats, pool.finished) == (3, 2)
    assert "an anecdote" in pool.verdicts[0]
    assert "2 of 3 seats done" in pool.verdicts[0]
    assert "no pair of runs" in pooled([]).verdicts[0]


def test_diverged_runs_are_counted_and_not_averaged() -> None:
    pool = pooled([seat(1), seat(2, diverge={1: 2}), seat(3)])
    assert (pool.runs, pool.diverged) == (6, 1)
    assert list(pool.groups[0].differences) == [1, 3]
    assert "1 of 6 runs diverged" in pool.verdicts[0]


def test_cells_of_a_grid_meet_in_pairs_by_rate() -> None:
    seats = [seat(number, GRID) for number in range(1, len(GRID.cells()) + 1)]
    pool = pooled(seats)
    assert [group.label for group in pool.groups] == ["rate 0.0003", "rate 0.001"]
    assert [list(group.differences) for group in pool.groups] == [[1, 2, 3]] * 2
    *verdicts, alone = pool.verdicts
    assert len(verdicts) == 2
    assert alone == (
        "Each of 2 groups is judged by itself: between equal methods somebody is ahead in one or more of 2 in up to 10 "
        "% of classes."
    )
    half = pooled(seats[:5])
    assert [list(group.differences) for group in half.groups] == [[1], [1]]


def test_seats_beyond_the_grid_repeat_a_cell_and_count_once() -> None:
    cells = len(GRID.cells())
    seats = [seat(number, GRID) for number in range(1, cells + 3)]
    pool = pooled(seats)
    assert (pool.runs, pool.repeated, pool.finished) == (cells, 2, cells + 2)


def test_what_seats_chose_otherwise_is_not_pooled_with_the_rest() -> None:
    freed = replace(TINY, free=("rank", "learning_rate", "projections"))
    seats = [
        seat(1, freed),
        seat(2, freed, own={"rank": 8}),
        seat(3, freed, own={"learning_rate": 1e-3}),
        seat(4, freed, own={"projections": ["query"]}),
        seat(5, freed, own={"rank": TINY.race.rank}),
    ]
    found = {group.label: list(group.differences) for group in pooled(seats).groups}
    assert found == {
        "rate 0.0003": [1, 5],
        "rate 0.0003, Rank 8": [2],
        "rate 0.0003, Projections query": [4],
        "rate 0.001": [3],
    }


def test_each_number_has_the_command_that_gives_it_again() -> None:
    result = seat(4).result
    assert result
    assert command_of(result) == "python -m replora race --steps 4 --evaluate-every 2 --seeds 4"


def test_a_race_without_an_end_is_no_result() -> None:
    events = list(synthetic_race(TINY.race_of(1, {})))
    assert result_of(events[:-1], "job", {}) is None
    assert result_of([], "job", {}) is None


def test_the_interval_score_is_width_and_ten_times_the_miss() -> None:
    assert interval_score(-1, 3, 2) == 4
    assert interval_score(-1, 3, 5) == 4 + 10 * 2
    assert interval_score(-1, 3, -1.5) == 4 + 10 * 0.5


@pytest.mark.parametrize("shift", [0.0, 1.3])
def test_the_score_is_proper(shift: float) -> None:
    """Of all intervals the one between the 10 % and 90 % points of what comes loses least, by integration."""
    truths = stats.norm.ppf([(place + 0.5) / 4000 for place in range(4000)], loc=shift)

    def loss(low: float, high: float) -> float:
        return fmean(interval_score(low, high, float(truth)) for truth in truths)

    honest = tuple(float(each) for each in stats.norm.ppf([0.1, 0.9], loc=shift))
    best = loss(*honest)
    for low, high in ((-0.3, 0.0), (0.3, 0.0), (0.0, 0.3), (0.0, -0.3), (-0.5, 0.5), (0.5, -0.5), (0.4, 0.4)):
        assert loss(honest[0] + low, honest[1] + high) > best


def test_expectations_are_scored_against_what_their_own_seat_found() -> None:
    seats = [replace(seat(number), expectation=Expectation(-2, 2)) for number in (1, 2)]
    seats.append(replace(seat(3), expectation=None))
    seats.append(replace(seat(4, diverge={0: 1}), expectation=Expectation(0, 1)))
    found = scored(seats, pooled(seats))
    assert [each.seat for each in found] == [1, 2]
    assert [each.truth for each in found] == [100 * each for each in differences(seats[:2])]
    assert calibration([]) == ""
    line = calibration(found)
    held = sum(each.held for each in found)
    assert line.startswith(f"{held} of 2 intervals held what came")
    assert f"{fmean(each.score for each in found):.1f} points" in line


def test_a_seat_of_one_cell_is_scored_against_the_mean_of_its_group() -> None:
    """The grid's other rate, at which methods are made to lie further apart, is another question."""
    seats = [replace(seat(number, GRID), expectation=Expectation(-50, 50)) for number in range(1, 13)]
    for each in seats:
        assert each.result
        (run,) = each.result["runs"]
        run["accuracy"] -= 0.2 * (run["method"] == "replora" and run["learning_rate"] == 1e-3)
    pool = pooled(seats)
    own = {present(group.key)[0]: 100 * fmean(group.differences.values()) for group in pool.groups}
    assert own[3e-4] != own[1e-3]
    found = scored(seats, pool)
    rates = [present(each.result)["runs"][0]["learning_rate"] for each in seats]
    assert [each.truth for each in found] == [own[rate] for rate in rates]
    assert pool.verdicts[-1].startswith("Each of 2 groups is judged by itself")


def test_seats_that_chose_nothing_are_a_group_with_a_name() -> None:
    freed = replace(TINY, free=("rank",))
    pool = pooled([seat(1, freed), seat(2, freed, own={"rank": 8})])
    assert [group.label for group in pool.groups] == ["As the room has it", "Rank 8"]
    assert pool.verdicts[-1] == "Each of 2 groups is judged by itself."
    assert [group.label for group in pooled([seat(1, freed), seat(2, freed)]).groups] == [""]
