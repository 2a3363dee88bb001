"""What one visitor is doing on the Race page: the job that is shown, its events so far, and the races before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from replora.catalog import PRIVATE_TASKS
from replora.config import Race
from replora.events import Event, EventError, RateChanged, Step, from_line, started_of
from replora.jobs.engine import Action, Engine, JobState, UnknownJob
from replora.ui.live.session import LOST, JobSession
from replora.ui.race.looks import p_values_of

EARLIER = 3  # how many earlier races stay visible in grey
BEFORE = "before"  # the key of their jobs in a query string
RECORDED = "recorded"  # in a link, in the place of a job
GONE = "A race before this one is not known here any more; its grey curves are not drawn."

ALONE = f"{BEFORE} must stand beside run in a link: it names the races behind that one."

Recorded = Callable[[str], Sequence[Event]]  # the recorded race of a task


@dataclass(frozen=True)
class Before:
    """A race that stays behind another one: its job, or `RECORDED`, and what it had told."""

    job: str
    events: Sequence[Event]


@dataclass
class RaceSession(JobSession[Race, Event]):
    """The race that is shown, and the ones before it."""

    kind = "race"
    noun = "a race"
    spec_type = Race
    read = staticmethod(from_line)

    earlier: list[Before] = field(default_factory=list)  # the latest first
    passed: list[float] = field(default_factory=list)  # p-values of verdicts on races before those
    cut: bool = False  # whether there may have been races before those whose verdicts are not known, as after a reload

    def beside(self) -> dict[str, str]:
        """The races in grey behind it, the latest first."""
        return {BEFORE: ",".join(before.job for before in self.earlier)} if self.earlier else {}

    def running_seconds(self) -> float:
        """Short until the first step, for which people wait."""
        return 0.5 if any(isinstance(event, Step) for event in self.events) else 0.2

    def play(self, engine: Engine, race: Race) -> None:
        """Go on with one's own paused race of this structure, else start anew."""
        if self.steered and self.state is JobState.PAUSED and not self.changed(race):
            self._control(engine, Action.RESUME)
        else:
            self.run(engine, race)

    def step(self, engine: Engine, race: Race) -> None:
        """One step of one's own race at hand, or of a new one that then stays paused."""
        if not self.steered or self.changed(race):
            self.run(engine, race, paused=True)
        self._control(engine, Action.STEP)

    def race_against(self, engine: Engine, race: Race, last: Before) -> None:
        """A new race with the one at hand, or the recorded one, in grey behind it."""
        self.run(engine, race)
        if not self.problem and last.job == RECORDED:
            self.earlier = [last]

    def recall(self, engine: Engine, jobs: Sequence[str], recorded: Recorded) -> None:
        """Take up the races behind the one at hand, as after a reload; a sentence where one cannot be had.

        None behind one on private data of somebody else: which data another one is on, nobody may know.
        """
        if self.spec is None:
            self.problem = self.problem or (ALONE if jobs else "")
            return
        if jobs and self.spec.task in PRIVATE_TASKS:
            self.problem = GONE
            return
        self.cut = len(jobs) >= EARLIER
        for job in jobs[:EARLIER]:
            try:
                lines = () if job == RECORDED else engine.events(job)
                events = recorded(self.spec.task) if job == RECORDED else [from_line(line) for line in lines]
            except (UnknownJob, EventError):
                self.problem = GONE
                continue
            if _task(events) == self.spec.task:
                self.earlier.append(Before(job, events))

    def pause(self, engine: Engine) -> None:
        self._control(engine, Action.PAUSE)

    def set_rate(self, engine: Engine, rate: float) -> None:
        """A new learning rate for the race that is on."""
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

    def _archive(self, following: Race) -> None:
        """Keep the old race behind the new one, unless it shows another task or would lie under the same curves."""
        told = any(isinstance(each, Step) for each in self.events)
        repeated = following == self.spec and not any(isinstance(each, RateChanged) for each in self.events)
        last = [Before(self.job or "", self.events)] if told and not repeated else []
        row = [before for before in [*last, *self.earlier] if _task(before.events) == following.task]
        self.earlier, gone = row[:EARLIER], row[EARLIER:]
        if not row:
            self.passed, self.cut = [], False
        elif gone:
            stay = p_values_of([before.events for before in self.earlier])
            self.passed += p_values_of([before.events for before in row])[len(stay) :]

    def _control(self, engine: Engine, action: Action, value: float | None = None) -> None:
        if self.job is None or not self.steered:
            return
        try:
            engine.control(self.job, action, value)
        except UnknownJob:
            self._forget(LOST)

    def _forget(self, problem: str) -> None:
        super()._forget(problem)
        self.earlier, self.passed, self.cut = [], [], False


def _without_rate(race: Race) -> Race:
    return dataclasses.replace(race, runs=tuple(dataclasses.replace(run, learning_rate=1e-3) for run in race.runs))


def _task(events: Sequence[Event]) -> str | None:
    started = started_of(events)
    return started.spec.task if started else None
