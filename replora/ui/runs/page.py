"""The Runs page put together: filters on the left; the table, what can be done with it, and two runs compared."""

from __future__ import annotations

import dataclasses

import streamlit as st

from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.history import History
from replora.jobs.storage.rows import HistoryFilter
from replora.ui.live.engine import engine
from replora.ui.parts.text import plain
from replora.ui.runs.actions import runs_actions
from replora.ui.runs.compare import run_card, runs_compare
from replora.ui.runs.filter import runs_filter
from replora.ui.runs.keep import Files
from replora.ui.runs.said import runs_in_words, said
from replora.ui.runs.table import runs_table
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE, linked
from replora.wording import count

PAGE_SIZE = 100
HEADER = (
    "<header class='page'><h1>Runs</h1>"
    "<p>Every race, study and Monte Carlo run here. Where room runs out, the oldest lose their files.</p></header>"
)
EMPTY = (
    "No run yet. Press Play on the page *Race* or Run live on a page of studies, as *Learning rate*: it is then "
    "listed here, stays after a restart, and can be opened, compared and downloaded."
)


def runs_page() -> None:
    """All of it; a history that cannot be read is a sentence."""
    st.html(STYLE / "study.css")
    st.html(STYLE / "runs.css")
    st.html(HEADER)
    history = History()
    try:
        _listing(history)
    except HistoryError as error:
        st.error(plain(str(error)))


def _listing(history: History) -> None:
    with controls():
        wanted = runs_filter(history.choices())
    sentence, failed = said()
    if sentence:
        (st.error if failed else st.success)(plain(sentence))
    total = history.count(wanted)
    if not total:
        st.info(_why_none(history, wanted))
        return
    pages = -(-total // PAGE_SIZE)
    top = st.container(horizontal=True, key="runs.top", vertical_alignment="center", gap="small")
    page = 1
    if pages > 1:
        with top:
            page = st.pagination(pages, key=f"runs.page.{pages}", max_visible_pages=5)
    offset = PAGE_SIZE * (page - 1)
    rows = history.list(wanted, PAGE_SIZE, offset)
    with top:
        shown = f"{count(offset + 1)} to {count(offset + len(rows))} of {runs_in_words(total)}"
        st.html(f'<p class="size">{shown if pages > 1 else runs_in_words(total)}</p>', width="content")
    files = Files.of(history, rows)
    selected = runs_table(rows, files)
    runs_actions(history, files, selected, wanted, total)
    if len(selected) == 1:
        st.html(run_card(selected[0], notice=files.notices.get(selected[0].id, "")))
    if len(selected) == 2:
        runs_compare(engine(), *selected)


def _why_none(history: History, wanted: HistoryFilter) -> str:
    """Why the filters leave no run, and what would."""
    if not history.count():
        return linked(EMPTY)
    others = history.count(dataclasses.replace(wanted, visitor=""))
    if not others:
        return "No run fits these filters."
    return f"None of this browser; choose Of all to see {runs_in_words(others)} of others."
