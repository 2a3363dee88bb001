"""The recorded races that are shown before anything has run."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from replora.catalog import ASSETS
from replora.events import Event, EventError, read_events, started_of

FOLDER = ASSETS / "recorded"


def recorded_race(task: str) -> tuple[Event, ...]:
    """The recorded race of a task; `EventError`, with a sentence, where there is none that can be read."""
    path = FOLDER / f"race_{task}.jsonl"
    if not path.is_file():
        raise EventError("There is no recorded run of this task yet; press Play.")
    return _read(path, path.stat().st_mtime_ns)


@st.cache_resource(show_spinner=False, max_entries=32)
def _read(path: Path, changed: int) -> tuple[Event, ...]:
    """The events of a file; `changed` makes a new file a new entry."""
    events = tuple(read_events(path))
    if started_of(events) is None:
        raise EventError(f"{path.name} holds no start of a race.")
    return events
