"""The download as a job of the local engine, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from replora.hub.download import OFFLINE, Download, Downloaded, from_line
from replora.jobs.engine import JobState, JobStatus
from replora.jobs.local import LocalEngine
from replora.jobs.storage.history import History
from replora.jobs.storage.store import Store


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], tuple[JobStatus, list[str]]]]:
    """`run(address)`: a download from the hub there, by an engine without torch: its last status and its lines."""
    made: list[LocalEngine] = []

    def start(address: str) -> tuple[JobStatus, list[str]]:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("HF_HUB_CACHE", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        engine = LocalEngine(preload=(), store=Store(tmp_path / "data"))
        made.append(engine)
        job = engine.submit("download", Download(backbone="hf:some/model").to_dict())
        end = time.monotonic() + 60
        while not engine.status(job).state.final and time.monotonic() < end:
            time.sleep(0.05)
        return engine.status(job), list(engine.events(job))

    yield start
    for engine in made:
        engine.close()


def test_a_job_downloads_and_has_no_place_in_the_history(run: Any, hub: Any, files: Any, tmp_path: Path) -> None:
    hub.repositories["some/model"] = files
    status, lines = run(hub.address)
    assert status.state is JobState.FINISHED, status.message
    assert isinstance(from_line(lines[-1]), Downloaded)
    weights = next((tmp_path / "home").glob("hub/models--some--model/snapshots/*/model.safetensors"))
    assert weights.read_bytes() == files["model.safetensors"]
    assert status.notice == ""
    assert History(tmp_path / "data").list() == ()


def test_a_job_without_a_network_fails_with_the_sentence(run: Any, closed_port: int) -> None:
    status, _ = run(f"http://127.0.0.1:{closed_port}")
    assert (status.state, status.message) == (JobState.FAILED, OFFLINE)
