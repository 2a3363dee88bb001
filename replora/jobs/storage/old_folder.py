"""Data folders of version 1, which kept each job's status in a file `jobs/<id>.json`: taken into the table once."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from replora.jobs.engine import JobState, JobStatus
from replora.jobs.kinds import NO_RUNS
from replora.jobs.storage.files import JOB_ID, JobFiles
from replora.jobs.storage.history_rows import row_of
from replora.jobs.storage.rows import JobFacts, upsert

FIELDS = {"job", "kind", "state", "spec", "events", "position", "message", "notice"}  # of a status file

log = logging.getLogger(__name__)


class OldJobs:
    """The status files of a data folder."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "jobs"
        self._files = JobFiles(data)
        self._taken: list[Path] = []

    def found(self) -> bool:
        """Whether there are any."""
        return next(self._folder.glob("*.json"), None) is not None

    def take_in(self, database: sqlite3.Connection) -> None:
        """Brings the table up to what the files say; the caller has begun a transaction. A damaged file says nothing.

        OSError where a file cannot be opened.
        """
        known = {
            job: (state, created) for job, state, created in database.execute("SELECT id, state, created FROM runs")
        }
        for path in sorted(self._folder.glob("*.json")):
            status, written = _status(path), _written(path)
            if status is None:
                continue
            self._taken.append(path)
            state, created = known.get(status.job, ("", written))
            facts = JobFacts(events=status.events, notice=status.notice, listed=status.kind not in NO_RUNS)
            if state == status.state:
                database.execute(
                    "UPDATE runs SET events = ?, notice = ? WHERE id = ?", [facts.events, facts.notice, status.job]
                )
                continue
            lines, _ = self._files.lines(status.job) if status.state.final else ([], "")
            row = row_of(status, lines, created=created, ended=written)
            upsert(database, [row], facts)

    def remove(self) -> None:
        """Removes the files that were taken in, once that is on disk; one that stays is never read again."""
        for path in self._taken:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("The status file %s, which is no longer used, cannot be removed: %s", path.name, error)
        self._taken = []

    def delete(self, job: str) -> None:
        """Removes the status file of a job, if there is one; OSError where the disk does not allow it."""
        with suppress(FileNotFoundError, NotADirectoryError):
            self._files.folder(job).with_suffix(".json").unlink()


def _status(path: Path) -> JobStatus | None:
    """The status in a file; None where it is damaged or none of a job."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, Mapping) or set(values) != FIELDS:
            return None
        status = JobStatus(**{**values, "state": JobState(values["state"])})
    except (ValueError, TypeError, RecursionError):  # no UTF-8, no JSON, or not a status
        return None
    texts = (status.kind, status.message, status.notice)
    plain = all(isinstance(text, str) for text in texts) and isinstance(status.events, int)
    well = plain and isinstance(status.spec, Mapping) and status.job == path.stem and JOB_ID.fullmatch(path.stem)
    return status if well else None


def _written(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
