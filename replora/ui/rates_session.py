"""What one visitor is doing on the Rates page: the job that is shown, and its events so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from replora.config import SpecError
from replora.events import EventError
from replora.jobs.engine import Engine, JobRefused, JobState, JobStatus, UnknownJob
from replora.lab.events import TheoryEvent, from_line
from replora.lab.specs import MonteCarlo

KIND = "theory"
LOST = "The engine no longer knows this run; what it had told is lost."


@dataclass
class RatesSession:
    """`problem` is the sentence of the last thing that could not be done."""

    status: JobStatus | None = None
    spec: MonteCarlo | None = None
    events: list[TheoryEvent] = field(default_factory=list)
    problem: str = ""

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

    def poll(self, engine: Engine) -> None:
        """Take in what is new; the status is read first, so that a final one is never ahead of its events."""
        if self.status is None:
            return
        try:
            status = engine.status(self.status.job)
            fresh = [from_line(line) for line in engine.events(status.job, since=len(self.events))]
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
            if status.kind != KIND:
                self._forget(status.message or "The run of this link is not a Monte Carlo.")
                return
            self.spec = MonteCarlo.from_dict(status.spec)
        except UnknownJob:
            self._forget("The run of this link is not known here; perhaps it was on another machine, or too long ago.")
        except SpecError as error:
            self._forget(f"The run of this link cannot be read: {error}")
        else:
            self.status, self.events, self.problem = status, [], ""
            self.poll(engine)

    def run(self, engine: Engine, spec: MonteCarlo) -> None:
        """A new run; submitted before the old one is ended, so that a refusal changes nothing."""
        try:
            job = engine.submit(KIND, spec.to_dict())
        except JobRefused as refusal:
            self.problem = str(refusal)
            return
        self.stop(engine)
        self.spec, self.events, self.problem = spec, [], ""
        self.status = engine.status(job)

    def stop(self, engine: Engine) -> None:
        """End the job; what it has told stays."""
        if self.active and self.job is not None:
            engine.cancel(self.job)
            self.poll(engine)

    def reset(self, engine: Engine) -> None:
        """Back to the recorded run."""
        self.stop(engine)
        self._forget("")

    def _forget(self, problem: str) -> None:
        self.status, self.spec, self.problem = None, None, problem
        self.events = []
