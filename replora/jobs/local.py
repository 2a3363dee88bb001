"""The local engine: jobs of the web process, each in a process of its own, by way of one job host on this machine.

A `HostKeeper` keeps the host running and hears it, a `Dispatcher` says what it runs, a `JobWriter` writes the store. So
no caller waits for the host, and no job for the disk. Nothing here imports torch.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from replora.config import Run
from replora.jobs.cluster.settings import ClusterSettings, of_cluster
from replora.jobs.dispatcher import HOST_UNWELL, Dispatcher
from replora.jobs.engine import NOBODY, PATIENCE, Action, JobRefused, JobState, JobStatus, NoAnswer, Submitter
from replora.jobs.host_keeper import HostKeeper
from replora.jobs.job_record import JobRecord, check_job, new_record
from replora.jobs.job_writer import JobWriter
from replora.jobs.kinds import ANSWERER, KINDS, REPEATABLE, SHARED
from replora.jobs.known_jobs import KnownJobs
from replora.jobs.messages import HostSettings
from replora.jobs.questions import Questions
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE
from replora.jobs.storage.store import Store
from replora.jobs.turns.limits import Waiting
from replora.jobs.turns.line import Line
from replora.jobs.turns.pace import Paces
from replora.jobs.turns.rides import Rides
from replora.options import check_value, options

PRELOAD = ("torch", "timm", "transformers", "replora.training.race:preload")
CLOSE_SECONDS, CLUSTER_CLOSE_SECONDS = 3.0, 15.0  # for the host to end by itself
WRITE_SECONDS = 30.0  # for what was told to reach a slow disk, which is lost else

QUESTION_LOST = "The process that runs the jobs ended unexpectedly, and this question with it; ask again."
CLOSED = "The app is closing and takes no more jobs."
UNWATCHED = "Nobody watched this job any more."

log = logging.getLogger(__name__)


class LocalEngine:
    """`replora.jobs.engine.Engine` on this machine; safe to use from many threads; returns before its host is ready.

    slots: how many jobs run at a time; max_paused: how many more may stay paused beside them; waiting: how many wait;
    shared_runs: how many runs of waiting jobs that fit together run in one process; shared: see `replora.jobs.kinds`;
    time_limit: seconds a job may take unless its submit says otherwise; orphan_seconds: how long a job whose viewers
    have all left runs on; threads: of jobs that run side by side, intra-op (None: the machine's); kinds and
    repeatable: see `replora.jobs.kinds`; answerer: the function that answers questions, as module:function; preload and
    start_method: see `HostSettings`; keep: how many ended jobs stay in memory once they are stored; cluster: where jobs
    run instead of on this machine, which then has as many places and as much memory as there are.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        max_paused: int = 8,
        waiting: Waiting | None = None,
        shared_runs: int = 1,
        shared: Mapping[str, str] = SHARED,
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
        cluster: ClusterSettings | None = None,
    ) -> None:
        self._time_limit, self._cluster = time_limit, cluster
        self._orphan_seconds = orphan_seconds
        self._kinds = {**KINDS, **(kinds or {})}
        self._jobs = KnownJobs(store or Store(), repeatable)  # its lock guards all below
        limits, paces = waiting or Waiting(), Paces(self._jobs.store.finished())
        line = Line(slots, limits, told=self._jobs.seconds_left, paces=paces)
        self._questions = Questions()

        self._jobs.store.settle()
        self._writer = JobWriter(self._jobs.store, self._jobs.lock, keep, lambda job: self._jobs.records.pop(job, None))
        self._dispatcher = Dispatcher(
            self._jobs,
            line,
            Rides(shared_runs, self._tell),
            self._writer,
            max_paused=max_paused,
            seats=limits,
            memory=None if cluster is None else math.inf,  # each node holds its own jobs to its own
        )
        settings = HostSettings(self._kinds, answerer, tuple(preload), threads, start_method, shared=shared)
        if cluster is not None:
            settings = of_cluster(settings, cluster, self._jobs.store.data)
        with self._jobs.lock:
            self._host = self._dispatcher.host = HostKeeper(settings, self._heed, self._lose_host)
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
            if self._dispatcher.closed:
                raise JobRefused(CLOSED)
            self._dispatcher.enter(record)
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
                self._dispatcher.steer(record)

    def cancel(self, job: str, *, by: Submitter = NOBODY) -> None:
        """See `Engine`."""
        with self._jobs.steered(job, by) as record:
            if record is not None:
                self._dispatcher.cancel(record)

    def status(self, job: str) -> JobStatus:
        """See `Engine`."""
        with self._jobs.lock:
            record = self._jobs.record(job)
            if record is not None:
                return self._dispatcher.status(record)
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
            if self._dispatcher.closed:
                return
            self._dispatcher.closed = True
            for record in self._jobs.records.values():
                if not record.state.final:
                    queued = record.state is JobState.QUEUED
                    self._dispatcher.end(record, JobState.FAILED, RESTARTED_IN_QUEUE if queued else RESTARTED)
        self._questions.disconnect(CLOSED, for_good=True)
        self._host.close(CLOSE_SECONDS if self._cluster is None else CLUSTER_CLOSE_SECONDS)
        self._writer.close(WRITE_SECONDS)

    def _tell(self, message: bytes) -> None:
        self._host.send(message)

    # Below, the engine's own threads; they take the lock themselves.

    def _end_orphan(self, record: JobRecord) -> None:
        with self._jobs.lock:
            if record.orphaned is threading.current_thread():  # else a viewer came back just in time
                self._dispatcher.cancel(record, UNWATCHED)

    def _heed(self, message: Mapping[str, Any]) -> None:
        if "ask" in message:
            self._questions.heed(message)
            return
        if "failed" in message:
            log.error("%s", message["failed"])
            return
        with self._jobs.lock:
            if "ready" in message:
                self._questions.connect(self._host.send)
                self._dispatcher.dispatch()
            if "places" in message:
                self._dispatcher.have_places(message["places"])
            elif "lost" in message:
                self._dispatcher.lose_node(message["lost"])
            elif "job" in message:
                self._dispatcher.heed(message)

    def _lose_host(self) -> None:
        with self._jobs.lock:
            self._dispatcher.lose_host()
            if not self._dispatcher.closed:
                self._questions.disconnect(QUESTION_LOST)
