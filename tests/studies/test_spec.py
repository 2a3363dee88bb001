"""Study specs: the grid they mean, their batches, URL and JSON, and how memory decides the size of a batch."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from replora.catalog import ASSETS
from replora.config import Method, Training
from replora.options import SpecError, format_value, kind_of, options, parse_value
from replora.result_card.hashing import spec_hash
from replora.studies import batch_room
from replora.studies import batch_size as memory
from replora.studies.events import StudyStarted
from replora.studies.kinds import KINDS, study_from_dict
from replora.studies.lines import read_study_events
from replora.studies.spec import DataStudy, RateStudy, TeacherStudy, command, study_to_dict
from scripts.record_studies import is_recorded, planned, thinned

TUNED = DataStudy(
    task="digits", methods=("head", "lora", "replora"), fractions=(1.0, 0.1), tuned=True, rates=(1e-2, 1e-3), seeds=(4,)
)


@pytest.mark.parametrize("kind", [each.spec for each in KINDS.values()])
def test_every_option_has_help_and_its_default_parses_back(kind):
    default = kind()
    for name, facts in options(default).items():
        value = getattr(default, name)
        assert facts.help
        assert parse_value(name, format_value(value), kind_of(kind, name), facts) == value
    training = {each for each in options(Training) if each not in ("evaluate_every", "choice_score")}
    wanted = training | {each for each in options(Method) if each != "name"}
    if kind is TeacherStudy:  # without head and choices, and with a sharing of each student's own
        wanted -= {"head_start", "head_learning_rate", "choice_score", "sharing"}
    assert wanted <= set(options(kind))


def test_the_grid_is_every_method_fraction_rate_and_seed_and_the_head_alone_has_one_rate():
    assert TUNED.fractions == (0.1, 1.0)
    assert TUNED.rates == (1e-3, 1e-2)
    found = [(run.method.name, run.data_fraction, run.learning_rate) for run in TUNED.runs()]
    one_fraction = [("head", 1e-3), ("lora", 1e-3), ("replora", 1e-3), ("lora", 1e-2), ("replora", 1e-2)]
    assert found == [(method, fraction, rate) for fraction in (0.1, 1.0) for method, rate in one_fraction]
    plain = dataclasses.replace(TUNED, tuned=False, learning_rate=3e-3)
    assert {run.learning_rate for run in plain.runs()} == {3e-3}
    sweep = RateStudy(data_fraction=0.3, seeds=(0, 1))
    assert len(sweep.runs()) == 2 * 2 * 4
    assert [run.seed for run in sweep.runs()] == [0] * 8 + [1] * 8
    assert sweep.runs()[0].method == Method(name="lora")


def test_equal_epochs_give_each_fraction_its_share_of_the_steps_rounded_and_one_at_least():
    spec = DataStudy(task="digits", fractions=(0.01, 0.03, 0.1, 0.3, 1.0), seeds=(0, 1), steps=50, equal="epochs")
    assert [spec.steps_with(fraction) for fraction in spec.fractions] == [1, 2, 5, 15, 50]  # 0.5 and 1.5 are rounded
    assert (spec.step_range, spec.steps_in_words) == ((1, 50), "1 to 50 steps")
    batches = spec.batches(3)
    assert [len(batch) for batch in batches] == [2, 2] * 5
    assert sorted(map(str, (run for batch in batches for run in batch))) == sorted(map(str, spec.runs()))
    assert [spec.race(batch).steps for batch in batches] == [1, 1, 2, 2, 5, 5, 15, 15, 50, 50]
    with pytest.raises(ValueError, match="Runs of \\[1, 50\\] steps are no batch"):
        spec.race((spec.runs()[0], spec.runs()[-1]))
    assert "--equal epochs" in command(spec)
    assert study_from_dict(study_to_dict(spec)) == spec
    assert DataStudy.from_query(spec.to_query()) == (spec, [])
    assert spec_hash(study_to_dict(spec)) != spec_hash(study_to_dict(dataclasses.replace(spec, equal="steps")))
    assert "equal" not in study_to_dict(dataclasses.replace(spec, equal="steps"))


def test_a_study_recorded_before_there_were_such_options_keeps_its_hash():
    recorded = DataStudy(
        task="digits",
        methods=("head", "lora", "replora"),
        seeds=(0, 1, 2, 3, 4),
        fractions=(0.01, 0.03, 0.1, 0.3, 1.0),
        steps=400,
        batch_size=16,
        test_examples=1000,
        validation_examples=200,
        tuned=True,
        rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    )
    assert spec_hash(study_to_dict(recorded)) == "a2137445f955"


@pytest.mark.parametrize(("at_once", "sizes"), [(1000, [10]), (10, [10]), (9, [5, 5]), (4, [3, 4, 3]), (1, [1] * 10)])
def test_batches_are_few_and_even_and_hold_the_whole_grid(at_once, sizes):
    races = [TUNED.race(batch) for batch in TUNED.batches(at_once)]
    assert sorted(len(race.runs) for race in races) == sorted(sizes)
    assert tuple(run for race in races for run in race.runs) == TUNED.runs()
    race = races[0]
    assert (race.task, race.evaluate_every, race.validation_examples) == ("digits", TUNED.steps, 100)
    assert race.tell_answers


def test_specs_survive_json_and_links():
    for spec in (TUNED, RateStudy(rank=8, rates=(1e-3, 3e-3))):
        assert study_from_dict(study_to_dict(spec)) == spec
        assert type(spec).from_query(spec.to_query()) == (spec, [])
    assert RateStudy().to_query() == {}
    found, problems = DataStudy.from_query({"fractions": "2", "rank": "8", "validation_examples": "0", "tuned": "true"})
    assert (found.rank, found.fractions) == (8, DataStudy().fractions)
    assert (
        problems
        == [
            "fractions must be a number from 0.001 to 1, got 2.0. The default is used instead.",
            "validation_examples must be at least 1 for rates to be chosen by, got 0. The default is used instead.",
        ]
        or found.validation_examples == 0
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "study must name one of data, rate."),
        ({"study": "other"}, "study must name one of data, rate."),
        ({"study": "rate", "tuned": True}, "RateStudy has no field 'tuned'"),
        ({"study": "rate", "validation_examples": 0}, "validation_examples must be at least 1"),
        ({"study": "data", "seeds": [1, 1]}, "seeds must not repeat a value"),
    ],
)
def test_bad_specs_are_one_sentence(values, sentence):
    with pytest.raises(SpecError, match=sentence):
        study_from_dict(values)


def test_more_memory_more_runs_at_once(monkeypatch):
    spec, cpu = RateStudy(), torch.device("cpu")
    one = spec.run_bytes()
    monkeypatch.setattr(memory, "free_memory", lambda: 12 * one + 1)
    assert memory.runs_at_once(spec, cpu) == 6
    assert memory.runs_at_once(dataclasses.replace(spec, batch_size=32), cpu) < 5
    monkeypatch.setattr(memory, "free_memory", lambda: 0)
    assert memory.runs_at_once(spec, cpu) == 1
    monkeypatch.setattr(memory, "free_memory", lambda: 2**50)
    assert memory.runs_at_once(spec, cpu) == batch_room.CPU_RUNS < batch_room.CPU_LIMIT // one
    assert memory.runs_at_once(dataclasses.replace(spec, batch_size=1024), cpu) < batch_room.CPU_RUNS
    assert dataclasses.replace(spec, backbone="hf:some/model").run_bytes() > one
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", str((spec.fixed_bytes() + 3 * one) // batch_room.MEGABYTE + 1))
    assert memory.runs_at_once(spec, cpu) == 3


def test_the_command_line_of_a_study_says_what_differs_from_the_defaults():
    assert command(DataStudy()) == "python -m replora study data"
    words = command(TUNED).split()
    assert words[:5] == ["python", "-m", "replora", "study", "data"]
    assert "--tuned" in words
    assert words[words.index("--fractions") + 1] == "0.1,1"
    assert "--teacher untied" in command(TeacherStudy(teacher="untied"))


@pytest.mark.parametrize("spec", [TUNED, DataStudy(), RateStudy(methods=("head", "lora")), TeacherStudy()])
def test_runs_are_counted_without_being_made(spec):
    assert spec.count() == len(spec.runs())


def test_a_study_of_too_many_runs_is_one_sentence():
    with pytest.raises(SpecError, match="A study must have at most 5,000 runs, got 6,000; choose fewer values"):
        DataStudy(seeds=tuple(range(1000)))


OLDER: set[str] = set()  # a name stands here as long as its study is not recorded by the present plan


@pytest.mark.parametrize("plan", list(planned()), ids=lambda plan: plan.name)
def test_the_recorded_studies_are_those_that_the_script_records(plan):
    path = ASSETS / "recorded" / f"{plan.name}.jsonl.gz"
    if path.is_file():
        events = read_study_events(path)
        first = events[0]
        assert isinstance(first, StudyStarted)
        assert first.device.startswith("NVIDIA")
        assert thinned(events) == list(events)
    assert is_recorded(plan, ASSETS / "recorded") != (plan.name in OLDER)
