"""What any engine of jobs offers: submit a spec, read its events, control it, cancel it, ask how it stands.
And one quick question, answered while the caller waits, beside all jobs.

Nothing here knows torch, Streamlit, or what a job computes. An event is one line of JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

PATIENCE = 20.0  # seconds


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (JobState.FINISHED, JobState.CANCELLED, JobState.FAILED)


class Action(StrEnum):
    """What can be asked of a running job. STEP takes one step and pauses; LEARNING_RATE carries the new rate."""

    PAUSE = "pause"
    RESUME = "resume"
    STEP = "step"
    LEARNING_RATE = "learning_rate"


@dataclass(frozen=True)
class JobStatus:
    """`position` counts the jobs ahead in the queue, `message` why a job failed, `notice` warns (of a full disk)."""

    job: str
    kind: str
    state: JobState
    spec: Mapping[str, Any]
    events: int = 0
    position: int = 0
    message: str = ""
    notice: str = ""


class UnknownJob(LookupError):
    """No job of that id is known here."""


class NoAnswer(RuntimeError):
    """A question that was not answered; the message says why."""


class JobRefused(RuntimeError):
    """The engine cannot take this job (the queue is full, the host does not start); the message says why."""


class Engine(Protocol):
    """The one interface behind which a local host, a cluster or a test's fake may stand."""

    def submit(
        self, kind: str, spec: Mapping[str, Any], *, time_limit: float | None = None, paused: bool = False
    ) -> str:
        """Queues a job of a kind of `replora.jobs.kinds`: its id. `time_limit`: seconds, pauses included."""
        ...

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        """The lines from number `since` on, in order; never waits."""
        ...

    def control(self, job: str, action: Action, value: float | None = None) -> None:
        """Ask a running or queued job to pause, resume, take one step, or train on at another learning rate."""
        ...

    def cancel(self, job: str) -> None:
        """End a job; what it has told so far is kept. Does nothing to a job that has ended."""
        ...

    def status(self, job: str) -> JobStatus:
        """How a job stands; `UnknownJob` where there is none."""
        ...

    def folder(self, job: str) -> Path:
        """Where a job leaves what it does not tell in events, for the answerer to read; `UnknownJob`."""
        ...

    def ask(self, question: Mapping[str, Any], *, patience: float = PATIENCE) -> Mapping[str, Any]:
        """The answer of `replora.jobs.kinds.ANSWERER` to a question; waits at most `patience` seconds. `NoAnswer`."""
        ...
