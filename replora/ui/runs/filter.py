"""The sidebar of the Runs page: which runs are listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from replora.jobs.storage.rows import HistoryFilter
from replora.ui.parts.run_kinds import WHO_TITLES, kind_title, run_task_title

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
    oldest = st.segmented_control(
        "Order",
        [False, True],
        default=False,
        required=True,
        format_func=lambda oldest: "Oldest first" if oldest else "Newest first",
        key="runs.order",
        persist_state="session",
        width="stretch",
    )
    return HistoryFilter(**chosen, text=text or "", oldest_first=bool(oldest))


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
