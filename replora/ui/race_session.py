"""What one visitor is doing on the Race page: the job that is shown, its events so far, and the races before it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from replora.config import Race, SpecError
from replora.events import Event, EventError, RateChanged, Started, Step, from_line
from replora.jobs.engine import Action, Engine, JobRefused, JobState, JobStatus, UnknownJob

KIND = "race"
EARLIER = 3  # how many earlier races stay visible in grey
LOST = "The engine no longer knows this run; what it had told is lost."


@dataclass
class RaceSession:
    """`problem` is the sentence of the last thing that could not be done."""

    status: JobStatus | None = None
    spec: Race | None = None
    events: list[Event] = field(default_factory=list)
    earlier: list[list[Event]] = field(default_factory=list)
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
        except UnknownJob:
            self._forget("The run of this link is not known here; perhaps it was on another machine, or too long ago.")
            return
        if status.kind != KIND:
            self._forget(status.message or "The run of this link is not a race.")
            return
        try:
            self.spec = Race.from_dict(status.spec)
        except SpecError as error:
            self._forget(f"The run of this link cannot be read: {error}")
            return
        self.status, self.events, self.problem = status, [], ""
        self.poll(engine)

    def play(self, engine: Engine, race: Race) -> None:
        """Go on with a paused race of this structure, else start anew."""
        if self.state is JobState.PAUSED and not self.changed(race):
            self._control(engine, Action.RESUME)
        else:
            self._launch(engine, race, paused=False)

    def step(self, engine: Engine, race: Race) -> None:
        """One step of the race at hand, or of a new one that then stays paused."""
        if not self.active or self.changed(race):
            self._launch(engine, race, paused=True)
        if self.active:
            self._control(engine, Action.STEP)

    def pause(self, engine: Engine) -> None:
        self._control(engine, Action.PAUSE)

    def cancel(self, engine: Engine) -> None:
        """End the job; its curves stay."""
        if self.active and self.job is not None:
            engine.cancel(self.job)
            self.poll(engine)

    def reset(self, engine: Engine) -> None:
        """Forget all races; the next one starts from the same seed."""
        self.cancel(engine)
        self._forget("")

    def set_rate(self, engine: Engine, rate: float) -> None:
        """A new learning rate for the race that is on."""
        if self.active:
            self._control(engine, Action.LEARNING_RATE, rate)

    def changed(self, race: Race) -> bool:
        """Whether `race` differs from the one at hand in more than the learning rate."""
        return self.spec is None or _without_rate(race) != _without_rate(self.spec)

    def rate(self) -> float | None:
        """The peak learning rate that is in force."""
        changes = [each for each in self.events if isinstance(each, RateChanged)]
        if changes:
            return changes[-1].learning_rates[0]
        return self.spec.runs[0].learning_rate if self.spec else None

    def _launch(self, engine: Engine, race: Race, *, paused: bool) -> None:
        """Submit first and cancel the old job then, so that a refusal changes nothing."""
        try:
            job = engine.submit(KIND, race.to_dict(), paused=paused)
        except JobRefused as refusal:
            self.problem = str(refusal)
            return
        if self.active and self.job is not None:
            engine.cancel(self.job)
        self._archive(race)
        self.spec, self.events, self.problem = race, [], ""
        self.status = engine.status(job)

    def _archive(self, following: Race) -> None:
        """Keep the old race behind the new one, unless it shows another task or would lie under the same curves."""
        told = any(isinstance(each, Step) for each in self.events)
        repeated = following == self.spec and not any(isinstance(each, RateChanged) for each in self.events)
        kept = [self.events, *self.earlier] if told and not repeated else self.earlier
        self.earlier = [events for events in kept if _task(events) == following.task][:EARLIER]

    def _control(self, engine: Engine, action: Action, value: float | None = None) -> None:
        if self.job is None:
            return
        try:
            engine.control(self.job, action, value)
        except UnknownJob:
            self._forget(LOST)

    def _forget(self, problem: str) -> None:
        self.status, self.spec, self.problem = None, None, problem
        self.events, self.earlier = [], []


def _without_rate(race: Race) -> Race:
    return dataclasses.replace(race, runs=tuple(dataclasses.replace(run, learning_rate=1e-3) for run in race.runs))


def _task(events: list[Event]) -> str | None:
    return next((each.spec.task for each in events if isinstance(each, Started)), None)
