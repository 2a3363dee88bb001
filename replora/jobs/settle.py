"""Brings the history up to what the engine says: a job that was on when its process was killed has failed."""

from __future__ import annotations

import dataclasses

from replora.jobs.engine import Engine, JobState, JobStatus, UnknownJob
from replora.jobs.history import History
from replora.jobs.history_rows import row_of

GONE = "Nothing is stored of this run."


def settle(history: History, engine: Engine) -> None:
    """Rows that had not ended are made to say what the engine says of their jobs; `HistoryError`.

    When a job ended that ended unseen is not known, so its row does not say.
    """
    for row in history.unfinished():
        try:
            status = engine.status(row.id)
            lines = engine.events(row.id) if status.state.final else ()
        except UnknownJob:
            status, lines = JobStatus(row.id, "", JobState.FAILED, {}, message=GONE), ()
        if status.state is row.state:
            continue
        if status.kind:
            settled = dataclasses.replace(row_of(status, lines, created=row.created), ended="")
        else:  # its files are damaged or gone; what the row says of its spec stays
            settled = dataclasses.replace(row, state=status.state, message=status.message)
        history.settle(row, settled)
