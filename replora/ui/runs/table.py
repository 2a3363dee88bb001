"""The table of the Runs page: a page of rows, of which some can be selected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import streamlit as st

from replora.jobs.engine import JobState
from replora.jobs.storage.rows import RunRow
from replora.ui.messages import TABLE
from replora.ui.parts.clock import started
from replora.ui.parts.run_kinds import WHO_TITLES, kind_title, run_task_title
from replora.ui.runs.keep import Files

HEIGHT = 460  # pixels; fewer rows take less
ROW_HEIGHT = 35
RESULT_WIDTH = 520


def runs_table(rows: Sequence[RunRow], files: Files) -> Sequence[RunRow]:
    """Draws the rows; those that are selected."""
    # A table of other rows is another table: a selection must never pass to a run that took a row's place.
    key = f"runs{TABLE}" + hashlib.sha256(" ".join(each.id for each in rows).encode()).hexdigest()[:16]
    state = st.dataframe(
        [_shown(each, files) for each in rows],
        hide_index=True,
        height=min(HEIGHT, ROW_HEIGHT * (len(rows) + 1) + 3),
        row_height=ROW_HEIGHT,
        column_config={"Result": st.column_config.TextColumn(width=RESULT_WIDTH)},
        on_select="rerun",
        selection_mode="multi-row",
        key=key,
        alt="The runs with their kind, task, methods, state and result.",
    )
    return [rows[place] for place in state["selection"]["rows"] if place < len(rows)]


def result_line(row: RunRow) -> str:
    """What came out of a run, or why nothing did."""
    return " ".join([row.message, row.verdict] if row.state is JobState.FAILED else [row.verdict, row.message]).strip()


def _shown(row: RunRow, files: Files) -> dict[str, str]:
    """What a row tells, the result early enough to be seen whole where there is room for it."""
    return {
        "Started": " ".join(started(row.created)),
        "Kind": kind_title(row.kind),
        "Task": run_task_title(row.task),
        "State": row.state.capitalize(),
        "Result": result_line(row),
        "Methods": ", ".join(WHO_TITLES.get(each, each) for each in row.methods),
        "Seeds": ", ".join(map(str, row.seeds)),
        "Files": files.word(row.id),
        "Device": row.device,
        "Spec": row.spec_hash,
        "Run": row.id,
    }
