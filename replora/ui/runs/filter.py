"""The sidebar of the Runs page: which runs are listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from replora.jobs.storage.rows import HistoryFilter
from replora.ui.parts.run_kinds import WHO_TITLES, kind_title, run_task_title
from replora.ui.runs.rights import is_at_home
from replora.ui.visitor.who import visitor_name

LABELS: dict[str, tuple[str, Callable[[str], str]]] = {
    "kind": ("Kind", kind_title),
    "task": ("Task", run_task_title),
    "state": ("State", str.capitalize),
    "method": ("Method", lambda method: WHO_TITLES.get(method, method)),
}


def runs_filter(choices: Mapping[str, Sequence[str]]) -> HistoryFilter:
    """Controls for what occurs in the history; a value that no longer does stays chosen until it is changed."""
    chosen = {name: _choice(name, choices[name]) for name in LABELS}
    text = st.text_input(
        "Search",
        key="runs.text",
        placeholder="verdict, message, id, hash",
        max_chars=200,
        persist_state="session",
    )
    whose = "" if is_at_home() else _whose()
    oldest = _switch("Order", "runs.order", "Newest first", "Oldest first")
    return HistoryFilter(**chosen, text=text or "", visitor=whose, oldest_first=oldest)


def _whose() -> str:
    """Of which visitor."""
    return visitor_name() if _switch("Runs", "runs.own", "Of all", "Of this browser") else ""


def _switch(label: str, key: str, off: str, on: str) -> bool:
    """One of two, `off` at first."""
    chosen = st.segmented_control(
        label,
        [False, True],
        default=False,
        required=True,
        format_func=lambda chosen: on if chosen else off,
        key=key,
        persist_state="session",
        width="stretch",
    )
    return bool(chosen)


def _choice(name: str, values: Sequence[str]) -> str:
    label, title = LABELS[name]
    before = st.session_state.get(f"runs.{name}", "")
    chosen: str = st.selectbox(
        label,
        ["", *sorted({*values, before} - {""}, key=title)],
        format_func=lambda value: title(value) if value else "All",
        key=f"runs.{name}",
        persist_state="session",
    )
    return chosen
