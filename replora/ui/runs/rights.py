"""Whose runs a visitor may delete: their own; on a machine of one's own, and who holds the owner's key, all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from replora.jobs.engine import UnknownJob
from replora.jobs.storage.history import History
from replora.jobs.storage.rows import RunRow
from replora.options import option
from replora.settings import Settings
from replora.ui.live.engine import is_local
from replora.ui.visitor.owner import holds_key
from replora.ui.visitor.who import visitor_name


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """What visitors may do with runs."""

    delete_runs: Literal["all", "own", "none"] = option(
        "own",
        "Delete runs",
        "Which runs a visitor may delete; all unless said otherwise where only this machine connects.",
    )


def deletable() -> Literal["all", "own", "none"]:
    """Which runs this visitor may delete; `SpecError` where the environment is set wrongly."""
    found = RunSettings.from_environment(delete_runs="all" if is_at_home() else "own").delete_runs
    return "all" if holds_key() else found


def deletable_of(history: History, rows: Sequence[RunRow]) -> Sequence[RunRow]:
    """Those of `rows`; `SpecError`, `HistoryError`."""
    which = deletable()
    return [each for each in rows if which == "all" or (which == "own" and is_own(history, each.id))]


def is_own(history: History, job: str) -> bool:
    """Whether this visitor submitted a job; no where it is gone; `HistoryError`."""
    try:
        return history.facts(job)[1].visitor == visitor_name()
    except UnknownJob:
        return False


def is_at_home() -> bool:
    """Whether only this machine can reach the server."""
    return is_local(st.get_option("server.address"))
