"""The room of runs on the disk: what goes first, what stays, and that it is said; and a disk that is full before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import wait_for

from replora.config import RaceOptions
from replora.jobs.engine import JobState, JobStatus
from replora.jobs.local import PRELOAD, LocalEngine
from replora.jobs.storage.budget import ALL_GONE, SNAPSHOTS_GONE, Budget
from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.files import size_of
from replora.jobs.storage.rows import RunRow
from replora.jobs.storage.store import Store
from replora.options import SpecError

Engines = Callable[..., LocalEngine]
NAMES = [f"job_number_{number}" for number in range(6)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Six runs of 3 MB each, the second of which is on, where there is room for 10 MB."""
    monkeypatch.setenv("REPLORA_MAX_DATA_MB", "10")
    made = Store(tmp_path / "data")
    for number, job in enumerate(NAMES):
        made.save(JobStatus(job, "race", JobState.RUNNING if number == 1 else JobState.FINISHED, {}, events=1))
        made.files.append(job, "{}" + " " * 2**20)
        made.files.folder(job).mkdir()
        with (made.files.folder(job) / "step").open("wb") as file:
            file.truncate(2 * 2**20)
    return made


def left(store: Store) -> dict[str, tuple[bool, bool]]:
    """Of every job, whether its lines and its snapshots are there."""
    return {job: (bool(store.files.lines(job)[0]), store.files.folder(job).is_dir()) for job in NAMES}


def hold(store: Store) -> list[str]:
    gone = list(Budget(store.data).hold())
    assert size_of(store.data) <= 10 * 2**20
    return gone


def test_snapshots_of_the_oldest_go_first_and_never_those_of_a_job_that_is_on(store: Store) -> None:
    assert hold(store) == [NAMES[each] for each in (0, 2, 3, 4, 5)]
    assert left(store) == {job: (True, job == NAMES[1]) for job in NAMES}
    assert store.history.notices(NAMES) == {job: SNAPSHOTS_GONE for job in NAMES if job != NAMES[1]}
    status, lines = store.load(NAMES[0])
    assert (status.state, status.notice, len(lines)) == (JobState.FINISHED, SNAPSHOTS_GONE, 1)
    assert hold(store) == []


def test_then_their_lines_go_and_the_row_stays(store: Store) -> None:
    hold(store)
    with (store.files.folder(NAMES[1]) / "more").open("wb") as file:
        file.truncate(4 * 2**20)
    assert hold(store) == [NAMES[0], NAMES[2], NAMES[3]]
    status, lines = store.load(NAMES[0])
    assert (status.state, status.notice, lines) == (JobState.FINISHED, ALL_GONE, [])
    assert store.load(NAMES[5])[0].notice == SNAPSHOTS_GONE
    assert store.history.count() == len(NAMES)


def test_what_is_kept_loses_nothing_until_it_is_let_go(store: Store) -> None:
    budget = Budget(store.data)
    budget.keep(NAMES[:1])
    assert NAMES[0] not in hold(store)
    assert left(store)[NAMES[0]] == (True, True)
    budget.let_go(NAMES[:1])
    with (store.files.folder(NAMES[1]) / "more").open("wb") as file:
        file.truncate(2 * 2**20)
    assert NAMES[0] in hold(store)


def test_what_is_kept_takes_at_most_half_of_the_room(store: Store) -> None:
    budget = Budget(store.data)
    with pytest.raises(
        HistoryError, match=r"may take 5 MB, half of .*; with these they would take 6 MB\. Stop keeping"
    ):
        budget.keep(NAMES[:2])
    assert store.history.pinned() == set()
    budget.keep(NAMES[:1])
    with pytest.raises(HistoryError, match="they would take 6 MB"):
        budget.keep(NAMES[1:2])


def test_one_visitor_keeps_no_more_than_a_share_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_DATA_MB", "40")
    for number, job in enumerate(NAMES):
        visitor = "somebody" if number < 4 else "somebody else"
        store.save(JobStatus(job, "race", JobState.FINISHED, {}, events=1, visitor=visitor))
    budget = Budget(store.data, share=0.4)
    budget.keep(NAMES[:2])
    with pytest.raises(
        HistoryError, match=r"one visitor keeps may take 8 MB here; with these yours would take 9 MB\. Stop keeping"
    ):
        budget.keep(NAMES[2:3])
    budget.keep(NAMES[4:])
    budget.let_go(NAMES[:1])
    budget.keep(NAMES[2:3])
    assert store.history.pinned() == {NAMES[each] for each in (1, 2, 4, 5)}


def test_a_state_that_is_stored_again_stays_kept(store: Store) -> None:
    Budget(store.data).keep(NAMES[1:2])
    store.save(JobStatus(NAMES[1], "race", JobState.FINISHED, {}, events=1))
    assert store.history.pinned() == {NAMES[1]}


def test_files_that_no_row_names_go_first_once_they_are_old(store: Store) -> None:
    for job, age in (("lost_long_ago", 2e5), ("lost_just_now", 0.0)):
        store.files.append(job, " " * 2**20)
        path = store.data / "jobs" / f"{job}.jsonl"
        os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
    hold(store)
    assert not (store.data / "jobs" / "lost_long_ago.jsonl").exists()
    assert (store.data / "jobs" / "lost_just_now.jsonl").exists()


def test_a_row_that_no_job_has_written_is_passed_by(store: Store) -> None:
    store.history.record(RunRow(id="../..", kind="race", state=JobState.FINISHED, created="2000-01-01T00:00:00Z"))
    assert "../.." not in hold(store)
    Budget(store.data).keep(["../.."])


def test_a_setting_that_cannot_be_read_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_DATA_MB", "much")
    with pytest.raises(SpecError, match="REPLORA_MAX_DATA_MB"):
        Budget(store.data).hold()


def test_the_engine_holds_the_budget_job_after_job(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLORA_MAX_DATA_MB", "20")
    engine, store = engines(), Store(tmp_path / "data")
    jobs = []
    for number in range(8):
        jobs.append(engine.submit("leaves", {"megabytes": 4}))
        wait_for(lambda: jobs[-1] in store.history.removable())  # its row says that it has ended
        if number == 0:
            Budget(store.data).keep(jobs)
    wait_for(lambda: size_of(store.data) <= 20 * 2**20)
    assert engine.folder(jobs[0]).is_dir()
    assert engine.folder(jobs[-1]).is_dir()
    wait_for(lambda: engine.status(jobs[1]).notice == SNAPSHOTS_GONE)
    assert len(engine.events(jobs[1])) == 2
    assert engine.status(jobs[-1]).notice == engine.status(jobs[0]).notice == ""


def test_a_wrong_setting_of_the_server_ends_no_job(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_DATA_MB", "-1")
    job = engine.submit("count", {"steps": 1})
    wait_for(lambda: "REPLORA_MAX_DATA_MB must be" in engine.status(job).notice)
    later = engine.submit("count", {"steps": 1})
    wait_for(lambda: engine.status(later).state is JobState.FINISHED)


def test_what_a_job_warns_of_is_its_notice_here_and_after_a_restart(engines: Engines, tmp_path: Path) -> None:
    engine = engines()
    job = engine.submit("leaves", {"megabytes": 0, "warnings": ["The first.", "Another."]})
    wait_for(lambda: engine.status(job).state is JobState.FINISHED)
    assert engine.status(job).notice == "The first."
    engine.close()
    status, lines = Store(tmp_path / "data").load(job)
    assert (status.state, status.notice, len(lines)) == (JobState.FINISHED, "The first.", 2)


@pytest.mark.slow
def test_a_full_disk_that_loses_snapshots_is_told_in_the_notice(engines: Engines, tmp_path: Path) -> None:
    spec = RaceOptions(task="wordnet_topics", steps=4, evaluate_every=2, test_examples=20, device="cpu").race()
    engine = engines(preload=PRELOAD, kinds={"race": "job_kinds:full_disk"})
    job = engine.submit("race", spec.to_dict())
    wait_for(lambda: engine.status(job).state.final, 120)
    status = engine.status(job)
    assert (status.state, status.message) == (JobState.FINISHED, "")
    assert status.notice == "From step 2 on there is nothing of this race to look into: No space left on device."
    engine.close()
    assert Store(tmp_path / "data").load(job)[0].notice == status.notice
