"""Studies on the embedded text model: the engine's part of them, the stream of events, the job, the command line."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from present import of_type, present

from replora.cli import main
from replora.config import MAX_RUNS, Method, Race, Run
from replora.events import Evaluated, Started, from_line, to_line
from replora.jobs.kinds import job_function
from replora.options import SpecError
from replora.studies import study as module
from replora.studies.answers import unpack_answers
from replora.studies.base import in_batches
from replora.studies.batch_size import MeasuredBatches, that_fit
from replora.studies.events import CellFinished, Progress, StudyFinished, StudyStarted
from replora.studies.lines import from_line as study_from_line
from replora.studies.lines import read_study_events
from replora.studies.races.summary import summarize_study
from replora.studies.spec import DataStudy, RateStudy, study_to_dict
from replora.studies.study import study
from replora.tasks import load_task, nested_subset
from replora.training.batch import VALIDATION_SEED, Batch
from replora.training.cache import Prefixes
from replora.training.graphs import Pace
from replora.training.race import race

QUICK: dict[str, Any] = {
    "task": "wordnet_topics",
    "steps": 4,
    "batch_size": 4,
    "adapted_blocks": 1,
    "mlp_width": 8,
    "test_examples": 24,
    "validation_examples": 12,
    "device": "cpu",
    "precision": "float32",
}
SWEEP = RateStudy(rates=(1e-3, 1e-2), seeds=(0, 1), data_fraction=1.0, **QUICK)
RACE = SWEEP.race(SWEEP.runs()[:2])


def cells(events):
    return [each for each in events if isinstance(each, CellFinished)]


@pytest.mark.slow
def test_validation_examples_are_held_out_of_every_run_and_evaluated():
    built = Batch(RACE, torch.device("cpu"), Prefixes(), Pace())
    labels = load_task("wordnet_topics").train.labels
    held_out = nested_subset(labels, 12, VALIDATION_SEED)
    for subset in built.subsets:
        assert len(subset) == len(labels) - 12
        assert not set(subset) & set(held_out)
    last = next(each for each in reversed(list(race(RACE))) if isinstance(each, Evaluated))
    assert all(12 * present(each) == pytest.approx(round(12 * present(each))) for each in last.validation_accuracies)
    for accuracy, answers in zip(last.accuracies, last.answers, strict=True):
        assert unpack_answers(answers, 24).mean() == pytest.approx(accuracy)
    assert from_line(to_line(last)) == last


def test_a_race_without_validation_trains_on_all_examples_and_tells_none():
    plain = dataclasses.replace(RACE, validation_examples=0, tell_answers=False, steps=1, evaluate_every=1)
    events = list(race(plain))
    assert next(each for each in events if isinstance(each, Started)).facts[0].examples == 3595
    last = next(each for each in events if isinstance(each, Evaluated))
    assert (last.validation_accuracies, last.answers) == ((), ())


def test_too_many_validation_examples_are_refused():
    with pytest.raises(SpecError, match="validation_examples must be a whole number from 0 to 3,583"):
        list(race(dataclasses.replace(RACE, validation_examples=3590)))


@pytest.mark.slow
def test_any_size_of_batch_gives_the_same_study():
    together, apart = list(study(SWEEP)), list(study(SWEEP, at_once=3))
    started = together[0]
    assert isinstance(started, StudyStarted)
    assert (started.runs, started.batches, started.test_examples) == (8, 1, 24)
    assert of_type(StudyStarted, apart)[0].batches == 3
    assert isinstance(together[-1], StudyFinished)
    for one, other in zip(cells(together), cells(apart), strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-4)
        assert one.delta_norm == pytest.approx(other.delta_norm, rel=1e-3)
        rounded = {"loss": 0, "accuracy": 0, "validation_accuracy": 0, "answers": "", "delta_norm": 0}
        assert dataclasses.replace(one, **rounded) == dataclasses.replace(other, **rounded)
    assert [(each.rate, each.method) for each in cells(together)[:4]] == [
        (1e-3, "lora"),
        (1e-3, "replora"),
        (1e-2, "lora"),
        (1e-2, "replora"),
    ]
    shares = [each.share for each in apart if isinstance(each, Progress)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    summary = present(summarize_study(together))
    assert summary.finished
    assert {each.n for each in summary.cells} == {2}


@pytest.mark.slow
def test_equal_epochs_train_each_fraction_for_its_share_of_the_steps():
    spec = DataStudy(
        fractions=(0.5, 1.0), methods=("replora",), seeds=(0,), learning_rate=1e-3, **QUICK, equal="epochs"
    )
    events = list(study(spec))
    half, whole = cells(events)
    started = of_type(StudyStarted, events)[0]
    assert (started.runs, started.batches) == (2, 2)
    alone = dataclasses.replace(spec, fractions=(0.5,), steps=spec.steps // 2, equal="steps")
    assert half == cells(study(alone))[0]
    assert whole == cells(study(dataclasses.replace(spec, fractions=(1.0,), equal="steps")))[0]
    shares = [each.share for each in events if isinstance(each, Progress)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    summary = present(summarize_study(events))
    assert [item.name for item in summary.fairness][3] == "equal epochs"
    assert "2 with 50 % of the data and 4 with 100 % of the data" in summary.fairness[3].text


@pytest.mark.slow
def test_a_cell_is_the_race_it_stands_for():
    found = cells(study(SWEEP))[1]
    run = Run(method=SWEEP.method("replora"), learning_rate=1e-3, data_fraction=1.0)
    assert run.method == Method(name="replora", mlp_width=8)
    alone = Race(runs=(run,), evaluate_every=4, validation_examples=12, **{
        name: value for name, value in QUICK.items() if name not in ("mlp_width", "validation_examples")
    })  # fmt: skip
    last = next(each for each in reversed(list(race(alone))) if isinstance(each, Evaluated))
    assert found.loss == pytest.approx(last.losses[0], abs=1e-4)
    assert present(found.delta_norm) == pytest.approx(present(last.delta_norms[0]), rel=1e-3)
    assert (found.seed, found.examples) == (0, 3583)


@pytest.mark.slow
def test_a_diverged_run_is_told_as_such():
    wild = RateStudy(rates=(1e-3, 1.0), seeds=(0,), rank=8, alpha=4096, activation="identity", **QUICK)
    found = cells(study(dataclasses.replace(wild, steps=30)))
    lost = [each for each in found if each.diverged]
    assert ("replora", 1.0) in {(each.method, each.rate) for each in lost}
    assert {(each.accuracy, each.loss, each.validation_accuracy, each.answers, each.delta_norm) for each in lost} == {
        (None, None, None, "", None)
    }


@pytest.mark.slow
def test_a_batch_too_large_for_the_device_is_halved(monkeypatch):
    sizes = []

    def small_device(spec, prefixes, snapshots):
        sizes.append(len(spec.runs))
        if len(spec.runs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return race(spec, prefixes=prefixes)

    monkeypatch.setattr("replora.studies.races.batches.race", small_device)
    quick = dataclasses.replace(SWEEP, steps=1, seeds=(0,))
    events = list(study(quick))
    assert sizes == [4, 2, 2]
    assert len(cells(events)) == 4
    assert sum(isinstance(each, StudyStarted) for each in events) == 1

    def no_device(spec, prefixes, snapshots):
        raise torch.OutOfMemoryError("none")

    monkeypatch.setattr("replora.studies.races.batches.race", no_device)
    with pytest.raises(torch.OutOfMemoryError):
        list(study(quick))


def test_the_clock_stands_while_nobody_asks(monkeypatch):
    hours = 0.0
    clock = types.SimpleNamespace(perf_counter=lambda: time.perf_counter() + 3600 * hours)
    monkeypatch.setattr(module, "time", clock)
    stream = study(dataclasses.replace(SWEEP, steps=1, seeds=(0,)))
    next(stream)
    hours = 1.0
    assert of_type(StudyFinished, stream)[0].seconds < 3600


def test_the_job_speaks_in_lines(tmp_path):
    spec = study_to_dict(dataclasses.replace(SWEEP, steps=1, seeds=(0,)))
    lines = list(job_function("study")(spec, lambda: None, tmp_path))
    events = [study_from_line(line) for line in lines]
    assert isinstance(events[0], StudyStarted)
    assert len(cells(events)) == 4
    with pytest.raises(SpecError, match="study must name"):
        next(job_function("study")({}, lambda: None, tmp_path))


def test_specs_events_and_summaries_leave_torch_out():
    code = (
        "import sys, replora.studies.races.text, replora.studies.teachers.text, replora.cli.study; "
        "print(sorted({'torch', 'timm', 'transformers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def command(*arguments: str) -> Result:
    quick = [part for name, value in QUICK.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return CliRunner().invoke(main, ["study", arguments[0], *quick, *arguments[1:]])


@pytest.mark.slow
def test_json_is_one_object_on_the_last_line_and_a_recording_gives_the_same(tmp_path: Path):
    recording, table = tmp_path / "study.jsonl", tmp_path / "study.csv"
    arguments = ["--rates", "1e-3,1e-2", "--seeds", "0,1,2", "--events", str(recording), "--csv", str(table), "--json"]
    result = command("rate", *arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["grid"] == {
        "methods": ["lora", "replora"],
        "fractions": [0.1],
        "rates": [1e-3, 1e-2],
        "seeds": [0, 1, 2],
    }
    assert {"mean", "interval", "n", "diverged"} <= set(found["cells"][0])
    assert found["cells"][0]["n"] == 3
    assert found["paired_differences"][-1]["protocol"] == "tuned"
    assert found["runs_per_second"] == pytest.approx(12 / found["seconds"])
    assert found["verdict"].startswith("With 10 % of the data and rates tuned for each")
    assert json.loads(json.dumps(present(summarize_study(read_study_events(recording))).to_dict())) == found
    assert len(list(csv.DictReader(table.open()))) == 12


@pytest.mark.slow
def test_a_study_of_one_projection_and_deep_mlps(tmp_path: Path):
    recording = tmp_path / "study.jsonl"
    arguments = ["--rates", "1e-3", "--seeds", "0", "--projections", "query", "--mlp-depth", "2"]
    result = command("rate", *arguments, "--events", str(recording), "--json")
    assert result.exit_code == 0, result.output
    started = next(iter(read_study_events(recording)))
    assert isinstance(started, StudyStarted)
    assert (started.spec.projections, started.spec.mlp_depth) == (("query",), 2)
    assert {each.deployed_parameters for each in started.methods} == {started.spec.rank * (384 + 384)}  # A and B


@pytest.mark.slow
def test_people_get_a_table_the_fairness_list_and_a_verdict():
    result = command("data", "--fractions", "0.1,1.0", "--seeds", "0")
    assert result.exit_code == 0, result.output
    for expected in (
        "wordnet_topics on minilm_l3",
        "with one seed: an anecdote",
        "rates tuned per method",
        "told from luck",
    ):
        assert expected in result.stdout
    tuned = command("data", "--fractions", "1.0", "--seeds", "0", "--tuned", "--rates", "1e-3,1e-2", "--json")
    assert json.loads(tuned.stdout.splitlines()[-1])["spec"]["tuned"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rate", "--rates", "2"], "rates must be a number from 1e-07 to 1, got 2.0."),
        (["data", "--task", "cats"], "task must be one of digits,"),
        (["rate", "--rank", "400"], "rank must be a whole number from 1 to 384"),
        (["data", "--events", "/nowhere/at/all.jsonl"], "No such file or directory"),
    ],
)
def test_bad_input_is_one_sentence_and_no_traceback(arguments, sentence):
    result = command(*arguments)
    assert result.exit_code != 0
    assert sentence in result.output
    assert isinstance(result.exception, SystemExit)


def test_data_study_defaults_are_those_of_the_page():
    assert DataStudy().fractions == (0.01, 0.1, 1.0)
    assert len(DataStudy().runs()) == 18


@pytest.mark.slow
def test_later_batches_hold_what_the_first_was_measured_to_take(monkeypatch):
    sizes = []

    class Kind:
        runs = range(20)

        def batches(self, at_once):
            return in_batches(self.runs, at_once)

        def steps_of(self, runs):
            return 4

        def train(self, runs):
            sizes.append(len(runs))
            yield from [CellFinished("lora", 1.0, 1e-3, run, 4, 0.5, 1.0, 0.5, diverged=False) for run in runs]

    class Measured:
        def __init__(self, device):
            self.begun = 0

        def begin(self):
            self.begun += 1

        def at_once(self, runs):
            return that_fit(runs, taken=400, free=1250) if self.begun == len(sizes) else None

    monkeypatch.setattr(module, "_kind", lambda *arguments: Kind())
    monkeypatch.setattr(module, "MeasuredBatches", Measured)
    monkeypatch.setattr(module, "runs_at_once", lambda *arguments: 4)
    told = [each for each in study(SWEEP) if isinstance(each, CellFinished)]
    assert sizes == [4, 8, 8]
    assert [each.seed for each in told] == list(range(20))
    assert MeasuredBatches(torch.device("cpu")).at_once(4) is None
    assert (that_fit(1, 100, 10), that_fit(1, 1, 10**9)) == (1, MAX_RUNS)
