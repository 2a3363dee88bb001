"""The recorded studies that are shown before anything has run, and parts of them, each made once for all visitors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from replora.catalog import ASSETS
from replora.events import EventError
from replora.studies.events import StudyEvent
from replora.studies.lines import read_study_events
from replora.studies.selection import spec_of

FOLDER = ASSETS / "recorded"


def recorded_study(name: str) -> tuple[StudyEvent, ...]:
    """A recorded study by the name of its file; `EventError`, with a sentence, where there is none that can be read."""
    path = FOLDER / f"{name}.jsonl"
    if not path.is_file():
        raise EventError("There is no recorded study of this task yet; press Run live.")
    return _read(path, path.stat().st_mtime_ns)


def made_once(name: str, key: str, make: Callable[[], Any]) -> Any:
    """What `make` makes of a recorded study, kept under `key` until the file changes."""
    path = FOLDER / f"{name}.jsonl"
    return _made(path, path.stat().st_mtime_ns, key, make)


@st.cache_resource(show_spinner=False, max_entries=16)
def _read(path: Path, changed: int) -> tuple[StudyEvent, ...]:
    """The events of a file; `changed` makes a new file a new entry."""
    events = read_study_events(path)
    if spec_of(events) is None:
        raise EventError(f"{path.name} holds no start of a study.")
    return events


@st.cache_resource(show_spinner=False, max_entries=128)
def _made(path: Path, changed: int, key: str, _make: Callable[[], Any]) -> Any:
    return _make()
