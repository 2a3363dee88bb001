"""The local engine: jobs of the web process, each in a process of its own, by way of one job host on this machine.

A `HostKeeper` keeps the host running and hears it, a `JobWriter` writes the store. So no caller waits for the host, and
no job for the disk. Nothing here imports torch.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from replora.config import Run
from replora.jobs.engine import NOBODY, PATIENCE, Action, JobRefused, JobState, JobStatus, NoAnswer, Submitter
from replora.jobs.host_keeper import HostKeeper
from replora.jobs.host_process import why
from replora.jobs.job_record import JobRecord, check_job, new_record
from replora.jobs.job_writer import JobWriter
from replora.jobs.kinds import ANSWERER, KINDS, REPEATABLE
from replora.jobs.known_jobs import KnownJobs
from replora.jobs.messages import HostSettings, encode, goes
from replora.jobs.questions import Questions
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE
from replora.jobs.storage.store import Store
from replora.jobs.turns.limits import Waiting
from replora.jobs.turns.line import Line
from replora.jobs.turns.pace import Paces
from replora.options import check_value, options

PRELOAD = ("torch", "timm", "transformers", "replora.training.race:preload")
CLOSE_SECONDS = 3.0  # for the host to end by itself
WRITE_SECONDS = 30.0  # for what was told to reach a slow disk, which is lost else

HOST_LOST = "The process that runs the jobs ended unexpectedly, and this job with it."
QUESTION_LOST = "The process that runs the jobs ended unexpectedly, and this question with it; ask again."
HOST_UNWELL = "The process that runs the jobs ended several times in a row and is started again in a moment."
CLOSED = "The app is closing and takes no more jobs."
UNWATCHED = "Nobody watched this job any more."
CROWDED = "Too many runs were paused while others waited, and this one had been so for longest."


class LocalEngine:
    """`replora.jobs.engine.Engine` on this machine; safe to use from many threads; returns before its host is ready.

    slots: how many jobs run at a time; max_paused: how many more may stay paused beside them; waiting: how many wait;
    time_limit: seconds a job may take unless its submit says otherwise; orphan_seconds: how long a job whose viewers
    have all left runs on; threads: a job's intra-op threads (None: the machine's, shared among the slots); kinds and
    repeatable: see `replora.jobs.kinds`; answerer: the function that answers questions, as module:function; preload and
    start_method: see `HostSettings`; keep: how many ended jobs stay in memory once they are stored.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        max_paused: int = 8,
        waiting: Waiting | None = None,
        time_limit: float = 900.0,
        orphan_seconds: float = 20.0,
        threads: int | None = None,
        kinds: Mapping[str, str] | None = None,
        repeatable: Collection[str] = REPEATABLE,
        answerer: str = ANSWERER,
        preload: Sequence[str] = PRELOAD,
        store: Store | None = None,
        start_method: str | None = None,
        keep: int = 200,
    ) -> None:
        self._max_paused = max_paused
        self._time_limit = time_limit
        self._orphan_seconds = orphan_seconds
        self._kinds = {**KINDS, **(kinds or {})}
        self._jobs = KnownJobs(store or Store(), repeatable)  # its lock guards all below
        paces = Paces(self._jobs.store.finished())
        self._line = Line(slots, waiting or Waiting(), told=self._jobs.seconds_left, paces=paces)
        self._closing = False
        self._questions = Questions()

        self._jobs.store.settle()
        self._writer = JobWriter(self._jobs.store, self._jobs.lock, keep, lambda job: self._jobs.records.pop(job, None))
        settings = HostSettings(self._kinds, answerer, tuple(preload), slots, threads, start_method)
        with self._jobs.lock:
            self._host = HostKeeper(settings, self._heed, self._lose_host)
        atexit.register(self.close)

    @property
    def ready(self) -> bool:
        """Whether the host is loaded: a job submitted now starts at once if a slot is free."""
        return self._host.ready

    @property
    def healthy(self) -> bool:
        """Whether jobs come to be run: False while their host ends again and again."""
        return self._host.healthy

    def submit(
        self,
        kind: str,
        spec: Mapping[str, Any],
        *,
        time_limit: float | None = None,
        paused: bool = False,
        by: Submitter = NOBODY,
    ) -> str:
        """See `Engine`; `JobRefused` for an unknown kind, a spec that cannot be run, a full queue."""
        if kind not in self._kinds:
            raise JobRefused(f"There is no kind of job {kind!r}; there is {', '.join(sorted(self._kinds))}.")
        check_job(kind, spec)
        record = new_record(kind, spec, self._time_limit if time_limit is None else time_limit, by)
        if paused:
            record.control.add(Action.PAUSE)
        with self._jobs.lock:
            if self._closing:
                raise JobRefused(CLOSED)
            self._line.enter(record.job, by, record.load, record.time_limit)
            self._jobs.records[record.job] = record
            self._writer.state(record)
            self._dispatch()
        return record.job

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        """See `Engine`."""
        return self._jobs.events(job, since)

    def control(self, job: str, action: Action, value: float | None = None, *, by: Submitter = NOBODY) -> None:
        """See `Engine`; does nothing to a job that has ended; `SpecError` for a learning rate that is none."""
        action = Action(action)
        if action is Action.LEARNING_RATE:
            value = check_value("learning_rate", value, float, options(Run)["learning_rate"])
        with self._jobs.steered(job, by) as record:
            if record is not None:
                record.control.add(action, value)
                self._send_control(record)
                self._dispatch()

    def cancel(self, job: str, *, by: Submitter = NOBODY) -> None:
        """See `Engine`."""
        with self._jobs.steered(job, by) as record:
            if record is not None:
                self._cancel(record)

    def status(self, job: str) -> JobStatus:
        """See `Engine`."""
        with self._jobs.lock:
            record = self._jobs.record(job)
            if record is not None:
                return self._status(record)
        return self._jobs.store.load(job)[0]

    def folder(self, job: str) -> Path:
        """See `Engine`."""
        return self._jobs.store.files.folder(job)

    def ask(self, question: Mapping[str, Any], *, patience: float = PATIENCE) -> Mapping[str, Any]:
        """See `Engine`; `ValueError` or `TypeError` for a question that is not plain JSON."""
        if not self.healthy:
            raise NoAnswer(HOST_UNWELL)
        return self._questions.ask(question, patience)

    def watch(self, job: str, viewer: str) -> None:
        """Says that `viewer` looks at a job; `UnknownJob` where there is none."""
        with self._jobs.live(job) as record:
            if record is not None:
                record.watch(viewer)

    def unwatch(self, job: str, viewer: str) -> None:
        """Says that `viewer` has left; a job that all its viewers left is cancelled after `orphan_seconds`."""
        with self._jobs.live(job) as record:
            if record is not None:
                record.unwatch(viewer, self._orphan_seconds, self._end_orphan)

    def close(self) -> None:
        """Ends the host and all jobs; called at the exit of the process too, and any number of times."""
        atexit.unregister(self.close)
        with self._jobs.lock:
            if self._closing:
                return
            self._closing = True
            for record in self._jobs.records.values():
                if not record.state.final:
                    queued = record.state is JobState.QUEUED
                    self._end(record, JobState.FAILED, RESTARTED_IN_QUEUE if queued else RESTARTED)
        self._questions.disconnect(CLOSED, for_good=True)
        self._host.close(CLOSE_SECONDS)
        self._writer.close(WRITE_SECONDS)

    # Below, the caller holds the lock.

    def _status(self, record: JobRecord) -> JobStatus:
        status = record.status()
        if not (record.state is JobState.QUEUED or self._line.is_back(record.job)):
            return status
        position, wait = self._line.prospect(record.job)
        notice = status.notice or ("" if self._host.healthy else HOST_UNWELL)
        return replace(status, state=JobState.QUEUED, position=position, wait=wait, notice=notice)

    def _dispatch(self) -> None:
        """Starts jobs that wait, or lets paused ones go on, while places are free."""
        while not self._closing and self._host.ready and (job := self._line.next()) is not None:
            record = self._jobs.records[job]
            if record.state is not JobState.QUEUED:
                self._send_control(record)
                continue
            record.state = JobState.RUNNING
            self._writer.state(record)
            self._host.send(record.start(self._jobs.store.files.folder(job)))
        for job in self._line.surplus(self._max_paused):
            if job in self._jobs.records:  # else it has ended, and its process is about to
                self._cancel(self._jobs.records[job], CROWDED)

    def _send_control(self, record: JobRecord) -> None:
        """Passes on what was asked, unless the last control was not yet heard: a hung job's line must not fill up.

        A paused job that has lost its place is told to go on once it has another.
        """
        if record.state is JobState.QUEUED or not record.control:
            return
        if goes(record.control.mode):
            if not self._line.wake(record.job):
                return
        elif record.control.mode:
            self._line.stay(record.job)
        if record.heard:
            record.heard, record.told = False, record.control.mode
            self._host.send(encode(do="control", job=record.job, control=record.take_control()))

    def _cancel(self, record: JobRecord, message: str = "") -> None:
        if record.state.final:
            return
        if record.state is not JobState.QUEUED:
            self._host.send(encode(do="end", job=record.job))
        self._end(record, JobState.CANCELLED, message)

    def _end(self, record: JobRecord, state: JobState, message: str) -> None:
        """Brings a job to a final state; it keeps the first it was brought to."""
        if record.state.final:
            return
        record.state = state
        record.message = message
        record.forget_timer()
        self._line.stay(record.job)
        self._writer.state(record, last=True)

    # Below, the engine's own threads; they take the lock themselves.

    def _end_orphan(self, record: JobRecord) -> None:
        with self._jobs.lock:
            if record.orphaned is threading.current_thread():  # else a viewer came back just in time
                self._cancel(record, UNWATCHED)

    def _heed(self, message: Mapping[str, Any]) -> None:
        if "ask" in message:
            self._questions.heed(message)
            return
        with self._jobs.lock:
            if "ready" in message:
                self._questions.connect(self._host.send)
                self._dispatch()
                return
            job = message["job"]
            record = self._jobs.records.get(job)
            if "exit" in message:
                self._line.leave(job, record is not None and record.state is JobState.FINISHED)
                if record is not None:
                    self._end(record, JobState.FAILED, why(message["exit"], message["late"], record.time_limit))
                self._dispatch()
            elif record is None or record.state.final:
                pass  # the last words of a job that was cancelled
            elif "line" in message:
                if record.tell(message["line"]):
                    self._writer.line(record, message["line"])
            elif "paused" in message:
                record.state = JobState.PAUSED if message["paused"] else JobState.RUNNING
                if message["paused"] and not goes(record.told):  # else it goes on as soon as it hears that
                    self._line.rest(job)
                    self._dispatch()
            elif "notice" in message:
                record.warned = record.warned or message["notice"]
            elif "heard" in message:
                if record.told == Action.PAUSE and record.state is JobState.PAUSED:  # it was told to go on just before
                    self._line.rest(job)
                record.heard, record.told = True, ""
                self._send_control(record)
                self._dispatch()
            else:
                self._end(record, JobState(message["end"]), message["message"])

    def _lose_host(self) -> None:
        """After a host's end: those of its jobs that can be are repeated, the others have failed; who waits goes on."""
        with self._jobs.lock:
            for record in filter(None, map(self._jobs.records.get, self._line.lose())):
                if self._jobs.repeat(record):
                    self._line.again(record.job, record.by, record.load, record.time_limit)
                else:
                    self._end(record, JobState.FAILED, HOST_LOST)
            if not self._closing:
                self._questions.disconnect(QUESTION_LOST)
