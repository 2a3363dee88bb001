"""What can be done with the runs that are selected or listed: open, delete, download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.history import History
from replora.jobs.storage.rows import HistoryFilter, RunRow
from replora.options import SpecError, option
from replora.settings import Settings
from replora.ui.parts.run_kinds import link_to
from replora.ui.parts.text import plain
from replora.wording import count

SAID = "runs.said"  # what the last action did, and whether it could not


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """What visitors may do with the runs of others."""

    delete_runs: bool = option(True, "Delete runs", "Whether visitors may delete runs: not where strangers share them.")


def runs_actions(history: History, selected: Sequence[RunRow], wanted: HistoryFilter, listed: int) -> None:
    """The buttons; each enabled only where it would do something."""
    link = link_to(selected[0].kind, selected[0].spec, selected[0].id) if len(selected) == 1 else ""
    with st.container(horizontal=True, key="runs.actions", gap="small", vertical_alignment="center"):
        st.link_button("Open", link or "#", icon=":material/open_in_new:", disabled=not link)
        if _may_delete():
            _delete(history, selected)
        st.download_button(
            "Download CSV",
            lambda: history.to_csv(wanted),
            "runs.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="runs.csv",
            disabled=not listed,
            help="All runs that the filters leave.",
        )
        st.html(f'<p class="size">{_hint(selected)}</p>', width="content")


def said() -> tuple[str, bool]:
    """The sentence about the last action and whether it failed; it is told once."""
    sentence: tuple[str, bool] = st.session_state.pop(SAID, ("", False))
    return sentence


def runs_in_words(number: int) -> str:
    """'1 run', '12 runs'."""
    return f"{count(number)} run" + ("s" if number != 1 else "")


def _hint(selected: Sequence[RunRow]) -> str:
    if not selected:
        return "Select a run to open it, two to compare them."
    if len(selected) == 1:
        return "1 run selected. Select a second one to compare."
    return f"{runs_in_words(len(selected))} selected"


def _may_delete() -> bool:
    """Whether this server lets visitors delete; no, and a sentence, where its setting cannot be read."""
    try:
        return RunSettings.from_environment().delete_runs
    except SpecError as error:
        st.error(plain(str(error)))
        return False


def _delete(history: History, selected: Sequence[RunRow]) -> None:
    """A button that asks once more, and says of how many runs."""
    ended = [each.id for each in selected if each.state.final]
    with st.popover("Delete", icon=":material/delete:", disabled=not selected, key="runs.delete"):
        on = len(selected) - len(ended)
        if on:
            verb = "is" if on == 1 else "are"
            st.markdown(f"{runs_in_words(on)} {verb} still on and will stay; cancel first.")
        if ended:
            st.markdown(f"Delete {runs_in_words(len(ended))} with all that is stored? This cannot be undone.")
        st.button(
            f"Delete {runs_in_words(len(ended))}",
            key="runs.delete.sure",
            disabled=not ended,
            on_click=_deleted,
            args=(history, ended),
        )


def _deleted(history: History, jobs: Sequence[str]) -> None:
    try:
        st.session_state[SAID] = (f"{runs_in_words(history.delete(jobs))} deleted.", False)
    except HistoryError as error:
        st.session_state[SAID] = (str(error), True)
