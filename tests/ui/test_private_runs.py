"""Runs on own data before the eyes of others: a run's id, which lists show, opens its curves and nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, told_race
from open_pages import html, open_page, query, said
from streamlit.testing.v1 import AppTest

from replora.catalog import OWN_PREFIX, unnamed
from replora.config import RaceOptions
from replora.jobs.engine import NOBODY, JobRefused, JobState, JobStatus, NoAnswer
from replora.jobs.storage.history import History
from replora.jobs.storage.history_rows import row_of
from replora.jobs.storage.rows import HistoryFilter
from replora.lens.questions import ContinuationQuestion, MergeQuestion, Part
from replora.own_data.examples import choose_columns
from replora.own_data.limits import Limits
from replora.own_data.private import PRIVATE
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import keep_task
from replora.own_data.tables.table import Table
from replora.own_data.upload import read_upload
from replora.result_card import spec_file
from replora.studies.spec import DataStudy, study_to_dict
from replora.ui.inside.race_picker import source_of_job
from replora.ui.live.private import PrivateEngine, PrivateRun
from replora.ui.parts.text import file_word
from replora.ui.visitor.lasting import close_all

SECRETS = ("lesion", "melanoma", "benignity", "Patients")  # texts, classes and the title of the data
CSV = b"text,label\n" + b"".join(b"lesion %d,melanoma\nfreckle %d,benignity\n" % (each, each) for each in range(10))


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))
    yield tmp_path / "data"
    close_all()


@pytest.fixture
def own() -> str:
    """Own data of somebody, by name."""
    table = read_upload(CSV, "a.csv", Limits())
    assert isinstance(table, Table)
    examples = choose_columns(table, "text", "label", Limits())
    return keep_task(split_task(examples, SplitOptions(title="Patients")), Limits())


def told_with_classes(spec: Any) -> list[str]:
    """A race as it is told, with the classes of the data."""
    lines = told_race(spec)
    started = json.loads(lines[0])
    assert "classes" in started
    return [json.dumps({**started, "classes": ["melanoma", "benignity"]}), *lines[1:]]


@pytest.fixture
def race(engine: FakeEngine, own: str, recordings: Path, tmp_path: Path) -> str:
    """The id of a finished race on own data."""
    engine.tells["race"] = told_with_classes
    engine.place = tmp_path / "data" / "jobs"
    job = engine.submit("race", RaceOptions(task=own).race().to_dict())
    engine.advance()
    engine.folder(job).mkdir(parents=True)
    return job


def everything(test: AppTest) -> str:
    """All that a browser is sent, in one text, and what its address bar holds."""
    sent = [str(each.proto) for each in test.main] + [str(each.proto) for each in test.sidebar]
    return " ".join([*sent, html(test), *said(test), json.dumps(query(test))])


def given_away(test: AppTest, own: str) -> list[str]:
    """What is on a page of the name of the data, and of the data themselves."""
    assert not test.exception
    text = everything(test)
    return [secret for secret in (own.removeprefix(OWN_PREFIX), *SECRETS) if secret in text]


@pytest.mark.parametrize("final", [True, False])
def test_a_stranger_sees_the_curves_of_a_race_on_private_data_and_nothing_else(
    race: str, own: str, engine: FakeEngine, final: bool
) -> None:
    engine.last.state = JobState.FINISHED if final else JobState.RUNNING
    test = open_page("race", warm=True, run=race)
    assert given_away(test, own) == []
    assert query(test).get("run") == race
    assert "private data" in html(test).lower() + " ".join(each.value for each in test.info)
    assert len(test.get("vega_lite_chart")) >= 2
    assert "Finished" in html(test) or not final
    assert test.selectbox(key="race.task").options[-1] == "Private data"
    assert test.button(key="race.play").disabled
    assert not [each.label for each in test.expander if "Result card" in each.label]
    assert not [each.label for each in test.button if each.label in ("Attention as experts",)]
    assert not engine.asked


def test_a_stranger_who_chooses_another_task_is_rid_of_the_private_one(race: str, own: str, engine: FakeEngine) -> None:
    test = open_page("race", warm=True, run=race)
    test.selectbox(key="race.task").select("digits").run()
    assert given_away(test, own) == []
    assert not test.button(key="race.play").disabled
    test.button(key="race.play").click().run()
    assert engine.last.spec["task"] == "digits"


def test_numbers_and_events_of_a_private_race_do_not_name_the_data(race: str, own: str) -> None:
    test = open_page("race", state={"race.numbers": True}, run=race)
    assert given_away(test, own) == []


@pytest.mark.parametrize("page", ["experts", "inside", "landscape"])
def test_a_stranger_cannot_look_inside(page: str, race: str, own: str, engine: FakeEngine) -> None:
    engine.answer = lambda question: pytest.fail(f"asked about {question}")
    engine.problem = "Nothing is recorded here."
    test = open_page(page, run=race)
    assert given_away(test, own) == []
    assert any(PRIVATE in each for each in said(test))
    assert not any(race in str(each.get("folder")) for each in engine.asked)


@pytest.mark.parametrize("page", ["experts", "inside", "landscape"])
def test_nor_by_way_of_the_race_page(page: str, race: str, own: str, engine: FakeEngine) -> None:
    engine.problem = "Nothing is recorded here."
    test = open_page("race", warm=True, run=race)
    test.switch_page(f"pages/{page}.py").run()
    assert given_away(test, own) == []
    assert not any(race in str(each.get("folder")) for each in engine.asked)


def test_a_study_on_private_data_shows_its_curves_only(engine: FakeEngine, own: str) -> None:
    job = engine.submit("study", study_to_dict(DataStudy(task=own)))
    engine.advance()
    test = open_page("data_efficiency", warm=True, run=job)
    assert given_away(test, own) == []
    assert PRIVATE in " ".join(each.value.replace("\\", "") for each in test.info)
    assert "Recorded" not in " ".join(each.label for each in test.expander)
    assert test.button(key="data_efficiency.run").disabled
    assert not [each.label for each in test.expander if "Result card" in each.label]


def test_who_names_the_data_sees_all(race: str, own: str, engine: FakeEngine) -> None:
    test = open_page("race", warm=True, run=race, task=own)
    assert not test.exception
    assert test.selectbox(key="race.task").value == own
    assert [each.label for each in test.expander if "Result card" in each.label]
    engine.problem = "Not now."
    inside = open_page("experts", run=race, task=own)
    assert not inside.exception
    assert not any(PRIVATE in each for each in said(inside))
    assert any(race in str(each.get("folder")) for each in engine.asked)


def test_a_link_of_an_inside_page_opens_again_for_who_has_the_data(race: str, own: str, engine: FakeEngine) -> None:
    source = source_of_job(engine, race, "Run")
    assert source.link == {"run": race, "task": own}


def test_the_runs_page_names_no_private_data(race: str, own: str, engine: FakeEngine, data: Path) -> None:
    token = own.removeprefix(OWN_PREFIX)
    engine.last.message = f"The file of task {own} cannot be read ({token}.parquet: bad)."
    engine.last.state = JobState.FAILED
    history = History(data)
    history.record(row_of(engine.status(race), [], created="2026-01-01T00:00:00Z"))
    history.record(row_of(JobStatus("another_run", "race", JobState.FAILED, engine.last.spec), engine.last.script))
    test = open_page("runs")
    assert given_away(test, own) == []
    assert [each["Task"] for each in test.dataframe[0].value.to_dict("records")] == ["Private data"] * 2
    assert token not in history.to_csv()
    assert not history.count(HistoryFilter(text=token[:4]))


def test_a_row_of_an_older_version_gives_no_name_to_a_search(own: str, data: Path) -> None:
    history = History(data)
    spec = RaceOptions(task=own).race().to_dict()
    history.record(row_of(JobStatus("older_run", "race", JobState.FAILED, spec, message="Bad.")))
    with sqlite3.connect(data / "history.sqlite") as database:
        database.execute("UPDATE runs SET message = ?", [f"The data of task {own} are gone."])
    assert not history.count(HistoryFilter(text=own.removeprefix(OWN_PREFIX)[:6]))
    assert own not in history.list()[0].message


def test_two_private_runs_compared_show_numbers_only(race: str, own: str, engine: FakeEngine, data: Path) -> None:
    history = History(data)
    history.record(row_of(engine.status(race), engine.last.script, created="2026-01-01T00:00:00Z"))

    def script() -> None:
        from replora.jobs.storage.history import History
        from replora.ui.live.engine import engine
        from replora.ui.runs.compare import runs_compare

        row = History().list()[0]
        runs_compare(engine(), row, row)

    test = AppTest.from_function(script, default_timeout=60).run()
    assert given_away(test, own) == []
    assert len(test.get("vega_lite_chart")) == 1


def guarded(engine: FakeEngine, *held: str) -> PrivateEngine:
    return PrivateEngine(engine, NOBODY, lambda name: name in held, {})


def test_the_engine_gives_what_is_private_to_holders_only(race: str, own: str, engine: FakeEngine) -> None:
    stranger, holder = guarded(engine), guarded(engine, own)
    assert holder.status(race).spec["task"] == own
    assert holder.events(race) == engine.events(race)
    text = json.dumps(stranger.status(race).spec) + "".join(stranger.events(race))
    assert not any(secret in text for secret in (own.removeprefix(OWN_PREFIX), "melanoma", "benignity"))
    assert len(stranger.events(race)) == len(engine.events(race))
    assert holder.folder(race) == engine.folder(race)
    with pytest.raises(PrivateRun):
        stranger.folder(race)


@pytest.mark.parametrize("inside", ["", "batch_0"])
def test_the_answerer_is_asked_by_holders_only(race: str, own: str, engine: FakeEngine, inside: str) -> None:
    engine.answer = lambda question: {"kind": "merge"}
    question = MergeQuestion(folder=str(engine.folder(race) / inside), run=0).to_dict()
    with pytest.raises(NoAnswer, match="private data"):
        guarded(engine).ask(question)
    assert not engine.asked
    assert guarded(engine, own).ask(question) == {"kind": "merge"}


def test_a_private_update_is_mixed_into_none_of_a_strangers(race: str, own: str, engine: FakeEngine) -> None:
    engine.answer = lambda question: {"kind": "continuation"}
    private = Part(run=0, folder=str(engine.folder(race)))
    question = ContinuationQuestion(folder="/recorded", models=((), (Part(run=1), private)), prompts=("So",)).to_dict()
    with pytest.raises(NoAnswer, match="private data"):
        guarded(engine).ask(question)
    assert not engine.asked
    assert guarded(engine, own).ask(question) == {"kind": "continuation"}


def test_nobody_trains_on_data_that_they_do_not_hold(own: str, engine: FakeEngine) -> None:
    with pytest.raises(JobRefused, match="somebody else"):
        guarded(engine).submit("race", RaceOptions(task=own).race().to_dict())
    assert guarded(engine, own).submit("race", RaceOptions(task=own).race().to_dict())


def test_a_message_says_what_failed_without_the_name_of_the_data(own: str) -> None:
    token = own.removeprefix(OWN_PREFIX)
    said = unnamed(f"The file of task {own} cannot be read (/data/tasks/{token}.parquet).", own)
    assert said == "The file of task own:… cannot be read (/data/tasks/….parquet)."


def test_files_that_people_pass_on_do_not_name_the_data(own: str) -> None:
    assert own.removeprefix(OWN_PREFIX) not in spec_file(RaceOptions(task=own).race())
    assert (file_word(own), file_word("digits")) == ("own", "digits")
