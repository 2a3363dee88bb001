"""The local engine: jobs of the web process, each in a process of its own, by way of one job host on this machine.

A keeper thread starts the host, reads what it says, and starts it again when it dies; a writer thread speaks to it;
a job writer writes the store. So no caller waits for the host, and no job for the disk. Nothing here imports torch.
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import multiprocessing
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replora.config import Run
from replora.jobs.engine import PATIENCE, Action, JobRefused, JobState, JobStatus
from replora.jobs.host_process import HostProcess, start_process, why
from replora.jobs.job_record import JobRecord
from replora.jobs.job_writer import JobWriter
from replora.jobs.kinds import ANSWERER, KINDS
from replora.jobs.messages import HostSettings, decode, encode
from replora.jobs.questions import Questions
from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE
from replora.jobs.storage.store import Store
from replora.options import check_value, options

PRELOAD = ("torch", "timm", "transformers", "replora.training.race:preload")
HOST_STARTS = 4  # how often in a row a host may end without any job's end before the engine gives up
STEADY_SECONDS = 600.0  # a host that lived this long ended by accident
HOST_READY_SECONDS = 300.0  # a cold disk is slow
CLOSE_SECONDS = 3.0  # for the host to end by itself

HOST_LOST = "The process that runs the jobs ended unexpectedly, and this job with it."
CUT_SHORT = "This took too long and was given up; ask again."
QUESTION_LOST = "The process that runs the jobs ended unexpectedly, and this question with it; ask again."
HOST_BROKEN = "The process that runs the jobs ended several times in a row; see the log, then restart the app."
CLOSED = "The app is closing and takes no more jobs."
UNWATCHED = "Nobody watched this job any more."

log = logging.getLogger(__name__)


class LocalEngine:
    """`replora.jobs.engine.Engine` on this machine; safe to use from many threads; returns before its host is ready.

    slots: how many jobs run at a time; queue_limit: how many may wait; time_limit: seconds of running a job may take
    unless its submit says otherwise; orphan_seconds: how long a job whose viewers have all left runs on; threads: a
    job's intra-op threads (None: the machine's, shared among the slots); kinds: further kinds of jobs, as in
    `replora.jobs.kinds.KINDS`; answerer: the function that answers questions, as module:function; preload and
    start_method: see `HostSettings`; keep: how many ended jobs stay in memory
    once they are stored.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        queue_limit: int = 20,
        time_limit: float = 900.0,
        orphan_seconds: float = 20.0,
        threads: int | None = None,
        kinds: Mapping[str, str] | None = None,
        answerer: str = ANSWERER,
        preload: Sequence[str] = PRELOAD,
        store: Store | None = None,
        start_method: str | None = None,
        keep: int = 200,
    ) -> None:
        self._slots = slots
        self._queue_limit = queue_limit
        self._time_limit = time_limit
        self._orphan_seconds = orphan_seconds
        self._threads = threads
        self._kinds = {**KINDS, **(kinds or {})}
        self._answerer = answerer
        self._preload = tuple(preload)
        self._store = store or Store()
        self._start_method = start_method

        self._lock = threading.Lock()  # guards all below
        self._records: dict[str, JobRecord] = {}
        self._queue: deque[JobRecord] = deque()
        self._running: set[str] = set()  # jobs whose process may live, ended ones included until it is gone
        self._host: HostProcess | None = None
        self._host_ends = 0  # in a row, since a job's process last ended
        self._broken = False
        self._closing = threading.Event()
        self._questions = Questions()

        self._settle()
        self._writer = JobWriter(self._store, self._lock, keep, self._records.pop)
        self._keeper = threading.Thread(target=self._keep_host, name="replora-keeper", daemon=True)
        self._keeper.start()
        atexit.register(self.close)

    @property
    def ready(self) -> bool:
        """Whether the host is loaded: a job submitted now starts at once if a slot is free."""
        with self._lock:
            return self._host is not None and self._host.ready

    def submit(
        self, kind: str, spec: Mapping[str, Any], *, time_limit: float | None = None, paused: bool = False
    ) -> str:
        """See `Engine`; `JobRefused` for an unknown kind, a spec that is not plain JSON, a full queue, no host."""
        limit = self._time_limit if time_limit is None else time_limit
        if kind not in self._kinds:
            raise JobRefused(f"There is no kind of job {kind!r}; there is {', '.join(sorted(self._kinds))}.")
        if not (math.isfinite(limit) and limit > 0):
            raise JobRefused(f"The time limit of a job must be a number of seconds above 0, got {limit!r}.")
        try:
            plain = json.loads(json.dumps(dict(spec), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise JobRefused(f"The spec of a job must hold plain JSON values: {error}.") from None
        with self._lock:
            if self._closing.is_set():
                raise JobRefused(CLOSED)
            if self._broken:
                raise JobRefused(HOST_BROKEN)
            if len(self._queue) >= self._queue_limit:
                raise JobRefused(f"{len(self._queue)} jobs are waiting already; try again when one of them has begun.")
            record = JobRecord(secrets.token_urlsafe(8), kind, plain, limit)
            if paused:
                record.control.add(Action.PAUSE)
            self._records[record.job] = record
            self._queue.append(record)
            self._writer.state(record)
            self._dispatch()
        return record.job

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        """See `Engine`."""
        with self._lock:
            record = self._records.get(job)
            if record is not None:
                return record.lines[max(0, since) :]
        return self._store.load(job)[1][max(0, since) :]

    def control(self, job: str, action: Action, value: float | None = None) -> None:
        """See `Engine`; does nothing to a job that has ended; `SpecError` for a learning rate that is none."""
        action = Action(action)
        if action is Action.LEARNING_RATE:
            value = check_value("learning_rate", value, float, options(Run)["learning_rate"])
        with self._live(job) as record:
            if record is not None:
                record.control.add(action, value)
                self._send_control(record)

    def cancel(self, job: str) -> None:
        """See `Engine`."""
        with self._live(job) as record:
            if record is not None:
                self._cancel(record)

    def status(self, job: str) -> JobStatus:
        """See `Engine`."""
        with self._lock:
            record = self._records.get(job)
            if record is not None:
                return self._status(record)
        return self._store.load(job)[0]

    def folder(self, job: str) -> Path:
        """See `Engine`."""
        return self._store.files.folder(job)

    def ask(self, question: Mapping[str, Any], *, patience: float = PATIENCE) -> Mapping[str, Any]:
        """See `Engine`; `ValueError` or `TypeError` for a question that is not plain JSON."""
        return self._questions.ask(question, patience)

    def watch(self, job: str, viewer: str) -> None:
        """Says that `viewer` looks at a job; `UnknownJob` where there is none."""
        with self._live(job) as record:
            if record is not None:
                record.viewers.add(viewer)
                self._forget_orphan(record)

    def unwatch(self, job: str, viewer: str) -> None:
        """Says that `viewer` has left; a job that all its viewers left is cancelled after `orphan_seconds`."""
        with self._live(job) as record:
            if record is None or viewer not in record.viewers:
                return
            record.viewers.remove(viewer)
            if not record.viewers:
                record.orphaned = threading.Timer(self._orphan_seconds, self._end_orphan, (record,))
                record.orphaned.daemon = True
                record.orphaned.start()

    def close(self) -> None:
        """Ends the host and all jobs; called at the exit of the process too, and any number of times."""
        atexit.unregister(self.close)
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            for record in self._records.values():
                if not record.state.final:
                    queued = record.state is JobState.QUEUED
                    self._end(record, JobState.FAILED, RESTARTED_IN_QUEUE if queued else RESTARTED)
            self._queue.clear()
            host = self._host
            if host is not None and host.ready:
                host.outbox.put(encode(do="stop"))
            elif host is not None:
                host.process.kill()  # it loads, and has no jobs yet
        self._questions.disconnect(CLOSED, for_good=True)
        self._keeper.join(CLOSE_SECONDS)
        if self._keeper.is_alive() and host is not None:
            host.process.kill()
            self._keeper.join(CLOSE_SECONDS)
        self._writer.close(CLOSE_SECONDS)

    def _settle(self) -> None:
        """Jobs of processes that are gone have failed; where the history cannot be used, its readers are told."""
        try:
            self._store.history.settle()
        except HistoryError as error:
            log.warning("%s", error)

    @contextmanager
    def _live(self, job: str) -> Iterator[JobRecord | None]:
        """Holds the lock, with the record of a job that has not ended, or None for one that has; `UnknownJob`."""
        with self._lock:
            record = self._records.get(job)
            if record is not None:
                yield None if record.state.final else record
                return
        self._store.load(job)
        yield None

    # Below, the caller holds the lock.

    def _status(self, record: JobRecord) -> JobStatus:
        return record.status(self._queue.index(record) if record.state is JobState.QUEUED else 0)

    def _dispatch(self) -> None:
        """Starts queued jobs while slots are free."""
        while self._host is not None and self._host.ready and self._queue and len(self._running) < self._slots:
            record = self._queue.popleft()
            record.state = JobState.RUNNING
            self._running.add(record.job)
            self._writer.state(record)
            message = encode(
                do="start",
                job=record.job,
                kind=record.kind,
                spec=record.spec,
                folder=str(self._store.files.folder(record.job)),
                time_limit=record.time_limit,
                control=record.control.take(),
            )
            self._host.outbox.put(message)

    def _send_control(self, record: JobRecord) -> None:
        """Passes on what was asked, unless the last control was not yet heard: a hung job's line must not fill up."""
        if self._host is not None and record.state is not JobState.QUEUED and record.heard and record.control:
            record.heard = False
            self._host.outbox.put(encode(do="control", job=record.job, control=record.control.take()))

    def _cancel(self, record: JobRecord, message: str = "") -> None:
        if record.state is JobState.QUEUED:
            self._queue.remove(record)
        elif self._host is not None:
            self._host.outbox.put(encode(do="end", job=record.job))
        self._end(record, JobState.CANCELLED, message)

    def _end(self, record: JobRecord, state: JobState, message: str) -> None:
        """Brings a job to a final state; it keeps the first it was brought to."""
        if record.state.final:
            return
        record.state = state
        record.message = message
        self._forget_orphan(record)
        self._writer.state(record, last=True)

    def _forget_orphan(self, record: JobRecord) -> None:
        if record.orphaned is not None:
            record.orphaned.cancel()
            record.orphaned = None

    # Below, the engine's own threads; they take the lock themselves.

    def _end_orphan(self, record: JobRecord) -> None:
        with self._lock:
            if record.orphaned is threading.current_thread():  # else a viewer came back just in time
                self._cancel(record, UNWATCHED)

    def _keep_host(self) -> None:
        """The keeper thread: a host at all times, until the engine closes or hosts end again and again."""
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                host = self._start_host()
            except OSError:
                log.exception("The job host cannot be started.")
            else:
                if host is not None:
                    self._listen(host)
            self._lose_host(time.monotonic() - began)
            if self._broken:
                return

    def _start_host(self) -> HostProcess | None:
        """A new host, or None where the engine closes; OSError where the system starts none."""
        ours, theirs = multiprocessing.Pipe()
        settings = HostSettings(
            connection=theirs.fileno(),
            kinds=self._kinds,
            answerer=self._answerer,
            preload=self._preload,
            slots=self._slots,
            threads=self._threads,
            start_method=self._start_method,
        )
        with self._lock:
            if self._closing.is_set():
                ours.close()
                theirs.close()
                return None
            try:
                process = start_process(settings)
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            self._host = HostProcess(process, ours)
            return self._host

    def _listen(self, host: HostProcess) -> None:
        """Hears one host out; when this returns, it is gone."""
        writer = threading.Thread(target=host.send_all, name="replora-writer", daemon=True)
        writer.start()
        try:
            if not host.connection.poll(HOST_READY_SECONDS):
                log.error("The job host was not ready after %g s and is ended.", HOST_READY_SECONDS)
                host.process.kill()
            while True:
                self._heed(decode(host.connection.recv_bytes()))
        except (EOFError, OSError):
            if not self._closing.is_set():
                log.error("The job host has ended.")
        finally:
            host.process.kill()
            host.process.wait()
            host.outbox.put(None)
            writer.join()
            host.connection.close()

    def _heed(self, message: Mapping[str, Any]) -> None:
        if "ask" in message:
            if "answerer_exit" in message:
                code = message["answerer_exit"]
                problem = CUT_SHORT if message["hung"] else why(code, False, 0.0, "The process that answers")
                message = {"ask": message["ask"], "problem": problem}
            self._questions.heed(message)
            return
        with self._lock:
            if "ready" in message:
                if self._host is not None:
                    self._host.ready = True
                    self._questions.connect(self._host.outbox.put)
                self._dispatch()
                return
            job = message["job"]
            record = self._records.get(job)
            if "exit" in message:
                self._running.discard(job)
                self._host_ends = 0
                if record is not None:
                    self._end(record, JobState.FAILED, why(message["exit"], message["late"], record.time_limit))
                self._dispatch()
            elif record is None or record.state.final:
                pass  # the last words of a job that was cancelled
            elif "line" in message:
                record.lines.append(message["line"])
                self._writer.line(record, message["line"])
            elif "paused" in message:
                record.state = JobState.PAUSED if message["paused"] else JobState.RUNNING
            elif "heard" in message:
                record.heard = True
                self._send_control(record)
            else:
                self._end(record, JobState(message["end"]), message["message"])

    def _lose_host(self, lived: float) -> None:
        """After a host's end: its jobs have failed, and so have the waiting ones if no further host is started."""
        with self._lock:
            self._host = None
            for job in self._running:
                if job in self._records:
                    self._end(self._records[job], JobState.FAILED, HOST_LOST)
            self._running.clear()
            self._host_ends = 1 if lived > STEADY_SECONDS else self._host_ends + 1
            self._broken = self._host_ends >= HOST_STARTS
            while self._broken and self._queue:
                self._end(self._queue.popleft(), JobState.FAILED, HOST_BROKEN)
            if not self._closing.is_set():
                self._questions.disconnect(HOST_BROKEN if self._broken else QUESTION_LOST, for_good=self._broken)
