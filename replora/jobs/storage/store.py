"""What is kept of each job, put together: its row in the history, its event lines and its folder."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from replora.jobs.engine import JobState, JobStatus, UnknownJob
from replora.jobs.kinds import NO_RUNS
from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.files import JobFiles, unknown
from replora.jobs.storage.history import History
from replora.jobs.storage.history_rows import row_of
from replora.jobs.storage.rows import HistoryFilter, JobFacts, RunRow
from replora.settings import data_folder

log = logging.getLogger(__name__)


class Store:
    """Jobs in a folder, by default `data_folder()`; nothing is created before the first job is saved."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.data = data_folder() if folder is None else Path(folder).absolute()
        self.files = JobFiles(self.data)
        self.history = History(self.data)

    def settle(self) -> None:
        """Jobs of processes that are gone have failed; where the history cannot be used, its readers are told."""
        try:
            self.history.settle()
        except HistoryError as error:
            log.warning("%s", error)

    def finished(self, most: int = 100) -> Sequence[RunRow]:
        """The latest runs that came to their end; none where the history cannot be used, which its readers are told."""
        try:
            return self.history.list(HistoryFilter(state=JobState.FINISHED), most)
        except HistoryError as error:
            log.warning("%s", error)
            return ()

    def save(self, status: JobStatus, lines: Sequence[str] = (), owner: str = "") -> None:
        """Notes how a job stands, with its result so far where `lines` are given; `HistoryError`.

        owner: who runs it while it is on, see `replora.jobs.storage.owner`.
        """
        self.files.folder(status.job)  # refuses an id that no job can have
        facts = JobFacts(
            events=status.events,
            notice=status.notice,
            owner="" if status.state.final else owner,
            listed=status.kind not in NO_RUNS,
            visitor=status.visitor,
        )
        self.history.record(row_of(status, lines), facts=facts)

    def load(self, job: str) -> tuple[JobStatus, list[str]]:
        """A stored job and its lines; `UnknownJob` where there is none.

        A job that was on when its owner's process ended has failed with a sentence that says so; a job that cannot be
        read has failed with a sentence that says why, and keeps the lines before the broken one.
        """
        self.files.folder(job)
        try:
            row, facts = self.history.facts(job)
            if not row.state.final:
                self.history.settle()
                row, facts = self.history.facts(job)
        except UnknownJob:
            raise unknown(job) from None
        except HistoryError as error:
            message = f"The stored run cannot be read. {error}"
            return JobStatus(job=job, kind="", state=JobState.FAILED, spec={}, message=message), []
        lines, damage = self.files.lines(job)
        notice = facts.notice
        if len(lines) < facts.events and not (notice or damage):
            notice = f"Of the {facts.events} events of this run only {len(lines)} are stored."
        status = JobStatus(
            job=job,
            kind=row.kind.partition(" ")[0],  # of 'study data', say
            state=row.state,
            spec=row.spec,
            events=len(lines),
            message=row.message,
            notice=notice,
            visitor=facts.visitor,
        )
        return dataclasses.replace(status, state=JobState.FAILED, message=damage) if damage else status, lines
