"""The thread that writes what jobs tell, so that no job and no caller waits for the disk."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from replora.jobs.history_writer import HistoryWriter
from replora.jobs.job_record import JobRecord
from replora.jobs.storage.budget import Budget
from replora.jobs.storage.files import reason
from replora.jobs.storage.owner import Owner
from replora.jobs.storage.store import Store
from replora.options import UserError


@dataclass(frozen=True, eq=False)
class _Write:
    """Something to store of a job: a line, or without one its state; `last` after which nothing more is to come."""

    record: JobRecord
    line: str | None = None
    last: bool = False


class JobWriter:
    """Stores lines and states in order; once a line of a job fails, of its lines none more.

    lock: guards the records; keep: how many jobs that have ended and are stored stay in memory; forget: called with the
    lock held for one more.
    """

    def __init__(self, store: Store, lock: threading.Lock, keep: int, forget: Callable[[str], object]) -> None:
        self._store = store
        self._owner = Owner(store.data)
        self._budget = Budget(store.data)
        self._history = HistoryWriter(store, self._owner)
        self._lock = lock
        self._keep = keep
        self._forget = forget
        self._stored: deque[str] = deque()
        self._writes: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="replora-job-writer", daemon=True)
        self._thread.start()

    def state(self, record: JobRecord, *, last: bool = False) -> None:
        """The state of a job is to be stored; returns at once."""
        self._writes.put(_Write(record, last=last))

    def line(self, record: JobRecord, line: str) -> None:
        """One more event line of a job is to be stored; returns at once."""
        self._writes.put(_Write(record, line))

    def close(self, seconds: float) -> None:
        """Stores what is still to be stored, for at most so long; then what is on belongs to no process any more."""
        self._writes.put(None)
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._owner.release()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        for write in iter(self._writes.get, None):
            if write.line is not None:
                self._store_line(write.record, write.line)
                continue
            self._store_state(write.record, write.last)
            if write.last:
                self._end(write.record)

    def _store_line(self, record: JobRecord, line: str) -> None:
        if record.notice:
            return
        try:
            self._store.files.append(record.job, line)
        except OSError as error:
            self._notice(record, f"This run is not stored: {reason(error)}.")

    def _store_state(self, record: JobRecord, last: bool) -> None:
        with self._lock:
            status = dataclasses.replace(record.status(), notice=record.stored_notice)
        unlisted, unsummarized = self._history.record(status, record.lines if last else ())
        with self._lock:
            record.unlisted = unlisted
            record.notice = record.notice or unsummarized

    def _end(self, record: JobRecord) -> None:
        """Leaves a job that is stored as a whole to the store, once there are enough of them in memory."""
        if not (record.notice or record.unlisted):
            self._stored.append(record.job)
            with self._lock:
                record.stored = True
        try:
            for job in self._budget.hold():
                self._leave(job)
        except UserError as error:
            self._notice(record, str(error))
        except OSError as error:
            self._notice(record, f"What earlier runs left cannot be removed: {reason(error)}.")
        if len(self._stored) > self._keep:
            self._leave(self._stored[0])

    def _leave(self, job: str) -> None:
        """From now on the store alone tells of a job; it does already where it was never stored as a whole."""
        if job in self._stored:
            self._stored.remove(job)
            with self._lock:
                self._forget(job)

    def _notice(self, record: JobRecord, sentence: str) -> None:
        with self._lock:
            record.notice = record.notice or sentence
