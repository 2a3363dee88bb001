"""The simulation of a department, against what can be said by hand."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.scale import ROOM_SECONDS, Rates, class_day, study_day

RATES = Rates(
    agent_line=0.0, gateway_line=0.0, web_line=0.0, store_line=0.0, merge_line=0.0,
    start=2.0, step_one=0.01, step_more=0.001, redraw=0.0,
)  # fmt: skip


def test_pieces_go_over_the_gpus_in_waves() -> None:
    found = study_day(RATES, runs=10, gpus=4, at_once=2, steps=100)
    piece = 2.0 + 100 * 0.011
    assert found["pieces"] == 5
    assert found["last_result"] == pytest.approx(2 * piece, abs=0.1)
    assert found["one_gpu"] == pytest.approx(5 * piece, abs=0.1)
    assert found["saturates_first"] == "GPUs"


def test_a_slow_store_is_what_a_study_waits_for() -> None:
    slow = dataclasses.replace(RATES, store_line=10.0)
    found = study_day(slow, runs=10, gpus=10, at_once=1, steps=100)
    assert found["last_result"] == pytest.approx(2.0 + 100 * 0.01 + 10 * 10.0, abs=0.1)
    assert found["saturates_first"] == "store"


def test_one_learner_waits_for_one_race() -> None:
    found = class_day(RATES, learners=1, rooms=1, gpus=8, nodes=2, shared=64, within=0.0, steps=100)
    assert found["median_result"] == pytest.approx(2.0 + 100 * 0.011, abs=0.1)
    assert found["last_result"] <= ROOM_SECONDS + found["median_result"] + 0.1


def test_pages_of_a_large_class_take_as_long_as_they_are_many() -> None:
    drawn = dataclasses.replace(RATES, start=0.0, step_one=0.0, step_more=0.0, redraw=0.1)
    found = class_day(drawn, learners=500, rooms=5, gpus=8, nodes=2, shared=64, within=0.0, steps=100)
    least = 500 * 3 * 0.1  # when Play is pressed, once a race is on, and at its end
    assert least <= found["last_result"] <= least + ROOM_SECONDS
    assert found["saturates_first"] == "web"
