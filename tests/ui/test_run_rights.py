"""Whose runs a visitor may delete, and lists as those of this browser."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from open_pages import html, open_page, said
from present import present
from streamlit.testing.v1 import AppTest

from replora.config import RaceOptions
from replora.jobs.engine import JobState, JobStatus
from replora.jobs.storage.files import JobFiles
from replora.jobs.storage.history import History
from replora.jobs.storage.store import Store
from replora.settings import data_folder
from replora.ui.runs.actions import NOT_OWN
from replora.ui.visitor.lasting import close_all
from replora.ui.visitor.owner import VARIABLE
from replora.ui.visitor.who import SECRET

SECRETS = {"ann": "a" * 43, "bob": "b" * 43}


@pytest.fixture
def history(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> History:
    """A finished run of Ann's, one of Bob's, and one of before runs had visitors."""
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path))
    monkeypatch.delenv("REPLORA_DELETE_RUNS", raising=False)
    spec = RaceOptions().race().to_dict()
    for name, secret in {**SECRETS, "old": ""}.items():
        visitor = hashlib.sha256(secret.encode()).hexdigest() if secret else ""
        Store(tmp_path).save(JobStatus(f"{name}s_run", "race", JobState.FINISHED, spec, visitor=visitor))
    return History(tmp_path)


def runs(test: AppTest) -> set[str]:
    return {each["Run"] for each in test.dataframe[0].value.to_dict("records")}


def opened(who: str, *selected: str, **state: Any) -> AppTest:
    """Somebody's page, with some runs selected."""
    test = open_page("runs", state={SECRET: SECRETS[who], **state})
    assert not test.exception
    listed = [each["Run"] for each in test.dataframe[0].value.to_dict("records")]
    places = [listed.index(each) for each in selected]
    test.session_state[present(test.dataframe[0].key)] = {"selection": {"rows": places, "columns": [], "cells": []}}
    return test.run()


def delete(test: AppTest) -> AppTest:
    button = test.button(key="runs.delete.sure")
    button.proto.disabled = False  # a client of one's own may press what a browser does not
    return button.click().run()


def test_where_strangers_come_one_of_them_keeps_a_share(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_DATA_MB", "30")
    JobFiles(data_folder()).append("anns_run", " " * 2 * 2**20)
    test = opened("ann", "anns_run")
    test.button(key="runs.keep").click().run()
    assert "one visitor keeps may take 1 MB here" in said(test)[0]
    assert not history.pinned()
    monkeypatch.setattr("replora.ui.runs.keep.is_at_home", lambda: True)
    opened("ann", "anns_run").button(key="runs.keep").click().run()
    assert history.pinned() == {"anns_run"}


def test_who_has_no_run_listed_is_told_whose_are(history: History) -> None:
    history.delete(["anns_run"])
    test = open_page("runs", state={SECRET: SECRETS["ann"], "runs.own": True})
    assert [each.value for each in test.info] == ["None of this browser; choose Of all to see 2 runs of others."]
    test = open_page("runs", state={SECRET: SECRETS["ann"], "runs.own": True, "runs.text": "nothing"})
    assert [each.value for each in test.info] == ["No run fits these filters."]


def test_ones_own_run_is_deleted_and_those_of_others_stay(history: History) -> None:
    test = opened("ann", "anns_run", "bobs_run", "olds_run")
    words = [each.value for each in test.markdown]
    assert words[0] == "2 runs of others will stay."
    assert words[1].startswith("Delete 1 run with all that is stored?")
    assert runs(delete(test)) == {"bobs_run", "olds_run"}


def test_a_run_of_somebody_else_is_not_deleted(history: History) -> None:
    test = opened("ann", "bobs_run")
    popover = next(each.proto.popover for each in test.get("popover"))
    assert (popover.disabled, popover.help) == (True, NOT_OWN)
    keep = test.button(key="runs.keep")
    assert (keep.disabled, keep.help) == (True, NOT_OWN)
    assert runs(delete(test)) == {"anns_run", "bobs_run", "olds_run"}


def test_an_owner_deletes_all(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "correct horse battery")
    open_page("home", warm=True, state={SECRET: SECRETS["ann"]}, key="correct horse battery")
    assert runs(delete(opened("ann", "bobs_run", "olds_run"))) == {"anns_run"}
    close_all()


def test_where_only_this_machine_connects_all_runs_are_ones_own(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replora.ui.runs.rights.is_local", lambda address: True)
    test = opened("ann", "bobs_run", "olds_run")
    assert "runs.own" not in test.session_state
    assert runs(delete(test)) == {"anns_run"}


def test_one_lists_the_runs_of_ones_browser(history: History) -> None:
    assert runs(opened("bob")) == {"anns_run", "bobs_run", "olds_run"}
    test = opened("bob", **{"runs.own": True})
    assert runs(test) == {"bobs_run"}
    assert "1 run" in html(test)
    assert hashlib.sha256(SECRETS["bob"].encode()).hexdigest() not in history.to_csv()
