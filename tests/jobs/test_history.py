"""The run history: what it keeps whatever happens, what it finds, and how it fails."""

from __future__ import annotations

import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from present import of_type
from processes import wait_for

from replora.config import RaceOptions
from replora.events import Evaluated, Event, Finished, RunFacts, Started, Step, to_line
from replora.jobs import trackio_sink
from replora.jobs.engine import JobState, JobStatus, UnknownJob
from replora.jobs.local import LocalEngine
from replora.jobs.storage.database import ADDED, FILE, INDEX, TABLE, HistoryError
from replora.jobs.storage.files import JobFiles
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE, History
from replora.jobs.storage.history_rows import OWN, RESULTS, row_of
from replora.jobs.storage.old_folder import FIELDS
from replora.jobs.storage.owner import Owner
from replora.jobs.storage.rows import HistoryFilter, JobFacts, RunRow, values_of
from replora.jobs.storage.store import Store
from replora.result_card import spec_hash
from replora.simulation.events import Estimated, MonteCarloFinished, MonteCarloStarted, TheoryEvent
from replora.simulation.events import to_line as theory_line
from replora.simulation.specs import MonteCarlo
from replora.simulation.verdict import rates_verdict
from replora.studies.events import CellFinished, MethodSizes, StudyEvent, StudyFinished, StudyStarted
from replora.studies.lines import to_line as study_line
from replora.studies.races.summary import summarize_study
from replora.studies.spec import RateStudy, study_to_dict
from replora.summary import race_verdict, summarize

ROOT = Path(__file__).resolve().parents[2]
Engines = Callable[..., LocalEngine]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def row(number: int, **values: Any) -> RunRow:
    created = f"2026-01-{1 + number // 24:02d}T{number % 24:02d}:00:00Z"
    return RunRow(
        **{"id": f"run{number:05d}", "kind": "race", "state": JobState.FINISHED, "created": created, **values}
    )


def ids(history: History, **wanted: Any) -> list[str]:
    return [each.id for each in history.list(HistoryFilter(**wanted))]


def over(engine: LocalEngine, job: str) -> JobStatus:
    """The status of a job once it has ended."""
    wait_for(lambda: engine.status(job).state.final)
    return engine.status(job)


def told_race(**values: Any) -> list[Event]:
    """A race of two steps that says what its accuracies will be: 0.5 for LoRA, 0.75 for RepLoRA."""
    spec = RaceOptions(steps=2, evaluate_every=2, **values).race()
    scores = tuple(0.5 if run.method.name == "lora" else 0.75 for run in spec.runs)
    ones = (1.0,) * len(spec.runs)
    rates = (3e-4,) * len(spec.runs)
    facts = (RunFacts(10, 5, 3, 400),) * len(spec.runs)
    return [
        Started(spec, facts, "dinov2_small_6", ("a", "b"), "CPU (test)", "float32", 2, {"torch": "2"}),
        Step(1, 0.1, ones, ones, rates),
        Step(2, 0.2, ones, ones, rates),
        Evaluated(2, 0.3, scores, ones),
        Finished(2, 0.3),
    ]


def test_nothing_is_made_before_the_first_row(tmp_path: Path) -> None:
    history = History(tmp_path / "a")
    assert history.list() == ()
    assert history.count() == 0
    assert history.choices() == {"kind": (), "task": (), "state": (), "method": ()}
    assert history.to_csv().splitlines() == [",".join(RunRow.__dataclass_fields__)]
    with pytest.raises(UnknownJob, match="No run 'abcdefgh' is in the history"):
        history.get("abcdefgh")
    assert not (tmp_path / "a").exists()


def test_a_row_comes_back_as_it_was(history: History) -> None:
    kept = row(
        1,
        ended="2026-01-01T01:00:09Z",
        task="digits",
        methods=("lora", "replora"),
        seeds=(0, 7),
        device="CPU",
        spec_hash="0123456789ab",
        verdict="RepLoRA is 0.8 ± 1.1 points ahead, “so far”; DROP TABLE runs",
        message="a 'quoted' \ud800 message",
        summary={"difference": -0.25},
        spec={"task": "digits", "runs": [1, 2]},
    )
    history.record(kept)
    assert history.get(kept.id) == replace(kept, message="a 'quoted' ? message")


def test_a_second_record_replaces_all_but_the_time_of_creation(history: History) -> None:
    history.record(row(1, state=JobState.RUNNING))
    history.record(row(5, id="run00001", verdict="level"))
    assert history.count() == 1
    found = history.get("run00001")
    assert (found.state, found.created, found.verdict) == (JobState.FINISHED, row(1).created, "level")


def test_lists_are_newest_first_page_by_page(history: History) -> None:
    history.record(*[row(number) for number in (3, 1, 2)], row(2, id="samesecond"))
    assert ids(history) == ["run00003", "samesecond", "run00002", "run00001"]
    assert ids(history, oldest_first=True) == ["run00001", "run00002", "samesecond", "run00003"]
    assert [each.id for each in history.list(limit=2, offset=1)] == ["samesecond", "run00002"]
    assert history.list(offset=9) == ()


def test_filters_alone_and_together(history: History) -> None:
    history.record(
        row(1, task="digits", methods=("lora", "replora"), verdict="RepLoRA is 4.2 points ahead"),
        row(2, kind="study data", task="movies", methods=("lora",), state=JobState.FAILED, message="100 % of memory"),
        row(3, kind="study teacher", task="digits", methods=("lora_tied", "trunk"), spec_hash="feedbeef0000"),
    )
    assert ids(history, kind="race") == ["run00001"]
    assert ids(history, task="digits") == ["run00003", "run00001"]
    assert ids(history, state="failed") == ["run00002"]
    assert ids(history, method="lora") == ["run00002", "run00001"]
    assert ids(history, method="lora", task="digits") == ["run00001"]
    assert ids(history, text="AHEAD points") == ["run00001"]
    assert ids(history, text="100 %") == ["run00002"]
    assert ids(history, text="feedbeef") == ["run00003"]
    assert ids(history, text="run0000_") == []
    assert ids(history, text="' OR 1=1 --") == []
    assert history.count(HistoryFilter(method="lora")) == 2
    assert history.choices() == {
        "kind": ("race", "study data", "study teacher"),
        "task": ("digits", "movies"),
        "state": ("failed", "finished"),
        "method": ("lora", "lora_tied", "replora", "trunk"),
    }


WRITER = """
import sys
from replora.jobs.engine import JobState
from replora.jobs.storage.files import JobFiles
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE, History
from replora.jobs.storage.rows import RunRow
history = History(sys.argv[1])
for number in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}{number:05d}"
    spec, created = {"n": number}, "2026-01-01T00:00:00Z"
    history.record(RunRow(id=name, kind="race", state=JobState.FINISHED, created=created, spec=spec))
    print(name, flush=True)
"""


def writer(folder: Path, name: str, rows: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(rows)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 40])
def test_a_kill_loses_nothing_that_was_committed(tmp_path: Path, acknowledged: int) -> None:
    process = writer(tmp_path, "killed", 100)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(acknowledged)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split()
    assert process.wait() == -signal.SIGKILL
    assert acknowledged <= len(told) < 100
    history = History(tmp_path)
    kept = {each.id for each in history.list(limit=1000)}
    assert set(told) <= kept <= {*told, f"killed{len(told):05d}"}  # the next one may be in, but not yet told
    assert all(history.get(name).spec == {"n": int(name[-5:])} for name in told)
    with sqlite3.connect(tmp_path / FILE) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    history.record(row(1))
    assert history.count() == len(kept) + 1


@pytest.mark.slow
def test_processes_that_begin_and_write_at_once_all_get_their_rows_in(tmp_path: Path) -> None:
    writers = [writer(tmp_path, f"writer{number}.", 25) for number in range(4)]
    assert [process.wait() for process in writers] == [0] * 4
    for process in writers:
        assert process.stdout is not None
        process.stdout.close()
    assert History(tmp_path).count() == 100


def test_a_failed_call_leaves_none_of_its_rows(history: History) -> None:
    with pytest.raises(TypeError):
        history.record(row(1), row(2, spec={"no": object()}))
    assert history.count() == 0


def test_a_disk_without_shared_memory_keeps_the_history_all_the_same(tmp_path: Path) -> None:
    """As a mounted bucket may be: no write-ahead log is to be had there."""
    (tmp_path / f"{FILE}-shm").mkdir()
    history = History(tmp_path)
    history.record(row(1), row(2))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: History(tmp_path).record(row(number)), range(3, 11)))
    assert len(history.list()) == 10
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        assert database.execute("PRAGMA journal_mode").fetchall() == [("delete",)]


@pytest.mark.parametrize("content", [b"no database at all " * 300, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_damaged_file_is_a_sentence_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    sentence = "The run history is damaged; move history.sqlite out of the data folder, and a new one is begun."
    history = History(tmp_path)
    for call in (history.list, history.count, history.to_csv, lambda: history.record(row(1))):
        with pytest.raises(HistoryError) as caught:
            call()
        assert str(caught.value) == sentence
    assert (tmp_path / FILE).read_bytes() == content


def test_a_file_damaged_later_is_a_sentence(history: History, tmp_path: Path) -> None:
    history.record(*map(row, range(500)))
    content = bytearray((tmp_path / FILE).read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(HistoryError, match=r"is damaged; move history\.sqlite"):
        history.list()


def test_a_row_that_is_none_is_named(history: History, tmp_path: Path) -> None:
    history.record(row(1))
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE runs SET spec = '{'")
    with pytest.raises(HistoryError, match="damaged: the row of run00001 cannot be read"):
        history.list()


def test_a_newer_file_is_a_sentence(history: History, tmp_path: Path) -> None:
    history.record(row(1))
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version = 7")
    for call in (history.list, lambda: history.record(row(2))):
        with pytest.raises(HistoryError, match=r"is of version 7, written by a newer app; this one reads version 4"):
            call()


def test_a_file_that_cannot_be_opened_and_one_that_is_locked_are_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder" / FILE).mkdir(parents=True)
    with pytest.raises(HistoryError, match="cannot be used: its file cannot be opened"):
        History(tmp_path / "folder").list()
    monkeypatch.setattr("replora.jobs.storage.database.BUSY_SECONDS", 0.05)
    history = History(tmp_path / "busy")
    history.record(row(1))
    other = sqlite3.connect(tmp_path / "busy" / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryError, match=r"in use by another process for more than 0\.05 seconds"):
        history.record(row(2))
    assert history.count() == 1  # readers do not wait
    other.close()


FULL = """
import resource, signal, sys
from replora.jobs.engine import JobState
from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.files import JobFiles
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE, History
from replora.jobs.storage.rows import RunRow
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
history = History(sys.argv[1])
facts = {"kind": "race", "state": JobState.FINISHED, "created": "2026-01-01T00:00:00Z", "spec": {"x": "x" * 2000}}
rows = [RunRow(id=f"run{n:05d}", **facts) for n in range(400)]
history.record(rows[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    history.record(*rows)
except HistoryError as error:
    print(error)
print(history.count())
"""


@pytest.mark.slow
def test_a_disk_without_room_is_a_sentence_and_leaves_what_was_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    sentence, left = done.stdout.splitlines()
    assert sentence.startswith("The run history cannot be used: the disk ")
    assert left == "1"
    assert ids(History(tmp_path)) == ["run00000"]


def test_delete_takes_the_files_and_leaves_what_is_on(history: History, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number, state in ((1, JobState.FINISHED), (2, JobState.RUNNING), (3, JobState.FAILED)):
        store.save(JobStatus(f"run{number:05d}", "race", state, {}))
        store.files.append(f"run{number:05d}", "{}")
        store.files.folder(f"run{number:05d}").mkdir()
        (store.files.folder(f"run{number:05d}") / "step_1").write_text("weights")
        history.record(row(number, state=state))
    assert history.delete(["run00001", "run00002", "nosuchrun"]) == 1
    assert ids(history) == ["run00003", "run00002"]
    names = {each.name for each in (tmp_path / "jobs").iterdir()}
    assert names == {f"run0000{number}{suffix}" for number in (2, 3) for suffix in ("", ".jsonl")}
    with pytest.raises(UnknownJob):
        store.load("run00001")
    assert history.delete(["run00003"]) == 1


def test_what_cannot_be_deleted_stays_in_the_list(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(files: JobFiles, job: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(JobFiles, "delete", refuse)
    history.record(row(1))
    with pytest.raises(HistoryError, match="The stored run run00001 cannot be deleted: Permission denied"):
        history.delete(["run00001"])
    assert ids(history) == ["run00001"]


def test_csv_keeps_commas_and_quotes_and_runs_nothing(history: History) -> None:
    dangerous = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"]
    history.record(row(0, verdict='RepLoRA, "ahead"\nby far', methods=("lora", "replora"), seeds=(0, 1)))
    history.record(*[row(number, message=text) for number, text in enumerate(dangerous, start=1)])
    history.record(row(30, id="-dashed_id"))
    cells = list(csv.DictReader(io.StringIO(history.to_csv(HistoryFilter(oldest_first=True)), newline="")))
    assert len(cells) == 8
    assert cells[0]["verdict"] == 'RepLoRA, "ahead"\nby far'
    assert (cells[0]["methods"], cells[0]["seeds"]) == ("lora,replora", "0,1")
    assert [each["message"] for each in cells[1:7]] == [f"'{text}" for text in dangerous]
    assert cells[7]["id"] == "'-dashed_id"
    assert len(list(csv.DictReader(io.StringIO(history.to_csv(HistoryFilter(text="dashed")))))) == 1


def test_the_row_of_a_race_says_what_its_events_say() -> None:
    events = told_race(seeds=(0, 1, 2), task="emoji")
    spec = of_type(Started, events)[0].spec.to_dict()
    lines = [to_line(each) for each in events]
    found = row_of(JobStatus("run00001", "race", JobState.FINISHED, spec), lines)
    whole = summarize(events)
    assert whole is not None
    assert (found.task, found.methods, found.seeds) == ("emoji", ("lora", "replora"), (0, 1, 2))
    assert (found.device, found.verdict) == ("CPU (test)", race_verdict(whole))
    assert found.summary["accuracies"] == {
        "lora": {"0": 0.5, "1": 0.5, "2": 0.5},
        "replora": {"0": 0.75, "1": 0.75, "2": 0.75},
    }
    assert found.summary["difference"] == 0.25
    assert found.spec_hash == spec_hash(spec)
    assert found.ended >= found.created


def test_own_data_go_by_one_name_and_their_own_is_not_told(history: History) -> None:
    secret = "own:" + "k" * 22
    spec = RaceOptions(task=secret).race().to_dict()
    history.record(row_of(JobStatus("run00001", "race", JobState.FINISHED, spec, message=f"{secret} is gone.")))
    found = history.get("run00001")
    assert (found.task, found.spec["task"]) == (OWN, secret)
    assert ids(history, task=OWN) == ["run00001"]
    assert history.choices()["task"] == (OWN,)
    table = history.to_csv()
    assert secret not in table
    assert "own:… is gone." in table


def test_the_hash_is_that_of_the_values_and_not_of_their_order() -> None:
    assert spec_hash({"a": 1, "b": [1.0, {"c": None}]}) == spec_hash({"b": [1.0, {"c": None}], "a": 1})
    assert spec_hash({"a": 1}) != spec_hash({"a": 2})
    assert len(spec_hash({})) == 12


def test_the_row_of_one_method_alone_says_what_it_reached() -> None:
    events = told_race(methods=("lora",))
    lines = [to_line(each) for each in events]
    status = JobStatus("run00001", "race", JobState.FINISHED, of_type(Started, events)[0].spec.to_dict())
    assert row_of(status, lines).verdict == "LoRA: 50.0 %."
    assert row_of(status, lines[:2]).verdict == "Nothing was evaluated."


def test_the_row_of_a_study_says_what_its_summary_says() -> None:
    spec = RateStudy(rates=(1e-3, 1e-2), seeds=(0, 1, 2))
    sizes = tuple(MethodSizes(name, 10, 5) for name in spec.methods)
    started = StudyStarted(spec, spec.count(), 1, sizes, 200, "dinov2_small_6", "CPU (test)", "float32", 2, {})
    cells = [
        CellFinished(run.method.name, run.data_fraction, run.learning_rate, run.seed, 100, 0.5, 1.0, 0.5, False)
        for run in spec.runs()
    ]
    events: list[StudyEvent] = [started, *cells, StudyFinished(3.0)]
    status = JobStatus("run00001", "study", JobState.FINISHED, study_to_dict(spec))
    found = row_of(status, [study_line(each) for each in events])
    whole = summarize_study(events)
    assert whole is not None
    assert (found.kind, found.task, found.methods) == ("study rate", "digits", ("lora", "replora"))
    assert (found.verdict, found.device) == (whole.verdict, "CPU (test)")
    assert found.summary["runs_done"] == 12


def test_the_row_of_a_monte_carlo_has_its_slopes() -> None:
    spec = MonteCarlo(seed=3)
    slopes = {"D_1": (-0.25, -0.3, -0.2), "doubled_cell": None}
    estimated = Estimated("shared", 100, {}, slopes, (), (), (), 0.0, 0.0, 0.0, 1.0)
    events: list[TheoryEvent] = [MonteCarloStarted(spec, (), {}, {}), estimated, MonteCarloFinished(1.0)]
    status = JobStatus("run00001", "theory", JobState.FINISHED, spec.to_dict())
    found = row_of(status, [theory_line(each) for each in events])
    assert (found.kind, found.methods, found.seeds) == ("theory", ("plain", "shared"), (3,))
    assert found.verdict == rates_verdict(events)
    assert found.verdict == (
        "Measured exponents of n with their 95 % intervals: "
        "D\u2081, all cells \u22120.25 [\u22120.30, \u22120.20] (Shared)."
    )


@pytest.mark.parametrize("kind", ["race", "study", "theory", "count"])
@pytest.mark.parametrize(
    "spec",
    [{}, {"task": 3, "runs": "none", "methods": 4, "seeds": None}, {"runs": [{}, 3, {"method": {}, "seed": "x"}]}],
)
def test_a_spec_or_lines_that_are_none_leave_fields_empty(kind: str, spec: dict[str, Any]) -> None:
    found = row_of(JobStatus("run00001", kind, JobState.FAILED, spec, message="bad"), ["{}"])
    assert (found.task, found.seeds, found.message) == ("", (), "bad")
    assert found.verdict == ("" if kind == "count" else found.verdict)
    assert kind == "count" or found.verdict.startswith("The events of this run cannot be read: ")


def test_the_engine_records_a_job_from_its_submission_to_its_end(engines: Engines, tmp_path: Path) -> None:
    engine = engines()
    history = History(tmp_path / "data")
    job = engine.submit("count", {"steps": 2, "task": "digits"})
    over(engine, job)
    wait_for(lambda: history.count() and history.get(job).state is JobState.FINISHED)
    found = history.get(job)
    assert (found.kind, found.task, found.spec) == ("count", "digits", {"steps": 2, "task": "digits"})
    assert found.created <= found.ended
    bad = engine.submit("bad_spec", {})
    over(engine, bad)
    wait_for(lambda: history.count() == 2 and history.get(bad).state is JobState.FAILED)
    assert history.get(bad).message == "rank must be at most 128, got 4096."


def test_a_history_that_cannot_be_written_costs_neither_run_nor_store(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "data" / FILE).mkdir(parents=True)
    engine = engines()
    job = engine.submit("count", {"steps": 2})
    assert over(engine, job).state is JobState.FINISHED
    sentence = "This run is not in the history. The run history cannot be used: its file cannot be opened."
    wait_for(lambda: engine.status(job).notice == sentence)
    engine.close()
    assert len(engine.events(job)) == 5
    assert Store(tmp_path / "data").load(job)[0].message.startswith("The stored run cannot be read. The run history")


def test_a_summary_that_fails_costs_neither_the_state_nor_the_writer(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(lines: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(RESULTS, "count", broken)
    engine = engines()
    job = engine.submit("count", {"steps": 1})
    over(engine, job)
    wait_for(lambda: "cannot be summarized (ZeroDivisionError)" in engine.status(job).notice)
    engine.close()
    assert Store(tmp_path / "data").load(job)[0].state is JobState.FINISHED


def test_jobs_of_a_process_that_is_gone_are_settled_at_start_up_and_those_of_a_living_one_are_not(
    engines: Engines, tmp_path: Path
) -> None:
    history = History(tmp_path / "data")
    spec = RaceOptions().race().to_dict()
    for number, state in enumerate((JobState.RUNNING, JobState.QUEUED)):
        lost = JobStatus(f"killed_run{number}", "race", state, spec)
        history.record(row_of(lost, created="2026-01-01T00:00:00Z"), facts=JobFacts(owner="nobody"))
    first = engines()
    found = [history.get(f"killed_run{number}") for number in range(2)]
    assert [(row.state, row.message) for row in found] == [
        (JobState.FAILED, RESTARTED),
        (JobState.FAILED, RESTARTED_IN_QUEUE),
    ]
    assert [(row.ended, row.methods) for row in found] == [("", ("lora", "replora"))] * 2
    running = first.submit("sleep", {})
    wait_for(lambda: first.events(running) and history.count() and history.get(running).state is JobState.RUNNING)
    second = engines()
    assert second.status(running).state is JobState.RUNNING
    assert history.get(running).state is JobState.RUNNING
    first.cancel(running)
    wait_for(lambda: second.status(running).state is JobState.CANCELLED)


CROWD = 4


def test_fresh_folders_take_many_that_begin_at_once(tmp_path: Path) -> None:
    for number in range(40):
        gate = threading.Barrier(CROWD)

        def begin(name: str, folder: Path = tmp_path / str(number), gate: threading.Barrier = gate) -> None:
            gate.wait()
            History(folder).record(row(1, id=name))

        with ThreadPoolExecutor(CROWD) as pool:
            list(pool.map(begin, [f"crowd_{who}" for who in range(CROWD)]))  # raises what one of them raised
        assert History(tmp_path / str(number)).count() == CROWD


def test_a_folder_of_version_1_is_taken_in_once(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    spec = RaceOptions().race().to_dict()
    old = [
        JobStatus("finished_run", "race", JobState.FINISHED, spec, events=9),
        JobStatus("running_run", "race", JobState.RUNNING, spec),
        JobStatus("some_download", "download", JobState.FAILED, {}, message="No network."),
    ]
    for status in old:
        (jobs / f"{status.job}.json").write_text(json.dumps({name: asdict(status)[name] for name in FIELDS}))
        (jobs / f"{status.job}.jsonl").write_text('{"event": "step"}\n')
    (jobs / "damaged_run.json").write_text("{")
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute(TABLE)
        database.execute("CREATE INDEX by_time ON runs (created)")
        database.execute("PRAGMA user_version = 1")
        values = values_of(row(1, id="finished_run", verdict="level", spec=spec))
        database.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(values))})", values)
    store = Store(tmp_path)
    found = {status.job: store.load(status.job)[0] for status in old}
    assert found["finished_run"].notice == "Of the 9 events of this run only 1 are stored."
    assert store.history.get("finished_run").verdict == "level"
    assert (found["running_run"].state, found["running_run"].message) == (JobState.FAILED, RESTARTED)
    assert (found["some_download"].kind, found["some_download"].message) == ("download", "No network.")
    assert sorted(ids(store.history)) == ["finished_run", "running_run"]
    assert [path.name for path in jobs.glob("*.json")] == ["damaged_run.json"]


def test_a_table_of_version_2_gets_the_new_columns_and_nothing_else(tmp_path: Path) -> None:
    listed = RunRow(
        id="kept_run", kind="race", state=JobState.FINISHED, created="2026-01-01T00:00:00Z", verdict="level"
    )
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute(TABLE)
        for column in ADDED[2]:
            database.execute(f"ALTER TABLE runs ADD COLUMN {column}")
        database.execute(INDEX)
        database.execute("PRAGMA user_version = 2")
        values = (*values_of(listed), 7, "full disk", "", 1)
        database.execute(f"INSERT INTO runs VALUES ({', '.join('?' * len(values))})", values)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "some_other.json").write_text("{}")  # files of version 1 were taken in long ago
    history = History(tmp_path)
    assert history.facts("kept_run") == (listed, JobFacts(events=7, notice="full disk"))
    history.record(row(1), facts=JobFacts(visitor="abc"))
    assert history.facts("run00001")[1].visitor == "abc"
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (4,)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert "abc" not in history.to_csv()


class FakeTrackio(types.ModuleType):
    """What trackio's `init` is given, and what its runs are told."""

    def __init__(self) -> None:
        super().__init__("trackio")
        self.begun: list[dict[str, Any]] = []
        self.logged: list[tuple[str, int, dict[str, float]]] = []
        self.finished = 0

    def init(self, project: str, **values: Any) -> Any:
        self.begun.append({"project": project, **values})

        def log(metrics: dict[str, float], step: int | None = None) -> None:
            assert step is not None
            self.logged.append((values["name"], step, metrics))

        def finish() -> None:
            self.finished += 1

        return types.SimpleNamespace(log=log, finish=finish)


def test_a_finished_race_is_logged_to_trackio(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTrackio()
    monkeypatch.setitem(sys.modules, "trackio", fake)
    events = told_race(learning_rate=1e-3)
    trackio_sink.log_race("mine", "job00001", [to_line(each) for each in events]).join()
    assert [each["project"] for each in fake.begun] == ["mine", "mine"]
    assert [each["name"] for each in fake.begun] == ["job00001-0-lora-seed-0", "job00001-1-replora-seed-0"]
    assert {each["group"] for each in fake.begun} == {"job00001"}
    config = fake.begun[1]["config"]
    assert (config["method"]["name"], config["learning_rate"], config["trained_parameters"]) == ("replora", 1e-3, 10)
    assert fake.logged[:3] == [
        ("job00001-0-lora-seed-0", 1, {"training_loss": 1.0, "delta_norm": 1.0, "learning_rate": 3e-4}),
        ("job00001-0-lora-seed-0", 2, {"training_loss": 1.0, "delta_norm": 1.0, "learning_rate": 3e-4}),
        ("job00001-0-lora-seed-0", 2, {"test_accuracy": 0.5, "test_loss": 1.0}),
    ]
    assert (len(fake.logged), fake.finished) == (6, 2)


def test_trackio_hears_of_finished_races_only_and_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from replora.jobs import history_writer as recorder

    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(recorder, "log_race", lambda project, job, lines: sent.append((project, job)))
    lines = [to_line(each) for each in told_race()]
    race = JobStatus("run00001", "race", JobState.FINISHED, RaceOptions().race().to_dict())
    monkeypatch.delenv("REPLORA_TRACKIO", raising=False)
    assert recorder.HistoryWriter(Store(tmp_path), Owner(tmp_path)).record(race, lines) == ("", "")
    assert sent == []
    monkeypatch.setenv("REPLORA_TRACKIO", "class")
    for status in (replace(race, state=JobState.CANCELLED), replace(race, kind="theory"), race):
        recorder.HistoryWriter(Store(tmp_path), Owner(tmp_path)).record(status, lines if status.kind == "race" else ())
    assert sent == [("class", "run00001")]


@pytest.mark.parametrize("problem", ["missing", "broken"])
def test_a_trackio_that_fails_is_in_the_log(
    problem: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = types.ModuleType("trackio") if problem == "broken" else None
    monkeypatch.setitem(sys.modules, "trackio", broken)
    trackio_sink.log_race("mine", "job00001", [to_line(each) for each in told_race()]).join()
    expected = (
        "trackio cannot be imported" if problem == "missing" else "could not be logged to the trackio project mine"
    )
    assert expected in caplog.text
