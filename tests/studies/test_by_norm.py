"""A study's runs over the norm of their updates: one road at two speeds is no difference, two roads are."""

from __future__ import annotations

import dataclasses
import math

import pytest

from replora.catalog import ASSETS
from replora.studies.events import CellFinished
from replora.studies.lines import read_study_events
from replora.studies.races.by_norm import by_norm, norm_sentence
from replora.studies.spec import DataStudy

SPEC = DataStudy(fractions=(0.1, 1.0), tuned=True, rates=(1e-4, 1e-3, 1e-2), methods=("lora", "replora"))

PAIR = ("replora", "lora")


def road(told, gain, lost=()):
    """RepLoRA goes three times as far at a rate; `gain`: what it is ahead at one norm."""

    def right(method, fraction, rate, seed):
        return None if (method, rate, seed) in lost else 1

    def walked(event):
        if not isinstance(event, CellFinished) or event.diverged:
            return event
        norm = (3 if event.method == "replora" else 1) * 1e3 * event.rate * (1 + 0.1 * event.seed)
        ahead = (gain + 0.001 * event.seed) if event.method == "replora" and gain else 0.0
        return dataclasses.replace(event, delta_norm=norm, accuracy=0.5 + 0.05 * math.log(norm) + ahead)

    return [walked(event) for event in told(SPEC, right)]


def test_one_road_at_two_speeds_is_level_at_equal_norm(told):
    said = norm_sentence(road(told, 0.0), 1.0, PAIR)
    assert said == (
        "With 100 % of the data and at equal norm of delta_weight, mean over the logarithm of the norm from 0.36 to "
        "10, where the runs of 1 to 2 rates of each seed lie: RepLoRA minus LoRA: 0.0 points over 3 paired seeds: "
        "level. The points are too few to tell what straight lines between them make of a curve."
    )


def test_two_roads_are_told_apart_and_the_diverged_are_counted(told):
    said = norm_sentence(road(told, 0.04, lost={("replora", 1e-2, 0)}), 0.1, PAIR)
    assert "With 10 % of the data" in said
    assert "RepLoRA is ahead" in said
    assert "1 of 18 runs diverged and is not counted. The points are too few" in said


def test_without_several_rates_or_norms_nothing_is_said(told):
    events = road(told, 0.0)
    single = [each for each in events if not isinstance(each, CellFinished) or each.rate == 1e-3]
    assert norm_sentence(single, 1.0, PAIR) == ""
    assert norm_sentence([], 1.0, PAIR) == ""
    old = [dataclasses.replace(each, delta_norm=None) if isinstance(each, CellFinished) else each for each in events]
    assert norm_sentence(old, 1.0, PAIR) == ""
    assert by_norm(old) == []


def test_cells_are_means_over_seeds(told):
    cells = {(each.method, each.fraction, each.rate): each for each in by_norm(road(told, 0.0))}
    cell = cells["lora", 1.0, 1e-3]
    assert cell.n == 3
    assert cell.norm == pytest.approx((1 * 1.1 * 1.2) ** (1 / 3))
    assert cell.result == pytest.approx(0.5 + 0.05 * math.log(cell.norm))


def test_the_lead_at_one_rate_is_gone_at_equal_norm_in_the_recorded_study_of_digits():
    events = list(read_study_events(ASSETS / "recorded" / "study_digits.jsonl.gz"))
    said = norm_sentence(events, 1.0, PAIR)
    assert "LoRA is ahead. 4 of 80 runs diverged" in said
    assert "Taken off are the +0.46 points that straight lines" in said
