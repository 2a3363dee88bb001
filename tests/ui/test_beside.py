"""The line that puts a live study beside the recorded one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from present import present

from replora.studies.events import CellFinished, StudyEvent
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.spec import DataStudy
from replora.ui.studies.beside import races_beside
from replora.ui.studies.cards import PAIRED, data_cards
from replora.ui.studies.pictures import difference
from replora.ui.studies.state import SelectedStudy

SHORT = DataStudy(steps=40, fractions=(0.01, 1.0), seeds=(0, 1, 2))
LONG = dataclasses.replace(SHORT, steps=400, fractions=(0.01, 0.1, 1.0), seeds=(0, 1, 2, 3, 4))


def of(events: Sequence[StudyEvent], leads: dict[float, list[float]]) -> StudySummary:
    """A study whose RepLoRA leads LoRA by so much with a share of the data, seed by seed."""
    told = [
        dataclasses.replace(each, accuracy=0.5 + (each.method == "replora") * leads[each.fraction][each.seed])
        if isinstance(each, CellFinished)
        else each
        for each in events
    ]
    return present(summarize_study(told))


@pytest.fixture
def recorded(study_events: Callable[..., Any]) -> SelectedStudy[StudySummary]:
    leads = {share: [-0.03, -0.04, -0.03, -0.035, -0.03] for share in LONG.fractions}
    return SelectedStudy(summary=of(study_events(LONG), leads))


def test_a_wide_interval_of_ones_own_is_too_wide_to_tell(study_events, recorded) -> None:
    own = of(study_events(SHORT), {0.01: [-0.17, 0.02, -0.1], 1.0: [0.05, 0.06, 0.05]})
    assert races_beside(own, recorded) == (
        "Recorded, 400 steps, 5 seeds: \u22123.3 \u00b1 0.6 points with 1 % of the data, \u22123.3 \u00b1 0.6 points "
        "with 100 % of the data; yours, 40 steps, 3 seeds: \u22128.3 \u00b1 23.9 points: too wide to tell, "
        "+5.3 \u00b1 1.4 points: RepLoRA is ahead."
    )


def test_what_else_differs_is_said_and_few_seeds_are_an_anecdote(study_events, recorded) -> None:
    spec = dataclasses.replace(SHORT, rank=8, fractions=(0.01,), seeds=(0,))
    said = races_beside(of(study_events(spec), {0.01: [0.1]}), recorded)
    assert said.startswith("Recorded with rank 4, 400 steps, 5 seeds: ")
    assert said.endswith("; yours, 40 steps, 1 seed: +10.0 points: an anecdote.")


def test_nothing_is_said_before_the_end_or_of_shares_that_only_one_of_them_has(study_events, recorded) -> None:
    events = study_events(dataclasses.replace(SHORT, fractions=(0.5,)))
    assert races_beside(of(events, {0.5: [0.0, 0.1, 0.2]}), recorded) == ""
    unfinished = of(study_events(SHORT)[:-1], {0.01: [0.0] * 3, 1.0: [0.0] * 3})
    assert races_beside(unfinished, recorded) == ""
    assert races_beside(None, recorded) == ""


def test_equal_seeds_are_too_coarse_to_tell_and_have_no_interval_anywhere(study_events, recorded) -> None:
    own = of(study_events(SHORT), {0.01: [-0.01] * 3, 1.0: [0.0] * 3})
    said = races_beside(own, recorded)
    assert said.endswith("yours, 40 steps, 3 seeds: \u22121.0 points: too coarse to tell, 0.0 points: level.")
    assert "\u00b1" not in data_cards(SHORT, own).replace(PAIRED, "")
    assert "too coarse a measure for an interval" in own.main_comparisons[0].verdict
    drawn = [difference(each.fraction, each, each.metric) for each in own.main_comparisons]
    assert [(each.low, each.high) for each in drawn] == [(None, None), (None, None)]
