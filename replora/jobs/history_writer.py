"""Notes how jobs begin and end, and passes finished races on to trackio where that is wanted."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from replora.jobs.engine import JobState, JobStatus
from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.files import reason
from replora.jobs.storage.owner import Owner
from replora.jobs.storage.store import Store
from replora.jobs.trackio_sink import log_race, wanted_project

log = logging.getLogger(__name__)


class HistoryWriter:
    """Called by one thread of an engine; never raises, since a run must not end because nobody can note it down."""

    def __init__(self, store: Store, owner: Owner) -> None:
        self._store = store
        self._owner = owner

    def record(self, status: JobStatus, lines: Sequence[str]) -> tuple[str, str]:
        """Notes how a job stands, with its result where it has ended: why that cannot be done, why without a result.

        Either is '' where all is well.
        """
        unsummarized = ""
        try:
            owner = "" if status.state.final else self._owner.hold()
            try:
                self._store.save(status, lines, owner)
            except HistoryError:
                raise
            except Exception as error:  # a bug in a summary must cost neither the state nor the thread that stores it
                log.exception("The result of job %s cannot be summarized.", status.job)
                unsummarized = f"The result of this run cannot be summarized ({type(error).__name__})."
                self._store.save(dataclasses.replace(status, notice=status.notice or unsummarized), (), owner)
        except HistoryError as error:
            return f"This run is not in the history. {error}", unsummarized
        except OSError as error:
            return f"This run is not in the history. It cannot be marked as running: {reason(error)}.", unsummarized
        finally:
            told = status.state is JobState.FINISHED and status.kind == "race" and lines
            if told and (project := wanted_project()):
                log_race(project, status.job, lines)
        return "", unsummarized
