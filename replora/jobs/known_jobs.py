"""The jobs that an engine knows: those in its memory, and those of which only its store still tells."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from replora.jobs.engine import JobState, NotYours, Submitter
from replora.jobs.job_record import JobRecord
from replora.jobs.storage.store import Store


class KnownJobs:
    """`lock` guards `records`, the jobs in memory by id, and all that is in them; `repeatable` are kinds of jobs."""

    def __init__(self, store: Store, repeatable: Collection[str] = ()) -> None:
        self.store = store
        self._repeatable = repeatable
        self.lock = threading.Lock()
        self.records: dict[str, JobRecord] = {}

    def record(self, job: str) -> JobRecord | None:
        """What memory has of a job; None of one that is not there, or that somebody has deleted from the store since.

        The caller holds the lock.
        """
        record = self.records.get(job)
        if record is not None and record.stored and record.lines and not self.store.files.has_lines(job):
            del self.records[job]
            return None
        return record

    @contextmanager
    def live(self, job: str) -> Iterator[JobRecord | None]:
        """Holds the lock, with the record of a job that has not ended, or None for one that has; `UnknownJob`."""
        with self.lock:
            record = self.record(job)
            if record is not None:
                yield None if record.state.final else record
                return
        self.store.load(job)
        yield None

    @contextmanager
    def steered(self, job: str, by: Submitter) -> Iterator[JobRecord | None]:
        """As `live`; `NotYours` where somebody else submitted the job."""
        with self.live(job) as record:
            if record is not None and not by.may_steer(record.by.visitor):
                raise NotYours
            yield record

    def repeat(self, record: JobRecord) -> bool:
        """Whether a job that was lost with its host can be run from its beginning: it waits again, and of what it tells
        nobody is told anything twice. The caller holds the lock.
        """
        if record.state is not JobState.RUNNING or record.kind not in self._repeatable or not record.may_repeat:
            return False
        try:
            self.store.files.empty(record.job)
        except OSError:
            return False  # what is left of the lost run would mix with the new one's
        record.repeat()
        return True

    def events(self, job: str, since: int) -> Sequence[str]:
        """The lines of a job from number `since` on; `UnknownJob`."""
        with self.lock:
            record = self.record(job)
            if record is not None:
                return record.lines[max(0, since) :]
        return self.store.load(job)[1][max(0, since) :]

    def seconds_left(self, job: str) -> float | None:
        """What a job in memory still needs by its own words, if it has told; the caller holds the lock."""
        record = self.records.get(job)
        return None if record is None else record.seconds_left()
