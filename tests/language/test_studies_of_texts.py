"""Studies on texts to continue: trained on the twin, and read off synthetic runs, in nats of which fewer are better."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from present import of_type, present
from synthetic_runs import synthetic_study
from valid_figures import assert_drawn

from replora.catalog import STUDIES
from replora.cli import main
from replora.config import RaceOptions
from replora.events import Evaluated
from replora.figures.studies.by_norm import PlottedNorms, norm_figure
from replora.options import SpecError
from replora.statistics.data_needed import data_needed
from replora.statistics.good_region import good_region
from replora.statistics.metrics import NATS
from replora.studies.events import CellFinished, StudyEvent
from replora.studies.kinds import study_from_dict
from replora.studies.lines import from_line, to_line
from replora.studies.races.by_norm import by_norm, norm_sentence
from replora.studies.races.summary import summarize_study
from replora.studies.races.text import study_csv, table_of
from replora.studies.races.tuning import same_target
from replora.studies.spec import DataStudy, RateStudy, command, study_to_dict
from replora.studies.study import study
from replora.training.race import race

SMALL: dict[str, Any] = {
    "adapted_blocks": 2, "steps": 3, "batch_size": 4, "test_examples": 7, "validation_examples": 5, "seeds": (0,),
    "device": "cpu", "precision": "float32", "rates": (1e-3, 1e-2),
}  # fmt: skip
GRID = dataclasses.replace(DataStudy.on("plays"), tuned=True, rates=(3e-4, 3e-3), fractions=(0.01, 0.1, 1.0))


def small(**changes: Any) -> DataStudy:
    return dataclasses.replace(DataStudy.on("plays"), **(SMALL | {"fractions": (0.1, 1.0), "tuned": True} | changes))


def told() -> list[StudyEvent]:
    return list(synthetic_study(GRID))


@pytest.mark.usefixtures("twin")
def test_a_study_tells_the_losses_of_its_races_and_chooses_by_those_held_out():
    spec = small()
    events = list(study(spec))
    cells = of_type(CellFinished, events)
    assert len(cells) == spec.count() == 8
    batch = spec.race(spec.runs())
    assert not batch.tell_answers
    last = of_type(Evaluated, list(race(batch)))[-1]
    assert [cell.loss for cell in cells] == pytest.approx(list(last.losses), abs=1e-4)
    assert [cell.validation_loss for cell in cells] == pytest.approx(list(last.validation_losses), abs=1e-4)
    assert {cell.answers for cell in cells} == {""}
    summary = present(summarize_study(events))
    for cell in summary.cells:
        rivals = [each for each in summary.cells if (each.method, each.fraction) == (cell.method, cell.fraction)]
        assert cell.chosen == (cell.validation == min(present(each.validation) for each in rivals))
        assert cell.mean == cell.loss
    assert "nats a token" in summary.verdict
    assert "%" not in table_of(summary)[1][0][3]
    assert "validation_loss" in study_csv(events).splitlines()[0]
    assert [from_line(to_line(event)) for event in events] == events


@pytest.mark.usefixtures("twin")
def test_the_command_takes_a_corpus_with_its_own_defaults(tmp_path):
    asked = ["--task", "plays", "--adapted-blocks", "2", "--steps", "2", "--test-examples", "4", "--seeds", "0"]
    result = CliRunner().invoke(main, ["study", "rate", *asked, "--rates", "0.01", "--events", str(tmp_path / "e")])
    assert result.exit_code == 0, result.output
    assert "nats a token" in " ".join(result.output.split())
    assert "points" not in result.output


def test_defaults_links_and_commands_are_those_of_the_kind():
    for kind in (DataStudy, RateStudy):
        spec = kind.on("plays")
        wanted = {name: value for name, value in STUDIES["continuation"].items() if hasattr(spec, name)}
        assert {name: getattr(spec, name) for name in wanted} == wanted
        assert spec.to_query() == {"task": "plays"}
        changed = dataclasses.replace(spec, steps=80)  # the default elsewhere
        assert kind.from_query(changed.to_query()) == (changed, [])
        assert "--task plays --steps 80" in command(changed)
        assert study_from_dict(study_to_dict(changed)) == changed
    with pytest.raises(SpecError, match="methods must have adapters for the task plays: there is no head"):
        DataStudy(task="plays", methods=("head", "lora"))


def test_a_lower_loss_is_ahead_in_every_sentence_of_a_study():
    summary = present(summarize_study(told()))
    for found in summary.main_comparisons:
        mean = present(found.interval).mean
        assert found.ahead == ("replora" if mean < 0 else "lora")
        if "is ahead" in found.verdict:
            assert ("RepLoRA is ahead" in found.verdict) == (mean < 0)
    assert "nats a token" in summary.verdict
    assert "accuracy" not in summary.verdict
    assert "points" not in summary.verdict
    whole = summary.to_dict()
    assert whole["paired_differences"][0]["measure"] == whole["data_needed"][0]["measure"] == "loss"
    narrow = next(item for item in summary.fairness if "0.02 nats a token" in item.text or "decide" in item.name)
    assert "points" not in narrow.text
    assert any("full-data loss" in needed.sentence() for needed in summary.data_needed)
    same = present(same_target(told(), 3e-4))
    assert "nats a token at rate 0.0003" in same.sentence()


def test_read_offs_of_losses_are_those_of_their_negatives():
    random = np.random.default_rng(0)
    fractions = (0.01, 0.1, 1.0)
    theirs = np.array([[4.5, 4.2, 4.0]]) + 0.01 * random.standard_normal((5, 3))
    ours = np.array([[4.4, 4.05, 3.9]]) + 0.01 * random.standard_normal((5, 3))
    found, mirrored = data_needed(fractions, ours, theirs, metric=NATS), data_needed(fractions, -ours, -theirs)
    assert (found.value, found.low, found.high) == (mirrored.value, mirrored.low, mirrored.high)
    assert found.value is not None
    assert 0.1 < found.value < 1
    assert found.target == pytest.approx(theirs[:, -1].mean())
    assert f"({found.target:.3f} nats a token)" in found.sentence()
    flat = data_needed(fractions, ours, theirs[:, ::-1], metric=NATS)
    assert "is not clearly better than LoRA" in flat.sentence()
    rates, means = (1e-4, 1e-3, 1e-2), (4.3, 4.0, 4.004)
    region = present(good_region(rates, means, (None,) * 3, (0, 0, 0), lower_is_better=True))
    assert (region.best_rate, region.best) == (1e-3, 4.0)
    assert region.threshold == pytest.approx(4.01)
    assert region.high == 1e-2
    mirror = present(good_region(rates, tuple(-mean for mean in means), (None,) * 3, (0, 0, 0)))
    assert (region.low, region.high) == (mirror.low, mirror.high)


def test_over_the_norm_a_study_speaks_of_nats_too():
    events = told()
    cells = by_norm(events)
    assert {3.5 < cell.result < 5 for cell in cells} == {True}
    figure = norm_figure(PlottedNorms(cells, metric=NATS))
    assert_drawn(figure)
    assert figure.title == "Test loss over the norm"
    assert "nats a token" in norm_sentence(events, 1.0, ("replora", "lora"))
    assert "accuracy" not in RaceOptions.on("plays").task
