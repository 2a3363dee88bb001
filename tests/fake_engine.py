"""An engine without a process: its jobs tell what a test has them tell, and go on only when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthetic_runs import synthetic_race, synthetic_study

from replora.config import Race
from replora.events import to_line
from replora.jobs.engine import (
    NOBODY,
    Action,
    JobRefused,
    JobState,
    JobStatus,
    NoAnswer,
    NotYours,
    Submitter,
    UnknownJob,
)
from replora.options import UserError
from replora.simulation.job import monte_carlo_lines
from replora.studies.events import StudyEvent
from replora.studies.kinds import study_from_dict
from replora.studies.lines import to_line as study_line

Spec = Mapping[str, Any]
Tell = Callable[[Spec], Iterable[str]]
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass
class FakeJob:
    """A job of which `told` lines of `script` are told; a test sets its state, message and notice as it likes."""

    kind: str
    spec: Spec
    script: list[str]
    state: JobState = JobState.RUNNING
    told: int = 0
    position: int = 0
    message: str = ""
    notice: str = ""
    by: Submitter = NOBODY
    wait: float = 0.0
    folder: Path | None = None
    controls: list[tuple[Action, float | None]] = field(default_factory=list)
    viewers: set[str] = field(default_factory=set)


def told_race(spec: Spec) -> list[str]:
    return [to_line(event) for event in synthetic_race(Race.from_dict(spec))]


def told_studies(make: Callable[[Any], Iterable[StudyEvent]]) -> Tell:
    """What a study tells that is made of its spec by `make`."""
    return lambda spec: [study_line(event) for event in make(study_from_dict(spec))]


def told_rates(spec: Spec) -> list[str]:
    """Of three replicates, however many are asked for."""
    return list(monte_carlo_lines({**spec, "replicates": 3}, lambda: None, Path()))


class FakeEngine:
    """`tells` says, by kind of job, which lines a job tells of its spec; `answer` answers questions.

    ready: whether its host has loaded. queued: the place in the queue that new jobs get, None where they run at once.
    refusal: why a job is not taken. problem: why a question is not answered. asked: the questions so far.
    """

    def __init__(self, answer: Answer | None = None, *, place: Path = Path("jobs")) -> None:
        self.tells: dict[str, Tell] = {
            "race": told_race,
            "study": told_studies(synthetic_study),
            "theory": told_rates,
            "download": lambda spec: (),
        }
        self.answer = answer
        self.place = place
        self.jobs: dict[str, FakeJob] = {}
        self.asked: list[Mapping[str, Any]] = []
        self.ready, self.healthy, self.closed = True, True, False
        self.queued: int | None = None
        self.refusal = self.problem = ""

    @property
    def last(self) -> FakeJob:
        """The job that was submitted last."""
        return list(self.jobs.values())[-1]

    def advance(self, lines: int = 10_000) -> None:
        """The last job tells so many lines more, and is finished after its last one."""
        job = self.last
        job.told = min(len(job.script), job.told + lines)
        if job.told == len(job.script):
            job.state = JobState.FINISHED

    def submit(
        self,
        kind: str,
        spec: Spec,
        *,
        time_limit: float | None = None,
        paused: bool = False,
        by: Submitter = NOBODY,
    ) -> str:
        if self.refusal:
            raise JobRefused(self.refusal)
        name = f"job{len(self.jobs)}"
        job = FakeJob(kind, spec, list(self.tells[kind](spec)), JobState.PAUSED if paused else JobState.RUNNING, by=by)
        if self.queued is not None:
            job.state, job.position = JobState.QUEUED, self.queued
        self.jobs[name] = job
        return name

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        found = self._job(job)
        return found.script[since : found.told]

    def control(self, job: str, action: Action, value: float | None = None, *, by: Submitter = NOBODY) -> None:
        found = self._steered(job, by)
        found.controls.append((action, value))
        if not found.state.final and action is not Action.LEARNING_RATE:
            found.state = JobState.RUNNING if action is Action.RESUME else JobState.PAUSED

    def cancel(self, job: str, *, by: Submitter = NOBODY) -> None:
        found = self._steered(job, by)
        if not found.state.final:
            found.state = JobState.CANCELLED

    def status(self, job: str) -> JobStatus:
        found = self._job(job)
        queued = found.state is JobState.QUEUED
        return JobStatus(
            job,
            found.kind,
            found.state,
            found.spec,
            found.told,
            found.position if queued else 0,
            found.message,
            found.notice,
            found.by.visitor,
            found.wait if queued else 0.0,
        )

    def folder(self, job: str) -> Path:
        known = self.jobs.get(job)
        return known.folder if known and known.folder else self.place / job

    def ask(self, question: Mapping[str, Any], *, patience: float = 20.0) -> Mapping[str, Any]:
        self.asked.append(question)
        if self.problem:
            raise NoAnswer(self.problem)
        assert self.answer, "This engine answers nothing."
        try:
            return self.answer(question)
        except UserError as error:
            raise NoAnswer(str(error)) from error

    def watch(self, job: str, viewer: str) -> None:
        self._job(job).viewers.add(viewer)

    def unwatch(self, job: str, viewer: str) -> None:
        self._job(job).viewers.discard(viewer)

    def close(self) -> None:
        self.closed = True

    def _steered(self, job: str, by: Submitter) -> FakeJob:
        found = self._job(job)
        if not found.state.final and not by.may_steer(found.by.visitor):
            raise NotYours
        return found

    def _job(self, job: str) -> FakeJob:
        if job not in self.jobs:
            raise UnknownJob(job)
        return self.jobs[job]
