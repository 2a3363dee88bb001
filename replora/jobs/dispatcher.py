"""Begins, steers and ends the jobs of an engine: what waits goes to the host in its turn, what the host says is heeded.

Nothing here takes the engine's lock; whoever calls holds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from replora.jobs.engine import Action, JobState, JobStatus
from replora.jobs.host_keeper import HostKeeper
from replora.jobs.host_process import why
from replora.jobs.job_record import JobRecord
from replora.jobs.job_writer import JobWriter
from replora.jobs.known_jobs import KnownJobs
from replora.jobs.messages import encode, goes
from replora.jobs.turns.limits import Waiting
from replora.jobs.turns.line import Line
from replora.jobs.turns.rides import Rides
from replora.memory.machine import all_jobs_bytes

HOST_LOST = "The process that runs the jobs ended unexpectedly, and this job with it."
HOST_UNWELL = "The process that runs the jobs ended several times in a row and is started again in a moment."
NODE_LOST = "The node that ran this job is gone, and the job with it."
CROWDED = "Too many runs were paused, and this one had been so for longest."


class Dispatcher:
    """max_paused: how many paused jobs stay in their process; seats: of those in none, as of those that wait.
    rides: who runs together. memory: the most that all that are on may take, in bytes; None: by the environment.

    `host` is given before anything is asked.
    """

    host: HostKeeper

    def __init__(
        self,
        jobs: KnownJobs,
        line: Line,
        rides: Rides,
        writer: JobWriter,
        *,
        max_paused: int,
        seats: Waiting,
        memory: float | None = None,
    ) -> None:
        self._jobs, self._line, self._rides, self._writer = jobs, line, rides, writer
        self._max_paused, self._seats, self._memory = max_paused, seats, memory
        self.closed = False

    def enter(self, record: JobRecord) -> None:
        """A new job waits for its turn; `JobRefused` where too many do."""
        self._line.enter(record.job, record.by, record.load, record.time_limit)
        self._jobs.records[record.job] = record
        self._writer.state(record)
        self.dispatch()

    def status(self, record: JobRecord) -> JobStatus:
        """How a job in memory stands, and where in line."""
        status = record.status()
        if not (record.state is JobState.QUEUED or self._line.is_back(record.job)):
            on = record.state is JobState.RUNNING
            return replace(status, company=max(0, len(self._line.running) - 1)) if on else status
        position, wait = self._line.prospect(record.job)
        notice = status.notice or ("" if self.host.healthy else HOST_UNWELL)
        return replace(status, state=JobState.QUEUED, position=position, wait=wait, notice=notice)

    def dispatch(self) -> None:
        """Starts jobs that wait, or lets paused ones go on, while places are free."""
        while not self.closed and self.host.ready and self._fits() and (job := self._line.next()) is not None:
            record = self._jobs.records[job]
            if record.state is JobState.QUEUED or record.seat is not None:
                self._begin(record)
            else:
                self._pass_on(record)
        seats = self._seats
        for job in self._line.surplus(self._max_paused, seats.max_waiting, seats.max_waiting_visitor):
            if job in self._jobs.records:  # else it has ended, and its process is about to
                self.cancel(self._jobs.records[job], CROWDED)

    def steer(self, record: JobRecord) -> None:
        """Something was added to what is asked of a job."""
        self._pass_on(record)
        self.dispatch()

    def cancel(self, record: JobRecord, message: str = "") -> None:
        """Ends a job on request."""
        if record.state.final:
            return
        begun = record.state is not JobState.QUEUED
        self.end(record, JobState.CANCELLED, message)
        if record.seat is not None or (record.ride and self._rides.cancel(record)):
            self._line.leave(record.job, finished=False)
        elif begun and not record.ride:
            self.host.send(encode(do="end", job=record.job))

    def end(self, record: JobRecord, state: JobState, message: str) -> None:
        """Brings a job to a final state; it keeps the first it was brought to."""
        if record.state.final:
            return
        record.state = state
        record.message = message
        record.forget_timer()
        self._line.stay(record.job)
        self._writer.state(record, last=True)

    def heed(self, message: Mapping[str, Any]) -> None:
        """What the host says of a job or its process."""
        job = message["job"]
        record = self._jobs.records.get(job)
        if "exit" in message:
            self._bury(job, record, message)
        elif record is None or record.state.final:
            pass  # the last words of a job that was cancelled
        elif "line" in message:
            if record.tell(message["line"]):
                self._writer.line(record, message["line"])
        elif "off" in message:
            self._rides.got_off(record, message["off"], message["rate"])
            record.state = JobState.PAUSED
            self._line.get_off(job)
            self.steer(record)
        elif "stays" in message:
            self._rides.stays(record)
            record.warned = record.warned or message["stays"]
            self.steer(record)
        elif "paused" in message:
            record.state = JobState.PAUSED if message["paused"] else JobState.RUNNING
            if message["paused"] and not goes(record.told):  # else it goes on as soon as it hears that
                self._line.rest(job)
                self.dispatch()
        elif "pieces" in message:
            pass  # its progress says so
        elif "notice" in message:
            record.warned = record.warned or message["notice"]
        elif "heard" in message:
            if record.told == Action.PAUSE and record.state is JobState.PAUSED:  # it was told to go on just before
                self._line.rest(job)
            record.heard, record.told = True, ""
            self.steer(record)
        else:
            self.end(record, JobState(message["end"]), message["message"])

    def lose_host(self) -> None:
        """The host is gone: those of its jobs that can be are repeated, the others have failed; who waits goes on."""
        self._rides.lose()
        self._lose(self._line.lose(), HOST_LOST)

    def lose_node(self, processes: Collection[str]) -> None:
        """A node of a cluster is gone with these processes: as with a host."""
        self._lose(self._line.lose(self._rides.lose(processes)), NODE_LOST)
        self.dispatch()

    def have_places(self, places: int) -> None:
        """So many jobs may be on from now on."""
        self._line.resize(places)
        self.dispatch()

    def _lose(self, jobs: Sequence[str], reason: str) -> None:
        for record in filter(None, map(self._jobs.records.get, jobs)):
            self._repeat_or_fail(record, reason)

    def _most(self) -> float:
        return all_jobs_bytes() if self._memory is None else self._memory

    def _taken(self, beside: JobRecord | None = None) -> int:
        """The memory that the jobs that are on are reckoned to take, but for one of them, in bytes."""
        on = (self._jobs.records.get(job) for job in self._line.running)
        return sum(each.need for each in on if each is not None and each is not beside)

    def _fits(self) -> bool:
        """Whether the job whose turn is next has memory beside those that are on; one by itself always may try."""
        order = self._line.order
        if not order or not self._line.running:
            return True
        return self._taken() + self._jobs.records[order[0]].need <= self._most()

    def _begin(self, record: JobRecord) -> None:
        """Has the host start a job whose turn it is, and with it those that wait and fit."""
        waiting = [self._jobs.records[job] for job in self._line.order]
        room = self._most() - self._taken(beside=record)
        together = [record, *self._rides.companions(record, waiting, self._line.expect, room)]
        for started in together:
            started.state = JobState.RUNNING
            self._writer.state(started)
        for companion in together[1:]:
            self._line.join(companion.job, record.job)
        for each in together:
            each.sharing = each.sharing or self._line.sharing()
        folder = self._jobs.store.files.folder
        limit = max(self._line.time_left(each.job) for each in together)
        if len(together) > 1:
            self._rides.start(together, folder, limit)
        else:
            self.host.send(record.start(folder(record.job), limit))

    def _pass_on(self, record: JobRecord) -> None:
        """Passes on what was asked, unless the last control was not yet heard: a hung job's line must not fill up.

        A paused job that has lost its place is told to go on once it has another.
        """
        if record.state is JobState.QUEUED or not record.control:
            return
        if record.ride:
            self._rides.steer(record)
            return
        if goes(record.control.mode):
            if not self._line.wake(record.job):
                return
        elif record.control.mode:
            self._line.stay(record.job)
        if record.heard and record.seat is None:
            record.heard, record.told = False, record.control.mode
            self.host.send(encode(do="control", job=record.job, control=record.take_control()))

    def _bury(self, process: str, record: JobRecord | None, message: Mapping[str, Any]) -> None:
        """A process is gone: a job's own, or one that several shared, who then run each by itself."""
        riders = self._rides.over(process)
        if riders is None:
            self._line.leave(process, record is not None and record.state is JobState.FINISHED)
            if record is not None:
                self.end(record, JobState.FAILED, why(message["exit"], message["late"], record.time_limit))
        for rider in riders or ():
            self._line.leave(rider.job, rider.state is JobState.FINISHED)
            if not rider.state.final:
                rider.alone = True
                self._repeat_or_fail(rider, why(message["exit"], message["late"], rider.time_limit))
        self.dispatch()

    def _repeat_or_fail(self, record: JobRecord, reason: str) -> None:
        if self._jobs.repeat(record):
            self._line.again(record.job, record.by, record.load, record.time_limit)
        else:
            self.end(record, JobState.FAILED, reason)
