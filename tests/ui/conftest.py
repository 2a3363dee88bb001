"""An app that talks to a fake engine, and recordings without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
from fake_engine import FakeEngine
from streamlit.components.v2 import manifest_scanner
from synthetic_runs import synthetic_race, write_recording

from replora.config import RaceOptions
from replora.events import to_line
from replora.ui.live import engine as ui_engine
from replora.ui.live import recordings as recorded
from replora.ui.visitor.lasting import close_all


@pytest.fixture(scope="session", autouse=True)
def components_looked_for_once() -> Iterator[None]:
    """Each new `AppTest` looks through all installed packages for components, two thirds of what a page takes here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[FakeEngine], FakeEngine]]:
    """`connect(engine)`: the app talks to this engine."""

    def use(fake: FakeEngine) -> FakeEngine:
        close_all()
        st.cache_resource.clear()
        monkeypatch.setattr(ui_engine, "connect", lambda: fake)
        return fake

    yield use
    close_all()
    st.cache_resource.clear()


@pytest.fixture
def engine(connect: Callable[[FakeEngine], FakeEngine]) -> FakeEngine:
    """The engine that the app talks to; it runs jobs of every kind."""
    return connect(FakeEngine())


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of recorded races of digits and topics, in place of the one in assets."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    for task in ("digits", "wordnet_topics"):
        events = synthetic_race(RaceOptions(task=task).race())
        write_recording(folder / f"race_{task}.jsonl.gz", map(to_line, events))
    monkeypatch.setattr(recorded, "FOLDER", folder)
    return folder
