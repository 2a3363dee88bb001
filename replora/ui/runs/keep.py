"""Runs whose files stay where the server's room for data runs out: which they are, and the button for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from replora.jobs.storage.budget import ALL_GONE, SNAPSHOTS_GONE, Budget
from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.history import History
from replora.jobs.storage.rows import RunRow
from replora.options import SpecError
from replora.settings import data_folder
from replora.ui.runs.rights import is_at_home
from replora.ui.runs.said import runs_in_words, say
from replora.ui.visitor.owner import holds_key

KEPT_SHARE = 0.1  # of the room for runs that are kept, what one of many visitors takes
KEEP_HELP = "Where this server's room for data runs out, the oldest runs lose their files, except those that are kept."


@dataclass(frozen=True)
class Files:
    """What there is of the runs of a page beside their rows: which are kept, and what there is to say of some."""

    kept: Collection[str]
    notices: Mapping[str, str]

    @classmethod
    def of(cls, history: History, rows: Sequence[RunRow]) -> Files:
        """Of these runs; `HistoryError`."""
        return cls(history.pinned(), history.notices([row.id for row in rows]))

    def word(self, job: str) -> str:
        """The files of a run in the table: '' where all are there and nobody keeps them."""
        notice = self.notices.get(job, "")
        gone = "Removed" if ALL_GONE in notice else "Curves only" if SNAPSHOTS_GONE in notice else ""
        return ", ".join(filter(None, (gone, "kept" if gone else "Kept"))) if job in self.kept else gone


def keep_button(files: Files, selected: Sequence[RunRow], refusal: str | None) -> None:
    """Keeps the runs that are selected, or no longer where all are kept. refusal: why it cannot."""
    jobs = [row.id for row in selected]
    held = bool(jobs) and set(jobs) <= set(files.kept)
    st.button(
        "Stop keeping" if held else "Keep",
        icon=":material/keep_off:" if held else ":material/keep:",
        key="runs.keep",
        disabled=not jobs,
        help=refusal or KEEP_HELP,
        on_click=_pressed,
        args=(jobs, held),
    )


def _pressed(jobs: Sequence[str], held: bool) -> None:
    budget = Budget(data_folder(), 1.0 if is_at_home() or holds_key() else KEPT_SHARE)
    try:
        (budget.let_go if held else budget.keep)(jobs)
    except (HistoryError, SpecError) as error:
        say(str(error), failed=True)
    else:
        say(f"{runs_in_words(len(jobs))} {'no longer kept' if held else 'kept'}.")
