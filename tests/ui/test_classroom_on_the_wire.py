"""A class over the websocket of a real server: a push reaches all, an idle look is small, and a kill loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from class_rooms import TINY
from in_a_loop import finished
from light_jobs import APP

from benchmarks.room import Class
from benchmarks.streamlit_client import ROOT

SECONDS = 450
USERS = 3
IDLE_BYTES = 150


@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True], ids=["in peace", "killed in the middle"])
def test_a_class_finishes_whatever_becomes_of_the_web_process(tmp_path: Path, kill: bool) -> None:
    script = tmp_path / "light_app.py"
    script.write_text(APP, encoding="utf-8")
    path = {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    held = Class(tmp_path / "data", USERS, TINY, SECONDS / 3, kill, script=script, environment=path)
    found = finished(held.hold(), SECONDS)
    assert (found["seated"], found["saw_the_push"], found["pooled"]) == (USERS, USERS, USERS)
    assert found["own_result_seen"] == USERS
    assert found["idle_bytes"]["p50"] <= IDLE_BYTES
    assert (found["begun_anew_seconds"] is not None) == kill
