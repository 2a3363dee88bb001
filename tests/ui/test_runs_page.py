"""The Runs page, run headless on a history of its own."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pyarrow as pa
import pytest
from open_pages import html, open_page
from present import present
from streamlit.testing.v1 import AppTest

from replora.config import Race, RaceOptions
from replora.events import to_line
from replora.jobs.engine import JobState, JobStatus, UnknownJob
from replora.jobs.storage.budget import ALL_GONE, SNAPSHOTS_GONE
from replora.jobs.storage.database import FILE
from replora.jobs.storage.files import JobFiles
from replora.jobs.storage.history import History
from replora.jobs.storage.history_rows import row_of
from replora.jobs.storage.rows import RunRow
from replora.jobs.storage.store import Store
from replora.simulation.specs import MonteCarlo, RatesOptions
from replora.studies.spec import DataStudy, RateStudy, TeacherStudy, study_to_dict
from replora.ui.parts.clock import local
from replora.ui.parts.run_kinds import facts_of, link_to
from replora.ui.runs.compare import differences

Open = Callable[..., AppTest]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPLORA_DELETE_RUNS", "all")
    return tmp_path / "data"


@pytest.fixture
def app(engine: Any, folder: Path) -> Open:
    def start(**state: Any) -> AppTest:
        return open_page("runs", state={f"runs.{name}": value for name, value in state.items()})

    return start


@pytest.fixture
def kept(folder: Path, engine: Any, told: Any) -> History:
    """Two finished races the engine knows, one that failed, a study that is on, and a Monte Carlo."""
    history = History(folder)
    wide = RaceOptions(seeds=(0, 1, 2), learning_rate=1e-3, rank=8).race()
    for number, race in enumerate((RaceOptions(seeds=(0, 1, 2)).race(), wide), start=1):
        job = engine.submit("race", race.to_dict())
        engine.advance()
        lines = [to_line(each) for each in told(race)]
        history.record(row_of(engine.status(job), lines, created=f"2026-01-0{number}T00:00:00Z"))
    failed = JobStatus(
        "failed_run", "race", JobState.FAILED, RaceOptions(task="emoji").race().to_dict(), message="Bad."
    )
    history.record(row_of(failed, created="2026-01-03T00:00:00Z"))
    Store(folder).save(failed)
    theory = JobStatus("theory_run", "theory", JobState.CANCELLED, MonteCarlo().to_dict())
    history.record(row_of(theory, created="2026-01-04T00:00:00Z"))
    return history


def table(test: AppTest) -> list[dict[str, Any]]:
    rows: Any = test.dataframe[0].value.to_dict("records")
    return list(rows)


def runs(test: AppTest) -> list[str]:
    return [each["Run"] for each in table(test)]


def select(test: AppTest, *names: str) -> AppTest:
    places = [runs(test).index(name) for name in names]
    test.session_state[present(test.dataframe[0].key)] = {"selection": {"rows": places, "columns": [], "cells": []}}
    return test.run()


def opened(test: AppTest) -> Any:
    return test.get("link_button")[0].proto


def cannot_open(test: AppTest) -> bool:
    """Whether there is a button that is disabled, and no link that leads nowhere."""
    buttons = [each for each in test.button if each.key == "runs.open"]
    return [each.disabled for each in buttons] == [True] and not test.get("link_button")


def said(test: AppTest) -> list[str]:
    return [each.value.replace("\\", "") for each in (*test.info, *test.success, *test.warning, *test.error)]


def test_an_empty_history_says_what_to_do(app: Open, folder: Path) -> None:
    test = app()
    assert not test.exception
    assert "No run yet. Press Play on the page [Race](race)" in said(test)[0]
    assert not test.dataframe
    assert not folder.exists()


def test_runs_are_listed_newest_first_with_their_results(app: Open, kept: History) -> None:
    test = app()
    assert not test.exception
    assert runs(test) == ["theory_run", "failed_run", "job1", "job0"]
    assert "4 runs" in html(test)
    assert table(test)[1]["Result"] == "Bad."
    assert table(test)[3] == {
        "Started": "2026-01-01 00:00 UTC",
        "Kind": "Race",
        "Task": "Digits",
        "Methods": "LoRA, RepLoRA",
        "Seeds": "0, 1, 2",
        "State": "Finished",
        "Result": kept.get("job0").verdict,
        "Files": "",
        "Device": "CPU (test)",
        "Spec": kept.get("job0").spec_hash,
        "Run": "job0",
    }
    test.segmented_control(key="runs.order").set_value(True).run()
    assert runs(test) == ["job0", "job1", "failed_run", "theory_run"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("kind", "theory", ["theory_run"]),
        ("task", "emoji", ["failed_run"]),
        ("state", "finished", ["job1", "job0"]),
        ("method", "plain", ["theory_run"]),
        ("method", "lora", ["failed_run", "job1", "job0"]),
    ],
)
def test_filters(app: Open, kept: History, name: str, value: str, expected: list[str]) -> None:
    test = app()
    test.selectbox(key=f"runs.{name}").set_value(value).run()
    assert runs(test) == expected


def test_search_and_a_filter_that_leaves_nothing(app: Open, kept: History) -> None:
    test = app()
    test.text_input(key="runs.text").set_value("bad").run()
    assert runs(test) == ["failed_run"]
    test.text_input(key="runs.text").set_value("nowhere").run()
    assert said(test) == ["No run fits these filters."]
    assert not test.exception


def test_a_run_that_is_selected_can_be_opened_with_its_form(app: Open, kept: History) -> None:
    test = app()
    assert cannot_open(test)
    select(test, "job1")
    page, _, query = opened(test).url.partition("?")
    assert not cannot_open(test)
    assert page == "race"
    assert kept.get("job1").verdict in html(test)
    assert dict(parse_qsl(query)) == {"rank": "8", "learning_rate": "0.001", "seeds": "0,1,2", "run": "job1"}


def test_two_runs_are_compared(app: Open, kept: History) -> None:
    test = select(app(), "job1", "job0")
    assert not test.exception
    assert cannot_open(test)
    assert cells(test) == ["Setting", "A", "B", "Rank", "8", "4", "Learning rate", "0.001", "0.0003"]
    assert html(test).count(kept.get("job0").verdict) == 2  # both races have the same
    assert len(test.get("vega_lite_chart")) == 1
    assert "A in colour, B in grey" in html(test)
    figure = test.get("vega_lite_chart")[0].proto
    lines = next(each for each in figure.datasets if each.name == "lines").data.data
    roles = pa.ipc.open_stream(lines).read_all()["role"].to_pylist()
    assert set(roles) == {"main", "earlier"}  # no seed of A as pale as B


def test_runs_of_two_kinds_are_shown_side_by_side(app: Open, kept: History) -> None:
    test = select(app(), "theory_run", "job0")
    assert not test.exception
    assert "Cancelled; no result yet." in html(test)
    assert [each.value for each in test.caption] == ["Runs of different kinds have no settings in common to compare."]
    assert not test.get("vega_lite_chart")


def test_a_race_without_events_has_nothing_to_draw(app: Open, kept: History) -> None:
    test = select(app(), "failed_run", "job0")
    assert "These runs cannot be drawn" in said(test)[0]
    assert not test.exception


def test_delete_asks_and_says_how_many(app: Open, kept: History, folder: Path) -> None:
    test = select(app(), "failed_run", "job0")
    assert Store(folder).load("failed_run")[0].state is JobState.FAILED
    assert [each.value for each in test.markdown] == ["Delete 2 runs with all that is stored? This cannot be undone."]
    test.button(key="runs.delete.sure").click().run()
    assert said(test) == ["2 runs deleted."]
    assert runs(test) == ["theory_run", "job1"]
    with pytest.raises(UnknownJob):
        Store(folder).load("failed_run")
    test.run()
    assert said(test) == []


def test_runs_are_kept_and_no_longer_kept(app: Open, kept: History) -> None:
    test = select(app(), "failed_run", "job0")
    assert test.button(key="runs.keep").label == "Keep"
    test.button(key="runs.keep").click().run()
    assert said(test)[0] == "2 runs kept."
    assert {row["Run"] for row in table(test) if row["Files"] == "Kept"} == {"failed_run", "job0"}
    test = select(test, "failed_run", "job1")
    assert test.button(key="runs.keep").label == "Keep"
    test = select(test, "job0")
    assert test.button(key="runs.keep").label == "Stop keeping"
    test.button(key="runs.keep").click().run()
    assert said(test)[0] == "1 run no longer kept."
    assert kept.pinned() == {"failed_run"}


def test_what_cannot_be_kept_is_a_sentence(
    app: Open, kept: History, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JobFiles(folder).append("failed_run", " " * 6 * 2**20)
    monkeypatch.setenv("REPLORA_MAX_DATA_MB", "10")
    test = select(app(), "failed_run")
    test.button(key="runs.keep").click().run()
    assert "Runs that are kept may take 5 MB" in said(test)[0]
    assert not test.exception


def test_the_page_says_what_was_removed(app: Open, kept: History) -> None:
    kept.note(["job0", "failed_run"], SNAPSHOTS_GONE)
    kept.note(["failed_run"], ALL_GONE, SNAPSHOTS_GONE)
    kept.pin(["job0"], True)
    test = select(app(), "failed_run")
    assert {row["Run"]: row["Files"] for row in table(test)} == {
        "theory_run": "", "failed_run": "Removed", "job1": "", "job0": "Curves only, kept"
    }  # fmt: skip
    assert ALL_GONE in html(test)


@pytest.mark.parametrize(
    ("page", "kind", "spec"),
    [
        ("race", "race", RaceOptions().race().to_dict()),
        ("data_efficiency", "study", study_to_dict(DataStudy())),
        ("rates", "theory", MonteCarlo().to_dict()),
    ],
)
def test_a_run_without_its_events_opens_and_says_why(
    engine: Any, folder: Path, page: str, kind: str, spec: dict[str, Any]
) -> None:
    job = engine.jobs[engine.submit(kind, spec)]
    job.state, job.told, job.notice = JobState.FINISHED, 0, ALL_GONE
    test = open_page(page, run="job0")
    assert not test.exception
    assert ALL_GONE in said(test)


def test_a_server_may_forbid_to_delete(app: Open, kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, errors in (("none", 0), ("perhaps", 1)):
        monkeypatch.setenv("REPLORA_DELETE_RUNS", value)
        test = select(app(), "failed_run")
        assert not test.exception
        assert len(test.error) == errors
        assert not [each for each in test.button if each.key in ("runs.delete.sure", "runs.keep")]


def test_what_is_on_is_not_deleted(app: Open, kept: History, engine: Any) -> None:
    job = engine.submit("race", RaceOptions().race().to_dict())
    kept.record(row_of(engine.status(job)))
    test = select(app(), job, "failed_run")
    assert "1 run is still on and will stay; cancel first." in [each.value for each in test.markdown]
    test.button(key="runs.delete.sure").click().run()
    assert said(test) == ["1 run deleted."]
    assert job in runs(test)


def test_a_failed_deletion_is_a_sentence(app: Open, kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(files: JobFiles, job: str) -> None:
        raise PermissionError(13, "Permission denied")

    test = select(app(), "failed_run")
    monkeypatch.setattr(JobFiles, "delete", refuse)
    test.button(key="runs.delete.sure").click().run()
    assert said(test) == ["The stored run failed_run cannot be deleted: Permission denied."]
    assert not test.exception


def test_a_selection_does_not_pass_to_another_run(app: Open, kept: History) -> None:
    test = select(app(), "theory_run")
    kept.record(RunRow(id="newest_run", kind="race", state=JobState.FAILED, created="2026-02-01T00:00:00Z"))
    test.run()
    assert runs(test)[0] == "newest_run"
    assert cannot_open(test)
    assert test.button(key="runs.delete.sure").disabled


def test_jobs_of_a_killed_process_are_listed_as_failed(app: Open, kept: History) -> None:
    spec = RaceOptions().race().to_dict()
    kept.record(row_of(JobStatus("killed_run", "race", JobState.RUNNING, spec), created="2026-03-01T00:00:00Z"))
    kept.settle()  # as an engine does when it starts
    test = app()
    assert runs(test)[0] == "killed_run"
    assert table(test)[0]["State"] == "Failed"
    assert kept.get("killed_run").state is JobState.FAILED


def test_more_than_a_page(app: Open, folder: Path) -> None:
    History(folder).record(
        *[
            RunRow(
                id=f"run{n:05d}",
                kind="race",
                state=JobState.FAILED,
                created=f"2026-01-01T00:{n // 60:02d}:{n % 60:02d}Z",
            )
            for n in range(230)
        ]
    )
    test = app()
    assert (len(runs(test)), runs(test)[0]) == (100, "run00229")
    assert "1 to 100 of 230 runs" in html(test)
    test = app(**{"page.3": 3})
    assert (len(runs(test)), runs(test)[-1]) == (30, "run00000")
    assert "201 to 230 of 230 runs" in html(test)


@pytest.mark.parametrize("problem", ["damaged", "newer"])
def test_a_history_that_cannot_be_read_is_a_sentence(app: Open, folder: Path, problem: str) -> None:
    folder.mkdir()
    if problem == "damaged":
        (folder / FILE).write_bytes(b"rubbish" * 1000)
    else:
        with sqlite3.connect(folder / FILE) as database:
            database.execute("PRAGMA user_version = 9")
    test = app()
    assert not test.exception
    assert said(test)[0].startswith("The run history")
    assert not test.dataframe


def test_the_csv_has_what_the_filters_leave(kept: History) -> None:
    from replora.jobs.storage.rows import HistoryFilter

    rows = list(csv.DictReader(io.StringIO(kept.to_csv(HistoryFilter(state="finished")), newline="")))
    assert [each["id"] for each in rows] == ["job1", "job0"]


@pytest.mark.parametrize(
    ("kind", "spec", "form"),
    [
        ("study data", DataStudy(tuned=True, rank=8), DataStudy),
        ("study rate", RateStudy(task="emoji"), RateStudy),
        ("study teacher", TeacherStudy(teacher="untied"), TeacherStudy),
        ("theory", MonteCarlo(atoms=2, n_grid=(1000, 10_000)), RatesOptions),
    ],
)
def test_links_carry_the_form_of_every_kind(kind: str, spec: Any, form: Any) -> None:
    plain = spec.to_dict() if kind == "theory" else study_to_dict(spec)
    _, _, query = link_to(kind, plain, "job00001").partition("?")
    values = dict(parse_qsl(query))
    assert values.pop("run") == "job00001"
    read, problems = form.from_query(values)
    assert problems == []
    assert (read.monte_carlo if kind == "theory" else read) == spec
    assert facts_of(kind, plain)["Seed" if kind == "theory" else "Seeds"] == ("0" if kind == "theory" else "0, 1, 2")


def test_own_data_are_not_named(app: Open, kept: History) -> None:
    secret = "own:" + "k" * 22
    for number, rank in enumerate((4, 8)):
        spec = RaceOptions(task=secret, rank=rank).race().to_dict()
        kept.record(
            row_of(JobStatus(f"own_run_{number}", "race", JobState.FAILED, spec), created="2026-05-01T00:00:00Z")
        )
    test = app()
    test.selectbox(key="runs.task").set_value("own").run()
    assert [each["Task"] for each in table(test)] == ["Private data", "Private data"]
    select(test, "own_run_0")
    assert opened(test).url == "race?run=own_run_0"
    assert facts_of("race", kept.get("own_run_0").spec)["Task"] == "Private data"
    select(test, "own_run_0", "own_run_1")
    assert not test.exception
    assert cells(test) == ["Setting", "A", "B", "Rank", "4", "8"]
    shown = [html(test), *(str(each.value.to_dict()) for each in test.dataframe), *said(test)]
    assert not [each for each in shown if secret in each]


def test_links_of_what_no_form_says() -> None:
    race = RaceOptions().race().to_dict()
    race["runs"][1]["learning_rate"] = 0.5
    assert link_to("race", race, "job00001") == "race?run=job00001"
    assert link_to("race", {"runs": 3}, "job00001") == "race?run=job00001"
    assert link_to("count", {}, "job00001") == ""
    assert facts_of("race", {"runs": 3}) == facts_of("count", {}) == {}


def test_times_are_told_by_the_clock_of_who_looks() -> None:
    told = "2026-07-01T22:30:05+00:00"
    assert local(told, "Europe/Berlin") == ("2026-07-02 00:30", "CEST")
    assert (
        local(told, None) == local(told, "../../etc/passwd") == local(told, "No/Where") == ("2026-07-01 22:30", "UTC")
    )
    assert local("", "Europe/Berlin") == ("", "UTC")


def cells(test: AppTest) -> list[str]:
    """What the table of differences holds."""
    return re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html(test))


def test_what_differs() -> None:
    assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == [
        {"Setting": "b", "A": "2", "B": "3"},
        {"Setting": "c", "A": "–", "B": "4"},
    ]
    race = RaceOptions().race()
    assert facts_of("race", Race.from_dict(race.to_dict()).to_dict())["Learning rate"] == "0.0003"
