"""The parts of the job engine by themselves: store, control, host settings, share of the machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from replora.jobs.engine import Action, JobState, JobStatus, UnknownJob
from replora.jobs.kinds import ANSWERER, KINDS, job_function
from replora.jobs.messages import Control, HostSettings, decode, encode
from replora.jobs.processes.job import own_sentence, report
from replora.jobs.storage.history import RESTARTED
from replora.jobs.storage.store import Store
from replora.memory.machine import usable_cpus
from replora.settings import data_folder

JOB = "abc-DEF_123"


def stored(folder: Path, state: JobState = JobState.FINISHED, lines: int = 3) -> Store:
    store = Store(folder)
    for number in range(lines):
        store.files.append(JOB, json.dumps({"event": "step", "step": number}))
    status = JobStatus(job=JOB, kind="race", state=state, spec={"task": "digits"}, events=lines)
    store.save(status)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir()
    return tmp_path


def test_store_gives_back_what_it_took(folder: Path) -> None:
    status, lines = stored(folder).load(JOB)
    assert status == JobStatus(job=JOB, kind="race", state=JobState.FINISHED, spec={"task": "digits"}, events=3)
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2]
    assert sorted(each.name for each in (folder / "jobs").iterdir()) == [f"{JOB}.jsonl"]


def test_store_makes_its_folder_with_the_first_job_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    with pytest.raises(UnknownJob):
        store.load(JOB)
    store.save(JobStatus(job=JOB, kind="race", state=JobState.QUEUED, spec={}))
    assert (tmp_path / "a" / "b" / "history.sqlite").exists()


def test_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPLORA_DATA", raising=False)
    assert data_folder() == tmp_path / ".replora"
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "elsewhere"))
    assert data_folder() == tmp_path / "elsewhere"


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.PAUSED])
def test_a_job_that_ran_has_failed(folder: Path, state: JobState) -> None:
    status, lines = stored(folder, state).load(JOB)
    assert (status.state, status.message, len(lines)) == (JobState.FAILED, RESTARTED, 3)


def test_a_torn_last_line_is_dropped(folder: Path) -> None:
    store = stored(folder, JobState.RUNNING)
    with (folder / "jobs" / f"{JOB}.jsonl").open("a") as lines:
        lines.write('{"event": "st')
    status, lines_read = store.load(JOB)
    assert (status.message, len(lines_read)) == (RESTARTED, 3)


def test_missing_lines_are_noticed(folder: Path) -> None:
    store = stored(folder)
    (folder / "jobs" / f"{JOB}.jsonl").unlink()
    status, lines = store.load(JOB)
    assert (status.state, status.notice) == (JobState.FINISHED, "Of the 3 events of this run only 0 are stored.")
    assert lines == []


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"not JSON\n", b"\n", b"\0\0\0\n"])
def test_damaged_lines(folder: Path, damage: bytes) -> None:
    store = stored(folder)
    with (folder / "jobs" / f"{JOB}.jsonl").open("ab") as lines:
        lines.write(damage + b'{"event": "step"}\n')
    status, kept = store.load(JOB)
    assert status.state is JobState.FAILED
    assert status.message == "The stored events of this run are damaged: line 4 cannot be read."
    assert len(kept) == 3


def test_files_that_cannot_be_opened(folder: Path) -> None:
    store = stored(folder)
    (folder / "jobs" / f"{JOB}.jsonl").unlink()
    (folder / "jobs" / f"{JOB}.jsonl").mkdir()
    assert store.load(JOB)[0].message == "The events of this run cannot be read: Is a directory."


@pytest.mark.parametrize("job", ["../../etc/passwd", "/etc/passwd", "short", "a" * 65, "abcdefgh\n", "äöüäöüäöü", 7])
def test_no_path_is_made_from_a_bad_id(folder: Path, job: str) -> None:
    store = Store(folder)
    with pytest.raises(UnknownJob):
        store.load(job)
    with pytest.raises(UnknownJob):
        store.files.append(job, "{}")
    with pytest.raises(UnknownJob):
        store.save(JobStatus(job=job, kind="race", state=JobState.FINISHED, spec={}))
    assert list((folder / "jobs").iterdir()) == []


def test_controls_merge() -> None:
    control = Control()
    assert not control
    for action in (Action.PAUSE, Action.STEP, Action.STEP):
        control.add(action)
    control.add(Action.LEARNING_RATE, 0.5)
    control.add(Action.LEARNING_RATE, 0.25)
    assert control
    assert control.take() == {"mode": "step", "steps": 2, "rate": 0.25}
    assert not control
    for action in (Action.STEP, Action.RESUME):
        control.add(action)
    assert control.take() == {"mode": "resume", "steps": 0, "rate": None}


def test_messages_and_settings_round_trip() -> None:
    assert decode(encode(job="x", line="ä\ud800\n")) == {"job": "x", "line": "ä\ud800\n"}
    with pytest.raises(ValueError, match="JSON"):
        encode(rate=float("nan"))
    settings = HostSettings(
        connection=3, kinds=KINDS, answerer=ANSWERER, preload=("torch",), threads=None, start_method=None
    )
    assert HostSettings.from_json(settings.to_json()).kinds == KINDS


def test_sentences() -> None:
    assert own_sentence(UnknownJob("No run 'x' is known here.")) == "No run 'x' is known here."
    assert own_sentence(UnknownJob()) is None
    assert own_sentence(ValueError("x")) is None
    assert report(MemoryError()) == "The job failed: MemoryError."
    assert report(ValueError("a\n b.")) == "The job failed: ValueError: a b."


def test_job_function_of_given_kinds() -> None:
    assert vars(json)["dumps"] is job_function("dump", {"dump": "json:dumps"})


def test_share_of_the_machine(tmp_path: Path) -> None:
    everything = usable_cpus(tmp_path)
    assert 1 <= everything <= (os.cpu_count() or 1)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cpus(tmp_path) == 0.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cpus(tmp_path) == everything
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("25000\n")
    assert usable_cpus(tmp_path) == 0.25
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cpus(tmp_path) == everything
