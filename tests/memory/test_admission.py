"""What a job is said to take, and what is refused before it starts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replora.cli import main
from replora.config import Race, RaceOptions, Run
from replora.jobs.engine import JobRefused
from replora.jobs.job_record import check_job
from replora.memory.admission import check_race
from replora.memory.estimate import MEGABYTE, race_bytes
from replora.memory.machine import _containers, all_jobs_bytes, default_slots, free_memory, job_bytes, memory_there
from replora.options import SpecError
from replora.studies.spec import DataStudy, RateStudy, TeacherStudy, study_to_dict

SENTENCE = re.compile(
    r"This (race|study) would take about [\d.]+ GB of memory, and a job may take [\d.]+ GB here\. "
    r"Lower (.+ from .+ to .+)\."
)
HEAVY = RaceOptions(rank=384, mlp_width=4096, seeds=tuple(range(16)))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that gives a job 2 GB."""
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", "2000")


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 17}, {"adapted_blocks": 4}, {"rank": 5}, {"mlp_width": 65}, {"seeds": (0, 1)},
        {"data_fraction": 0.2}, {"test_examples": 400}, {"mlp_depth": 2}, {"sharing": "separate"},
        {"backbone": "hf:bert-base-uncased"}, {"backbone": "local:somewhere"}, {"methods": ("head", "lora", "replora")},
    ],
    ids=str,
)  # fmt: skip
def test_more_of_anything_takes_more(change: Mapping[str, Any]) -> None:
    options = RaceOptions()
    assert race_bytes(dataclasses.replace(options, **change).race()) > race_bytes(options.race())


def test_what_every_form_opens_with_fits_into_the_least_that_a_job_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replora.memory.machine.memory_there", lambda: 0)
    for task in ("digits", "emoji", "fashion", "movie_sentiment", "wordnet_topics"):
        check_race(RaceOptions(task=task, seeds=(0, 1)).race())
    for spec in (DataStudy(), RateStudy(), TeacherStudy()):
        spec.check_memory()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "options",
    [
        HEAVY,
        RaceOptions(batch_size=1024, seeds=tuple(range(16))),
        RaceOptions(task="fashion", data_fraction=1.0, seeds=(0, 1, 2), batch_size=256),
    ],
)
def test_what_is_named_to_be_lowered_is_enough(options: RaceOptions) -> None:
    race = options.race()
    with pytest.raises(SpecError) as caught:
        check_race(race)
    found = SENTENCE.fullmatch(str(caught.value))
    assert found, caught.value
    for way in found[2].split(" or "):
        check_race(lowered(race, way))


@pytest.mark.usefixtures("small")
def test_where_one_thing_is_not_enough_all_that_are_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    race = RaceOptions(batch_size=1024, rank=384, mlp_width=4096, mlp_depth=3, sharing="separate").race()
    with pytest.raises(SpecError) as caught:
        check_race(race)
    found = SENTENCE.fullmatch(str(caught.value))
    assert found, caught.value
    ways = found[2].split(" and ")
    assert len(ways) > 1
    for way in ways:
        with pytest.raises(SpecError):
            check_race(lowered(race, way))
    for way in ways:
        race = lowered(race, way)
    check_race(race)
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", "500")
    with pytest.raises(SpecError, match=r"a job may take 0\.5 GB here\. Take a smaller backbone or task\."):
        check_race(RaceOptions().race())


def lowered(race: Race, way: str) -> Race:
    """The race as a way out has it: 'batch_size from 1,024 to 380'."""
    name, _, values = way.replace(",", "").replace(" %", "").partition(" from ")
    number = int(values.split(" to ")[1])
    if name == "the number of runs (methods times seeds)":
        return dataclasses.replace(race, runs=race.runs[:number])
    plain: dict[str, Any] = race.to_dict()
    if name in plain:
        return Race.from_dict({**plain, name: number})
    for run in plain["runs"]:
        if name == "data_fraction":
            run[name] = number / 100
        else:
            run["method"][name] = number
    return Race.from_dict(plain)


def test_a_race_tells_no_more_than_a_server_can_keep() -> None:
    check_race(RaceOptions(steps=100_000, seeds=tuple(range(5))).race())
    with pytest.raises(SpecError, match=r"steps must be at most 31,250 for 32 runs, .* got 100,000\."):
        check_race(RaceOptions(steps=100_000, seeds=tuple(range(16))).race())


@pytest.mark.usefixtures("small")
def test_a_study_needs_no_more_than_one_run_at_a_time() -> None:
    DataStudy(seeds=tuple(range(100))).check_memory()
    with pytest.raises(SpecError, match=r"This study would take about .* Lower batch_size from 1,024 to \d+\."):
        DataStudy(batch_size=1024).check_memory()


@pytest.mark.usefixtures("small")
def test_the_command_line_says_so_before_it_loads_anything() -> None:
    result = CliRunner().invoke(main, ["race", "--batch-size", "1024", "--seeds", ",".join(map(str, range(16)))])
    assert result.exit_code == 1
    assert SENTENCE.search(result.output)
    result = CliRunner().invoke(main, ["study", "data", "--batch-size", "1024", "--mlp-width", "4096"])
    assert result.exit_code == 1
    assert SENTENCE.search(result.output)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("kind", "spec", "sentence"),
    [
        ("race", HEAVY.race().to_dict(), "This race would take about"),
        ("study", study_to_dict(DataStudy(batch_size=1024, mlp_width=4096)), "This study would take about"),
        ("race", {"runs": [Run().to_dict()] * 33}, "runs must hold from 1 to 32 runs, got 33."),
        ("race", {"task": "own:" + 22 * "A"}, "are no longer kept here"),
        ("study", {"study": ["data"]}, "study must name one of"),
    ],
)  # fmt: skip
def test_an_engine_asks_before_it_takes_a_job(kind: str, spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(JobRefused, match=re.escape(sentence)):
        check_job(kind, spec)


def test_the_limit_is_half_the_memory_shared_among_the_slots_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replora.memory.machine.memory_there", lambda: 16_000 * MEGABYTE)
    monkeypatch.setenv("REPLORA_SLOTS", "1")
    assert job_bytes() == 8000 * MEGABYTE
    monkeypatch.setenv("REPLORA_SLOTS", "4")
    assert job_bytes() == 2000 * MEGABYTE
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", "3000")
    assert job_bytes() == 3000 * MEGABYTE
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", "lots")
    with pytest.raises(SpecError, match="REPLORA_MAX_JOB_MB must be a whole number from 500 to"):
        job_bytes()


@pytest.mark.parametrize(
    ("cpus", "accelerator", "slots"), [(2, False, 2), (64, False, 2), (1.5, False, 1), (2, True, 1)]
)
def test_two_jobs_run_side_by_side_where_there_are_two_processors_and_no_accelerator(
    monkeypatch: pytest.MonkeyPatch, cpus: float, accelerator: bool, slots: int
) -> None:
    monkeypatch.delenv("REPLORA_SLOTS", raising=False)
    monkeypatch.setattr("replora.memory.machine.usable_cpus", lambda: cpus)
    monkeypatch.setattr("replora.memory.machine.memory_there", lambda: 16_000 * MEGABYTE)
    monkeypatch.setattr("replora.memory.machine.accelerator_in_sight", lambda: accelerator)
    assert default_slots() == slots
    assert job_bytes() == all_jobs_bytes() == 8000 * MEGABYTE
    monkeypatch.setenv("REPLORA_SLOTS", "4")
    assert (job_bytes(), all_jobs_bytes()) == (2000 * MEGABYTE, 8000 * MEGABYTE)


def test_a_container_counts_where_it_has_a_limit(tmp_path: Path) -> None:
    assert 2**20 < free_memory() <= memory_there()
    assert _containers(tmp_path) == []
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert _containers(tmp_path) == []
    (tmp_path / "memory.max").write_text("5000\n")
    assert _containers(tmp_path) == [(5000, 1000)]
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("4000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("500\n")
    assert _containers(tmp_path) == [(5000, 1000), (4000, 500)]
