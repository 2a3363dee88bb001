"""What one visitor is doing with jobs of one kind: the job that is shown, its spec, and its events so far.

No Streamlit here: a page calls these, then draws what they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from replora.events import EventError
from replora.jobs.engine import Engine, JobRefused, JobState, JobStatus, UnknownJob
from replora.options import Spec, SpecError

SpecOf = TypeVar("SpecOf", bound=Spec)
EventOf = TypeVar("EventOf")

LOST = "The engine no longer knows this run; what it had told is lost."


@dataclass
class JobSession(Generic[SpecOf, EventOf]):
    """`problem` is the sentence of the last thing that could not be done; subclasses say which kind of job it is."""

    kind: ClassVar[str]
    noun: ClassVar[str]  # 'a race', for sentences
    spec_type: ClassVar[type[Spec]]

    status: JobStatus | None = None
    spec: SpecOf | None = None
    events: list[EventOf] = field(default_factory=list)
    problem: str = ""

    @staticmethod
    def read(line: str) -> EventOf:
        """The event of a line; `EventError` where it is none."""
        raise TypeError("A session says how its events are read.")

    def plain(self, spec: SpecOf) -> dict[str, Any]:
        """The spec as a job carries it."""
        return spec.to_dict()

    def revive(self, values: Mapping[str, Any]) -> SpecOf:
        """The spec of a job; `SpecError` where it is none."""
        return self.spec_type.from_dict(values)  # type: ignore[return-value]

    def shows(self, status: JobStatus) -> bool:
        """Whether a job is of the kind that this session shows."""
        return status.kind == self.kind

    @property
    def job(self) -> str | None:
        return self.status.job if self.status else None

    @property
    def state(self) -> JobState | None:
        return self.status.state if self.status else None

    @property
    def active(self) -> bool:
        """Whether the job can still change."""
        return self.status is not None and not self.status.state.final

    @property
    def steered(self) -> bool:
        """Whether the job can still change and is this visitor's: somebody else's is only watched."""
        return self.status is not None and self.active and not self.status.visitor

    def beside(self) -> dict[str, str]:
        """What a link to the job says besides."""
        return {}

    def running_seconds(self) -> float:
        """How often to ask for news of a job that runs."""
        return 0.5

    def poll(self, engine: Engine) -> None:
        """Take in what is new; the status is read first, so that a final one is never ahead of its events."""
        if self.status is None:
            return
        try:
            status = engine.status(self.status.job)
            fresh = [self.read(line) for line in engine.events(status.job, since=len(self.events))]
        except UnknownJob:
            self._forget(LOST)
        except EventError as error:
            self._forget(f"This run cannot be read on: {error}")
        else:
            self.status = status
            self.events += fresh

    def attach(self, engine: Engine, job: str) -> None:
        """Show a job by its id, as after a reload or through a shared link."""
        try:
            status = engine.status(job)
            if not self.shows(status):
                self._forget(status.message or f"The run of this link is not {self.noun}.")
                return
            self.spec = self.revive(status.spec)
        except UnknownJob:
            self._forget("The run of this link is not known here; perhaps it was on another machine, or too long ago.")
        except SpecError as error:
            self._forget(f"The run of this link cannot be read: {error}")
        else:
            self.status, self.events, self.problem = status, [], ""
            self.poll(engine)

    def run(self, engine: Engine, spec: SpecOf, *, paused: bool = False) -> None:
        """A new job in place of the one at hand; submitted before that is ended, so that a refusal changes nothing.

        Somebody else's is left, and goes on.
        """
        try:
            job = engine.submit(self.kind, self.plain(spec), paused=paused)
        except JobRefused as refusal:
            self.problem = str(refusal)
            return
        if self.steered and self.job is not None:
            engine.cancel(self.job)
        self._archive(spec)
        self.spec, self.events, self.problem = spec, [], ""
        self.status = engine.status(job)

    def cancel(self, engine: Engine) -> None:
        """End the job, if it is this visitor's; what it has told stays."""
        if self.steered and self.job is not None:
            engine.cancel(self.job)
            self.poll(engine)

    def reset(self, engine: Engine) -> None:
        """Forget all; the next run starts from the same seed."""
        self.cancel(engine)
        self._forget("")

    def _archive(self, following: SpecOf) -> None:
        """Called before the events at hand make room for those of `following`."""

    def _forget(self, problem: str) -> None:
        self.status, self.spec, self.problem = None, None, problem
        self.events = []
