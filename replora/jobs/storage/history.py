"""The run history: a row for each job, in one SQLite file of the data folder, for lists, filters, CSV and deletion; and
the one place where the state of a job is kept.

Any number of threads and processes may read and write: each call has a connection of its own, the file a write-ahead
log, and what a call has written is on disk when it returns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from replora.catalog import unnamed
from replora.csv_text import csv_text
from replora.jobs.engine import UnknownJob
from replora.jobs.storage.database import FILE, FINAL, HistoryError, opened, transaction
from replora.jobs.storage.files import JobFiles, reason
from replora.jobs.storage.old_folder import OldJobs
from replora.jobs.storage.owner import is_alive, sweep
from replora.jobs.storage.rows import (
    ALL,
    FACTS,
    NAMES,
    NO_FACTS,
    HistoryFilter,
    JobFacts,
    RunRow,
    row_from,
    storable,
    upsert,
)
from replora.settings import data_folder

RESTARTED = "The app was restarted while this job ran."
RESTARTED_IN_QUEUE = "The app was restarted before this job began."
ON = f"state NOT IN ({', '.join(repr(state) for state in FINAL)})"


class History:
    """Rows in a folder's `history.sqlite`, by default in `data_folder()`; the file is made with the first row."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = data_folder() if folder is None else Path(folder).absolute()
        self._files = JobFiles(self._folder)
        self._old = OldJobs(self._folder)

    def record(self, *rows: RunRow, facts: JobFacts = NO_FACTS) -> None:
        """Adds rows, or replaces those of the same id, whose time of creation stays; all of them or, on failure, none.

        `HistoryError` where the disk does not take them.
        """
        with self._open() as database, transaction(database):
            upsert(database, rows, facts)

    def settle(self) -> None:
        """Jobs that were on when their owner's process ended have failed; when they ended is not known.

        `HistoryError` where the rows cannot be read or written.
        """
        owners = {owner for (owner,) in self._ask(f"SELECT DISTINCT owner FROM runs WHERE {ON}", ())}
        try:
            gone = [owner for owner in owners if not is_alive(self._folder, owner)]
            sweep(self._folder)
        except OSError as error:
            raise HistoryError(f"Whether jobs still run cannot be seen: {reason(error)}.") from error
        if not gone:
            return
        with self._open() as database, transaction(database):
            database.execute(
                "UPDATE runs SET message = CASE state WHEN 'queued' THEN ? ELSE ? END, state = 'failed', owner = '' "
                f"WHERE {ON} AND owner IN ({', '.join('?' * len(gone))})",
                [RESTARTED_IN_QUEUE, RESTARTED, *gone],
            )

    def list(self, wanted: HistoryFilter = ALL, limit: int = 100, offset: int = 0) -> tuple[RunRow, ...]:
        """At most `limit` rows from number `offset` on; `HistoryError` where they cannot be read."""
        return tuple(map(row_from, self._plain_rows(wanted, limit, offset)))

    def count(self, wanted: HistoryFilter = ALL) -> int:
        """How many rows a filter leaves."""
        condition, values = wanted.where
        found = self._ask(f"SELECT count(*) FROM runs WHERE {condition}", values)
        return int(found[0][0]) if found else 0

    def get(self, job: str) -> RunRow:
        """The row of a job; `UnknownJob` where there is none."""
        found = self._ask(f"SELECT {', '.join(NAMES)} FROM runs WHERE id = ?", [storable(job)])
        if not found:
            raise UnknownJob(f"No run {job[:64]!r} is in the history.")
        return row_from(found[0])

    def facts(self, job: str) -> tuple[RunRow, JobFacts]:
        """The row of a job, and what it holds beside; `UnknownJob` where there is none."""
        found = self._ask(f"SELECT {', '.join((*NAMES, *FACTS))} FROM runs WHERE id = ?", [storable(job)])
        if not found:
            raise UnknownJob(f"No run {job[:64]!r} is in the history.")
        events, notice, owner, listed, visitor = found[0][len(NAMES) :]
        return row_from(found[0][: len(NAMES)]), JobFacts(
            events=int(events), notice=str(notice), owner=str(owner), listed=bool(listed), visitor=str(visitor)
        )

    def ids(self) -> AbstractSet[str]:
        """All jobs that have a row."""
        return {job for (job,) in self._ask("SELECT id FROM runs", ())}

    def removable(self) -> Sequence[str]:
        """The jobs that have ended and are not pinned, the oldest first."""
        found = self._ask(f"SELECT id FROM runs WHERE NOT ({ON}) AND pinned = 0 ORDER BY created, rowid", ())
        return [job for (job,) in found]

    def pinned(self) -> AbstractSet[str]:
        """The jobs whose files must stay."""
        return {job for (job,) in self._ask("SELECT id FROM runs WHERE pinned = 1", ())}

    def visitors(self, jobs: Sequence[str]) -> Mapping[str, str]:
        """Who submitted stored jobs, see `JobStatus`; of those only that have a row."""
        marks = ", ".join("?" * len(jobs))
        return dict(self._ask(f"SELECT id, visitor FROM runs WHERE id IN ({marks})", jobs))

    def pin(self, jobs: Sequence[str], pinned: bool) -> None:
        """The files of these jobs must stay, or need not any more; `HistoryError`."""
        with self._open() as database, transaction(database):
            database.executemany("UPDATE runs SET pinned = ? WHERE id = ?", [(int(pinned), job) for job in jobs])

    def note(self, jobs: Sequence[str], sentence: str, instead: str = "") -> None:
        """Adds a sentence to the notice of jobs, in the place of an earlier one where that stands there."""
        if not jobs:
            return
        with self._open() as database, transaction(database):
            database.executemany(
                "UPDATE runs SET notice = trim(replace(notice, ?, '') || ' ' || ?) WHERE id = ?",
                [(instead, sentence, job) for job in jobs],
            )

    def notices(self, jobs: Sequence[str]) -> Mapping[str, str]:
        """What there is to say of stored jobs, see `JobStatus`; of those only that have such a notice."""
        marks = ", ".join("?" * len(jobs))
        found = self._ask(f"SELECT id, notice FROM runs WHERE notice != '' AND id IN ({marks})", jobs)
        return {job: unnamed(notice) for job, notice in found}

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The values that occur, for filters: of kind, task, state and method."""
        found = self._ask("SELECT DISTINCT kind, task, state, methods FROM runs WHERE listed = 1", ())
        kinds, tasks, states, methods = zip(*found, strict=True) if found else ((), (), (), ())
        each_method = {name for names in methods for name in names.split(",")}
        values = {"kind": set(kinds), "task": set(tasks), "state": set(states), "method": each_method}
        return {name: tuple(sorted(those - {""})) for name, those in values.items()}

    def delete(self, jobs: Iterable[str]) -> int:
        """Removes jobs that have ended, rows and stored files; how many there were.

        `HistoryError` where the disk does not allow it: then no row is gone whose files are still there.
        """
        gone = 0
        for job in jobs:
            try:
                if not self.get(job).state.final:
                    continue
            except UnknownJob:
                continue
            try:
                with suppress(UnknownJob):  # an id that no stored job can have
                    self._delete_files(job)
            except OSError as error:
                raise HistoryError(f"The stored run {job} cannot be deleted: {reason(error)}.") from error
            with self._open() as database:
                gone += database.execute("DELETE FROM runs WHERE id = ?", [job]).rowcount
        return gone

    def to_csv(self, wanted: HistoryFilter = ALL) -> str:
        """All rows that a filter leaves, with a header line."""
        return csv_text(NAMES, ([unnamed(cell) for cell in row] for row in self._plain_rows(wanted, -1, 0)))

    def _plain_rows(self, wanted: HistoryFilter, limit: int, offset: int) -> Sequence[tuple[Any, ...]]:
        """Rows as the table holds them; a negative limit is none."""
        condition, values = wanted.where
        statement = f"SELECT {', '.join(NAMES)} FROM runs WHERE {condition} ORDER BY {wanted.order} LIMIT ? OFFSET ?"
        return self._ask(statement, [*values, limit, offset])

    def _ask(self, statement: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        """The rows of a question; none where there is no file yet."""
        if not self._exists():
            return []
        with self._open() as database:
            return database.execute(statement, values).fetchall()

    def _exists(self) -> bool:
        try:
            return (self._folder / FILE).exists() or self._old.found()
        except OSError as error:
            raise HistoryError(f"The run history cannot be opened: {reason(error)}.") from error

    def _delete_files(self, job: str) -> None:
        self._files.delete(job)
        self._old.delete(job)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self._folder, self._old.take_in, self._old.remove)
