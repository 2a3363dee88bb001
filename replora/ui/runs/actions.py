"""What can be done with the runs that are selected or listed: open, delete, download."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.history import History
from replora.jobs.storage.rows import HistoryFilter, RunRow
from replora.options import SpecError
from replora.own_data.private import own_task
from replora.ui.parts.run_kinds import link_to
from replora.ui.parts.text import plain
from replora.ui.runs.keep import Files, keep_button
from replora.ui.runs.rights import deletable, deletable_of
from replora.ui.runs.said import runs_in_words, say
from replora.ui.visitor.own_data import holds

NOT_OWN = "Only the browser in which a run was started can keep or delete it."


def runs_actions(
    history: History, files: Files, selected: Sequence[RunRow], wanted: HistoryFilter, listed: int
) -> None:
    """The buttons; each enabled only where it would do something."""
    link = _link(selected[0]) if len(selected) == 1 else ""
    with st.container(horizontal=True, key="runs.actions", gap="small", vertical_alignment="center"):
        if link:
            st.link_button("Open", link, icon=":material/open_in_new:")
        else:  # a link that leads nowhere is a link to who hears the page
            st.button("Open", icon=":material/open_in_new:", key="runs.open", disabled=True)
        if _may_delete():
            own = deletable_of(history, selected)
            refusal = NOT_OWN if selected and not own else None
            keep_button(files, own, refusal)
            _delete(history, selected, own, refusal)
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


def _link(row: RunRow) -> str:
    """What opens a run; own data of this visitor with the run, those of others never."""
    return link_to(row.kind, row.spec, row.id, named=holds(own_task(row.spec)))


def _hint(selected: Sequence[RunRow]) -> str:
    if not selected:
        return "Select a run to open it, two to compare them."
    if len(selected) == 1:
        return "1 run selected. Select a second one to compare."
    return f"{runs_in_words(len(selected))} selected"


def _may_delete() -> bool:
    """Whether this server lets visitors delete; no, and a sentence, where its setting cannot be read."""
    try:
        return deletable() != "none"
    except SpecError as error:
        st.error(plain(str(error)))
        return False


def _delete(history: History, selected: Sequence[RunRow], own: Sequence[RunRow], refusal: str | None) -> None:
    """A button that asks once more, and says of how many runs.

    own: those that this visitor may delete. refusal: why none.
    """
    ended = [each.id for each in own if each.state.final]
    foreign = len(selected) - len(own)
    with st.popover(
        "Delete",
        icon=":material/delete:",
        disabled=not own,
        key="runs.delete",
        help=refusal,
    ):
        on = len(own) - len(ended)
        if foreign:
            st.markdown(f"{runs_in_words(foreign)} of others will stay.")
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
        say(f"{runs_in_words(history.delete(jobs))} deleted.")
    except HistoryError as error:
        say(str(error), failed=True)
