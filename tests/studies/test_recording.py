"""The script that records studies, on a CPU with the smallest of each part: all are made, whole, thin and once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from click.testing import CliRunner
from present import of_type, present

from replora.catalog import ASSETS
from replora.studies.events import CellFinished, Progress, StudentFinished, StudyFinished
from replora.studies.kinds import kind_of_study
from replora.studies.lines import read_study_events
from replora.studies.races.summary import summarize_study
from replora.studies.spec import TeacherStudy
from replora.studies.study import study
from scripts import record_studies
from scripts.record_studies import Planned, is_recorded, planned, thinned, untold, write

BUDGET = 1200  # seconds of a GPU, estimated
SMALL: dict[str, Any] = {
    "steps": 2,
    "batch_size": 2,
    "test_examples": 8,
    "validation_examples": 16,
    "adapted_blocks": 1,
}


def tiny(plan: Planned) -> Planned:
    """The same study with one seed, two rates, the two smallest amounts of data and two steps."""
    spec = plan.spec
    amounts = "examples" if isinstance(spec, TeacherStudy) else "fractions"
    few: dict[str, Any] = {"seeds": spec.seeds[:1], "rates": spec.all_rates[1:3]}
    few[amounts] = spec.all_amounts[:1]
    return dataclasses.replace(plan, spec=dataclasses.replace(spec, **few, **SMALL, device="cpu"))


ONE_OF_EACH = list({plan.part: plan for plan in planned()}.values())


def test_the_plan_fits_into_twenty_minutes_and_covers_what_is_claimed():
    plans = {plan.name: plan for plan in planned()}
    assert sum(plan.seconds for plan in plans.values()) < BUDGET
    assert sum(plan.kilobytes for plan in plans.values()) < 500
    assert {len(plan.spec.seeds) for plan in plans.values() if plan.part == "steps"} == {5, 10}
    grids = [plan.spec for plan in plans.values() if plan.part != "teachers"]
    assert all(spec.all_rates[:2] == (1e-5, 3e-5) for spec in grids)
    assert {plan.part for plan in ONE_OF_EACH} == {"steps", "epochs", "teachers", "loraplus", "latent", "parameters"}
    assert plans["study_digits_epochs"].spec.step_range == (4, 400)


@pytest.mark.slow
def test_every_part_is_recorded_once_whole_and_thin(tmp_path, monkeypatch):
    small = [tiny(plan) for plan in ONE_OF_EACH]
    monkeypatch.setattr(record_studies, "planned", lambda: iter(small))
    run = CliRunner()
    said = run.invoke(record_studies.main, ["--output", str(tmp_path), "--plan"])
    assert said.exit_code == 0
    assert "study_wordnet_topics_latent" in said.output
    assert not list(tmp_path.iterdir())
    made = run.invoke(record_studies.main, ["--output", str(tmp_path), "--part", "latent", "--part", "teachers"])
    assert made.exit_code == 0, made.output
    assert "python -m replora study data" in made.output
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {
        plan.name for plan in small if plan.part in ("latent", "teachers")
    }
    rest = run.invoke(record_studies.main, ["--output", str(tmp_path)])
    assert rest.exit_code == 0, rest.output
    assert "; 2 are there already." in rest.output
    for plan in small:
        events = read_study_events(tmp_path / f"{plan.name}.jsonl.gz")
        assert isinstance(events[-1], StudyFinished)
        assert thinned(events) == list(events)
        summary = present(kind_of_study(plan.spec).summarize(events))
        assert summary.finished
        assert summary.runs_done == plan.spec.count()
    again = run.invoke(record_studies.main, ["--output", str(tmp_path)])
    assert f"In all about 0 s and 0 kB; {len(small)} are there already." in again.output


@pytest.mark.slow
@pytest.mark.parametrize("part", ["latent", "teachers"])
def test_thinning_leaves_the_summary_and_what_pages_draw(part):
    plan = tiny(next(plan for plan in ONE_OF_EACH if plan.part == part))
    events = list(study(plan.spec))
    thin = thinned(events)
    before, after = (present(kind_of_study(plan.spec).summarize(each)) for each in (events, thin))
    assert before.cells == after.cells
    assert before.verdict == after.verdict
    assert not of_type(Progress, thin)
    chosen = {cell.key for cell in before.cells if cell.chosen}
    kept = {each.key for each in of_type(StudentFinished, thin) if each.sketches}
    kept |= {each.key for each in of_type(CellFinished, thin) if each.answers}
    assert kept == chosen
    assert len(kept) < len({cell.key for cell in before.cells})


def test_a_recording_that_tells_no_answers_at_a_chosen_rate_is_to_be_made_anew(tmp_path):
    plan = next(each for each in planned() if each.name == "study_digits")
    events = list(read_study_events(ASSETS / "recorded" / f"{plan.name}.jsonl.gz"))
    write(events, tmp_path / f"{plan.name}.jsonl.gz")
    assert is_recorded(plan, tmp_path)
    first = present(summarize_study(events)).main_comparisons[0]
    gone = ("lora", first.fraction, first.rates["lora"])
    other = [
        dataclasses.replace(each, answers="") if isinstance(each, CellFinished) and each.key == gone else each
        for each in events
    ]
    assert [found.fraction for found in untold(other)] == [first.fraction]
    write(other, tmp_path / f"{plan.name}.jsonl.gz")
    assert not is_recorded(plan, tmp_path)
