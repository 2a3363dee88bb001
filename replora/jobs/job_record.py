"""What an engine knows of one job while it is in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from replora.jobs.engine import JobState, JobStatus
from replora.jobs.messages import Control


@dataclass(eq=False)
class JobRecord:
    """All that is known of one job here; `heard` is false while a control is on its way to the job's process.

    `notice` says why its lines are not stored, or what is wrong with its result; `unlisted` why its state is not.
    """

    job: str
    kind: str
    spec: Mapping[str, Any]
    time_limit: float
    state: JobState = JobState.QUEUED
    lines: list[str] = field(default_factory=list)
    message: str = ""
    notice: str = ""
    unlisted: str = ""
    control: Control = field(default_factory=Control)
    heard: bool = True
    viewers: set[str] = field(default_factory=set)
    orphaned: threading.Timer | None = None

    def status(self, position: int = 0) -> JobStatus:
        """How the job stands, with as many jobs ahead of it in the queue."""
        return JobStatus(
            job=self.job,
            kind=self.kind,
            state=self.state,
            spec=self.spec,
            events=len(self.lines),
            position=position,
            message=self.message,
            notice=self.notice or self.unlisted,
        )
