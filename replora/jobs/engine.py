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

from replora.options import UserError

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
class Submitter:
    """Who asks for something. visitor: a digest of a secret of theirs, never the secret, '' for nobody in particular;
    address: where the request came from, '' where nobody says; first: whether to be served before all others.
    """

    visitor: str = ""
    address: str = ""
    first: bool = False

    def may_steer(self, visitor: str) -> bool:
        """Whether a job that `visitor` submitted is theirs to steer; nobody's job is everybody's."""
        return visitor in ("", self.visitor)


NOBODY = Submitter()


@dataclass(frozen=True)
class JobStatus:
    """`position` counts the jobs ahead in the queue, `message` why a job failed, `notice` warns (of a full disk).

    visitor: that of its `Submitter`, '' for nobody's job, which all may steer; for the server's own eyes. wait: seconds
    until it is expected to begin, 0 unless it is queued. company: how many others are on.
    """

    job: str
    kind: str
    state: JobState
    spec: Mapping[str, Any]
    events: int = 0
    position: int = 0
    message: str = ""
    notice: str = ""
    visitor: str = ""
    wait: float = 0.0
    company: int = 0


class UnknownJob(LookupError):
    """No job of that id is known here."""


class NoAnswer(RuntimeError):
    """A question that was not answered; the message says why."""


class JobRefused(RuntimeError):
    """The engine cannot take this job (the queue is full, the host does not start); the message says why."""


class NotYours(UserError):
    """Only who submitted a job may steer it."""

    def __init__(self) -> None:
        super().__init__("This run is somebody else's: you can watch it, and start one of your own.")


class Engine(Protocol):
    """The one interface behind which a local host, a cluster or a test's fake may stand."""

    def submit(
        self,
        kind: str,
        spec: Mapping[str, Any],
        *,
        time_limit: float | None = None,
        paused: bool = False,
        by: Submitter = NOBODY,
    ) -> str:
        """Queues a job of a kind of `replora.jobs.kinds`: its id. `time_limit`: seconds, pauses included."""
        ...

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        """The lines from number `since` on, in order; never waits."""
        ...

    def control(self, job: str, action: Action, value: float | None = None, *, by: Submitter = NOBODY) -> None:
        """Ask a running or queued job to pause, resume, take one step, or train on at another learning rate.

        `NotYours` where somebody else submitted it.
        """
        ...

    def cancel(self, job: str, *, by: Submitter = NOBODY) -> None:
        """End a job; what it has told so far is kept. Nothing happens to one that has ended; `NotYours`."""
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
