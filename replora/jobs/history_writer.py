"""Keeps the history as jobs begin and end, and passes finished races on to trackio where that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from replora.jobs.engine import JobState, JobStatus
from replora.jobs.history import History, HistoryError
from replora.jobs.history_rows import row_of
from replora.jobs.kinds import NO_RUNS
from replora.jobs.trackio_sink import log_race, wanted_project

log = logging.getLogger(__name__)


class HistoryWriter:
    """Called by one thread of an engine; never raises, since a run must not end because nobody can note it down."""

    def __init__(self, history: History) -> None:
        self._history = history

    def record(self, status: JobStatus, lines: Sequence[str]) -> str:
        """Notes how a run stands, with its result where it has ended; why that cannot be done, or ''."""
        if status.kind in NO_RUNS:
            return ""
        try:
            self._history.record(row_of(status, lines))
        except HistoryError as error:
            return f"This run is not in the history. {error}"
        except Exception as error:  # a bug in a summary must not stop the thread that stores all runs
            log.exception("The result of job %s cannot be summarized.", status.job)
            return f"This run is not in the history: its result cannot be summarized ({type(error).__name__})."
        finally:
            told = status.state is JobState.FINISHED and status.kind == "race" and lines
            if told and (project := wanted_project()):
                log_race(project, status.job, lines)
        return ""
