"""Pictures, tables and sentences of races on texts to continue: in nats a token, of which fewer are better."""

from __future__ import annotations

import dataclasses
import math

import pytest
from present import present
from synthetic_runs import synthetic_race
from valid_figures import assert_drawn

from replora.config import Race, RaceOptions
from replora.events import Evaluated, Event, Started, Step, to_line, untouched_loss
from replora.figures.race.by_norm import equal_norm_sentences, figures_by_norm
from replora.figures.race.figures import PlottedRace, race_figures
from replora.figures.race.table import number_rows
from replora.figures.scales import nice_range
from replora.jobs.storage.history_rows import race_result
from replora.result_card.race import race_card
from replora.statistics.change import change_verdict
from replora.statistics.metrics import NATS, perplexity
from replora.ui.race.change import change_told

SPEC = dataclasses.replace(RaceOptions.on("plays"), seeds=(0, 1, 2), methods=("lora", "replora", "head")).race()


def told(spec: Race = SPEC, **facts: dict[int, int]) -> list[Event]:
    return list(synthetic_race(spec, **facts))


def test_the_four_pictures_are_valid_at_every_moment_and_keep_their_specs() -> None:
    events = told(diverge={1: 7})
    for drawn in (race_figures, figures_by_norm):
        specs = []
        for end in (0, 1, 2, 3, 9, len(events)):
            for figure in drawn(PlottedRace(SPEC, events[:end], (events,), moving=True)):
                assert_drawn(figure)
                specs.append((figure.key, str(figure.spec)))
        assert len(set(specs)) == len({key for key, _ in specs})


def test_the_untouched_model_is_a_level_line_within_a_narrow_axis() -> None:
    tested, difference, loss, _ = race_figures(PlottedRace(SPEC, told()))
    assert (tested.key, tested.title) == ("test_loss", "Test loss")
    assert tested.unit.startswith("nats a token of 24 test pieces")
    assert [row["y"] for row in tested.data["rules"]] == [4.6]
    assert "untouched 4.600" in [row["text"] for row in tested.data["texts"]]
    low, high = (row["y"] for row in tested.data["frame"])
    assert 3.5 < low < 4.0
    assert 4.6 <= high < 5
    ends = {row["text"] for row in tested.data["texts"]}
    assert {"LoRA", "RepLoRA", "Untouched"} <= ends
    # above zero the loss is larger: there LoRA is ahead
    corners = {row["text"]: row["y"] for row in difference.data["texts"] if row["role"] == "corner"}
    assert corners["LoRA ahead"] > 0 > corners["RepLoRA ahead"]
    assert {row["line"] for row in difference.data["bands"] if row["y"] < 0} == {"below"}
    assert {row["series"] for row in difference.data["bands"] if row["line"] == "below"} == {"replora"}
    assert max(row["y"] for row in loss.data["frame"]) < 7  # the guess of classes is none here


def test_what_lies_far_above_the_untouched_model_is_cut_off() -> None:
    events = told()
    wild = [
        dataclasses.replace(event, losses=(900.0, *event.losses[1:]))
        if isinstance(event, Step | Evaluated) and event.step > 10
        else event
        for event in events
    ]
    for figure in race_figures(PlottedRace(SPEC, wild))[::2]:
        assert max(row["y"] for row in figure.data["frame"]) < 8
    assert untouched_loss(events) == 4.6
    assert untouched_loss(told(RaceOptions().race())) is None


@pytest.mark.parametrize(
    ("values", "ends"),
    [([], (0.0, 0.2)), ([4.6], (4.6, 4.65)), ([4.0, 4.6], (4.0, 4.6)), ([3.93, 4.61], (3.8, 4.8))],
)
def test_an_axis_ends_at_round_numbers_around_the_values(values: list[float], ends: tuple[float, float]) -> None:
    assert nice_range(values, 0.2) == pytest.approx(ends)


def test_the_table_has_the_loss_with_its_unit_and_perplexity() -> None:
    last = number_rows(told())[-1]
    assert last["RepLoRA, seed 2, test loss (nats a token)"] == pytest.approx(4.6 - 0.4 * 1.7)
    assert last["RepLoRA, seed 2, test perplexity"] == pytest.approx(math.exp(4.6 - 0.4 * 1.7))
    assert "Untouched, seed 0, test loss (nats a token)" in last
    assert not any("accuracy" in name for name in last)
    assert perplexity(1e4) == math.inf


def test_sentences_say_nats_and_that_fewer_are_better() -> None:
    events = told()
    result = race_result([to_line(event) for event in events])
    assert result.verdict.startswith("RepLoRA minus LoRA: \u22120.240")
    assert result.verdict.endswith("RepLoRA is ahead.") or "too coarse" in result.verdict
    assert result.summary["losses"]["lora"]["0"] == pytest.approx(4.2)
    assert "accuracies" not in result.summary
    faster = dataclasses.replace(SPEC, batch_size=16)
    before = [dataclasses.replace(event, spec=faster) if isinstance(event, Started) else event for event in events]
    changed, made = change_told(events, before, SPEC)
    assert changed == "batch size 8 instead of 16"
    assert "LoRA 4.180 instead of 4.180 nats a token" in made
    said = change_verdict("LoRA", {0: 4.2, 1: 4.1, 2: 4.15}, {0: 4.0, 1: 3.91, 2: 3.94}, NATS)
    assert said.startswith("LoRA 4.150 instead of 3.950 nats a token, +0.200 \u00b1 0.0")
    assert said.endswith("nats a token over 3 paired seeds: higher.")
    (equal,) = equal_norm_sentences(events)  # no head has trained for longer than another
    assert "nats a token that straight lines" in equal
    assert "nats a token, mean of 3 runs" in present(race_card(events)).compared[1].result
