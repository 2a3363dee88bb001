"""A race without torch, and an engine that tells it as fast as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from synthetic_runs import synthetic_race

from replora.config import Race, RaceOptions
from replora.events import (
    to_line,
)
from replora.jobs.engine import Action, JobRefused, JobState, JobStatus, UnknownJob
from replora.studies.kinds import study_from_dict
from replora.studies.lines import to_line as study_line
from replora.ui.live import engine as ui_engine
from replora.ui.live import recordings as recorded


@dataclass
class FakeJob:
    spec: Mapping[str, Any]
    script: list[str]
    told: int = 0
    state: JobState = JobState.RUNNING
    message: str = ""
    controls: list[tuple[Action, float | None]] = field(default_factory=list)
    viewers: set[str] = field(default_factory=set)


class FakeEngine:
    """An engine whose jobs go on only when `advance` is called."""

    ready = True

    def __init__(self) -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.refusal = ""
        self.position = 0
        self.closed = False

    @property
    def last(self) -> FakeJob:
        return list(self.jobs.values())[-1]

    def advance(self, lines: int = 10_000) -> None:
        """The last job tells so many lines more."""
        job = self.last
        job.told = min(len(job.script), job.told + lines)
        if job.told == len(job.script):
            job.state = JobState.FINISHED

    def submit(
        self, kind: str, spec: Mapping[str, Any], *, time_limit: float | None = None, paused: bool = False
    ) -> str:
        if self.refusal:
            raise JobRefused(self.refusal)
        assert kind == "race"
        name = f"job{len(self.jobs)}"
        script = [to_line(each) for each in synthetic_race(Race.from_dict(spec))]
        self.jobs[name] = FakeJob(spec, script, state=JobState.PAUSED if paused else JobState.RUNNING)
        if self.position:
            self.jobs[name].state = JobState.QUEUED
        return name

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        return self._job(job).script[since : self._job(job).told]

    def control(self, job: str, action: Action, value: float | None = None) -> None:
        found = self._job(job)
        found.controls.append((action, value))
        if not found.state.final and action is not Action.LEARNING_RATE:
            found.state = JobState.RUNNING if action is Action.RESUME else JobState.PAUSED

    def cancel(self, job: str) -> None:
        if not self._job(job).state.final:
            self._job(job).state = JobState.CANCELLED

    def status(self, job: str) -> JobStatus:
        found = self._job(job)
        return JobStatus(job, "race", found.state, found.spec, found.told, self.position, found.message)

    def folder(self, job: str) -> Path:
        return Path("jobs") / job

    def watch(self, job: str, viewer: str) -> None:
        self._job(job).viewers.add(viewer)

    def unwatch(self, job: str, viewer: str) -> None:
        self._job(job).viewers.discard(viewer)

    def close(self) -> None:
        self.closed = True

    def _job(self, job: str) -> FakeJob:
        if job not in self.jobs:
            raise UnknownJob(job)
        return self.jobs[job]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """The app talks to this engine."""
    fake = FakeEngine()
    st.cache_resource.clear()
    monkeypatch.setattr(ui_engine, "connect", lambda: fake)
    yield fake
    st.cache_resource.clear()


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of recorded races of digits and topics, in place of the one in assets."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    for task in ("digits", "wordnet_topics"):
        events = synthetic_race(RaceOptions(task=task).race())
        text = "".join(to_line(each) + "\n" for each in events)
        (folder / f"race_{task}.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.setattr(recorded, "FOLDER", folder)
    return folder


class StudyEngine:
    """An engine whose studies go on only when `advance` is called."""

    ready = True

    def __init__(self, build: Callable[..., Any]) -> None:
        self.build = build
        self.scripts: dict[str, list[str]] = {}
        self.specs: dict[str, Any] = {}
        self.told = 0
        self.state = JobState.RUNNING
        self.message = self.refusal = ""
        self.kind = "study"
        self.watched: list[str] = []

    def submit(self, kind: str, spec: Any, *, time_limit: float | None = None, paused: bool = False) -> str:
        if self.refusal:
            raise JobRefused(self.refusal)
        assert kind == "study"
        name = f"study{len(self.scripts)}"
        self.scripts[name] = [study_line(each) for each in self.build(study_from_dict(spec))]
        self.specs[name], self.told, self.state = spec, 0, JobState.RUNNING
        return name

    def advance(self, lines: int = 10_000) -> None:
        script = list(self.scripts.values())[-1]
        self.told = min(len(script), self.told + lines)
        if self.told == len(script):
            self.state = JobState.FINISHED

    def events(self, job: str, since: int = 0) -> Sequence[str]:
        return self.scripts[job][since : self.told]

    def cancel(self, job: str) -> None:
        self.state = JobState.CANCELLED

    def status(self, job: str) -> JobStatus:
        if job not in self.scripts:
            raise UnknownJob(job)
        return JobStatus(job, self.kind, self.state, self.specs[job], self.told, message=self.message)

    def folder(self, job: str) -> Path:
        return Path("jobs") / job

    def watch(self, job: str, viewer: str) -> None:
        self.watched.append(job)

    def unwatch(self, job: str, viewer: str) -> None:
        self.watched.remove(job)

    def close(self) -> None:
        self.scripts.clear()


@pytest.fixture
def study_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., StudyEngine]]:
    """`study_engine(build)`: the app talks to an engine whose studies tell what `build` makes of their specs."""

    def start(build: Callable[..., Any]) -> StudyEngine:
        fake = StudyEngine(build)
        st.cache_resource.clear()
        monkeypatch.setattr(ui_engine, "connect", lambda: fake)
        return fake

    yield start
    st.cache_resource.clear()
