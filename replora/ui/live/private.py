"""The engine as one visitor may use it: what a run on own data tells is for those who hold the data, and a job is
steered by who submitted it.

Every page asks its jobs through this, so that the id of a run, which lists and links show, opens and steers nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replora.catalog import unnamed
from replora.jobs.engine import NOBODY, PATIENCE, Action, JobRefused, JobStatus, NoAnswer, Submitter, UnknownJob
from replora.lens.questions import folders_of
from replora.options import UserError
from replora.own_data.private import CHOOSE, PRIVATE, own_task, redacted_line, redacted_spec

if TYPE_CHECKING:
    from replora.ui.live.engine import WatchedEngine


SOMEBODY = "somebody else"  # as the visitor of a job that this one may only watch; the digest is nobody's business
WAIT_SECONDS = 10.0  # a step of the wait; nobody knows it to the second


class PrivateRun(UserError):
    """A run on data that this visitor does not hold."""


class PrivateEngine:
    """`engine` for a visitor, whoever a call says it is by.

    by: the visitor. holds: says which own data they hold. tasks: remembers what jobs are on.
    """

    def __init__(
        self, engine: WatchedEngine, by: Submitter, holds: Callable[[str], bool], tasks: dict[str, str]
    ) -> None:
        self._engine = engine
        self._by = by
        self._holds = holds
        self._tasks = tasks

    @property
    def ready(self) -> bool:
        """See `LocalEngine`."""
        return self._engine.ready

    @property
    def healthy(self) -> bool:
        """See `LocalEngine`."""
        return self._engine.healthy

    def submit(
        self,
        kind: str,
        spec: Mapping[str, Any],
        *,
        time_limit: float | None = None,
        paused: bool = False,
        by: Submitter = NOBODY,
    ) -> str:
        """See `Engine`; `JobRefused` where the spec names data that the visitor does not hold."""
        task = own_task(spec)
        if task and not self._holds(task):
            raise JobRefused(CHOOSE)
        return self._engine.submit(kind, spec, time_limit=time_limit, paused=paused, by=self._by)

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        """See `Engine`; without name and classes of data that the visitor does not hold."""
        lines = self._engine.events(job, since)
        return lines if self.is_open(job) else [redacted_line(line) for line in lines]

    def status(self, job: str) -> JobStatus:
        """See `Engine`; likewise. Of the job's visitor it says only whether it is `SOMEBODY`, '' for this one.

        The wait is told in steps, as pages draw anew what has changed.
        """
        status = self._engine.status(job)
        status = dataclasses.replace(
            status,
            visitor="" if self._by.may_steer(status.visitor) else SOMEBODY,
            wait=WAIT_SECONDS * math.ceil(status.wait / WAIT_SECONDS),
        )
        task = own_task(status.spec)
        self._tasks[job] = task
        if not task or self._holds(task):
            return status
        message, notice = unnamed(status.message, task), unnamed(status.notice, task)
        return dataclasses.replace(status, spec=redacted_spec(status.spec), message=message, notice=notice)

    def folder(self, job: str) -> Path:
        """See `Engine`; `PrivateRun` where the visitor does not hold the data."""
        if not self.is_open(job):
            raise PrivateRun(PRIVATE)
        return self._engine.folder(job)

    def ask(self, question: Mapping[str, Any], *, patience: float = PATIENCE) -> Mapping[str, Any]:
        """See `Engine`; `NoAnswer` about a run on data that the visitor does not hold."""
        jobs = (self._job_of(Path(folder)) for folder in folders_of(question))
        if not all(self.is_open(job) for job in jobs if job):
            raise NoAnswer(PRIVATE)
        return self._engine.ask(question, patience=patience)

    def control(self, job: str, action: Action, value: float | None = None, *, by: Submitter = NOBODY) -> None:
        """See `Engine`."""
        self._engine.control(job, action, value, by=self._by)

    def cancel(self, job: str, *, by: Submitter = NOBODY) -> None:
        """See `Engine`."""
        self._engine.cancel(job, by=self._by)

    def watch(self, job: str, viewer: str) -> None:
        """See `LocalEngine`; nothing happens to somebody else's job, which lives as long as its own visitor looks."""
        if self._by.may_steer(self._engine.status(job).visitor):
            self._engine.watch(job, viewer)

    def unwatch(self, job: str, viewer: str) -> None:
        """See `LocalEngine`."""
        self._engine.unwatch(job, viewer)

    def close(self) -> None:
        """See `LocalEngine`."""
        self._engine.close()

    def is_open(self, job: str) -> bool:
        """Whether the visitor holds the data of a run, or it is on no own data; `UnknownJob`."""
        if job not in self._tasks:
            self._tasks[job] = own_task(self._engine.status(job).spec)
        task = self._tasks[job]
        return not task or self._holds(task)

    def _job_of(self, folder: Path) -> str:
        """The job that left a folder, or what is in it; '' for a recorded one."""
        for above in (folder, *folder.parents):
            try:
                if self._engine.folder(above.name) == above and self._engine.status(above.name).job:
                    return above.name
            except UnknownJob:
                continue
        return ""
