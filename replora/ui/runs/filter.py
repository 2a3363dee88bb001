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
    return HistoryFilter(**chosen, text=text or "", visitor=whose, oldest_first=bool(oldest))


def _whose() -> str:
    """Of which visitor."""
    own = st.segmented_control(
        "Runs",
        [False, True],
        default=False,
        required=True,
        format_func=lambda own: "Of this browser" if own else "Of all",
        key="runs.own",
        persist_state="session",
        width="stretch",
    )
    return visitor_name() if own else ""


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
