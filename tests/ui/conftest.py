"""A race without torch, and an engine that tells it as fast as a test wants."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from replora.config import Race, RaceOptions
from replora.events import (
    Diverged,
    Evaluated,
    Event,
    Finished,
    RateChanged,
    RunFacts,
    Started,
    Step,
    to_line,
)
from replora.jobs.engine import Action, JobRefused, JobState, JobStatus, UnknownJob
from replora.studies.events import CellFinished, MethodFacts, Progress, StudyEvent, StudyFinished, StudyStarted
from replora.studies.events import to_line as study_line
from replora.studies.spec import Study, study_from_dict
from replora.tasks import task_card
from replora.ui import engine as ui_engine
from replora.ui import recorded

TRAINED = {"head": 0, "lora": 18_432, "replora": 456_576}


def synthetic_race(
    spec: Race, *, diverge: Mapping[int, int] | None = None, rates: Mapping[int, float] | None = None
) -> Iterator[Event]:
    """The events of a plausible race. diverge: run -> the step it is lost at; rates: step -> new learning rate."""
    diverge, rates = diverge or {}, rates or {}
    noise = random.Random(0)
    classes = task_card(spec.task).classes
    yield Started(
        spec=spec,
        facts=tuple(
            RunFacts(TRAINED[run.method.name], 18_432 if run.method.name != "head" else 0, 3_850, 400)
            for run in spec.runs
        ),
        backbone="dinov2_small_6",
        classes=tuple(str(each) for each in range(classes)),
        device="CPU (test)",
        precision="float32",
        threads=2,
        versions={"replora": "0", "torch": "2.14"},
    )
    lost: set[int] = set()
    speed = [{"head": 0.3, "lora": 1.0, "replora": 1.6}[run.method.name] + 0.05 * run.seed for run in spec.runs]
    for step in range(1, spec.steps + 1):
        if step - 1 in rates:
            yield RateChanged(step - 1, (rates[step - 1],) * len(spec.runs))
        lost |= {run for run, when in diverge.items() if when < step}
        share = [min(1.0, each * step / spec.steps) for each in speed]
        shared_noise = noise.gauss(0, 0.1)
        yield Step(
            step,
            0.1 * step,
            tuple(
                None if run in lost else math.log(classes) * (1 - 0.7 * each) + shared_noise
                for run, each in enumerate(share)
            ),
            tuple(None if run in lost else 4 * each for run, each in enumerate(share)),
            tuple(run.learning_rate for run in spec.runs),
        )
        for run, when in diverge.items():
            if when == step:
                yield Diverged(step, run, "The loss is no longer a finite number.")
                lost.add(run)
        if step % spec.evaluate_every == 0 or step == spec.steps:
            scores = tuple(None if run in lost else 0.1 + 0.7 * each for run, each in enumerate(share))
            yield Evaluated(step, 0.1 * step, scores, tuple(None if each is None else 1.0 for each in scores))
    yield Finished(spec.steps, 0.1 * spec.steps)


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


@pytest.fixture
def three_seeds() -> Race:
    return RaceOptions(seeds=(0, 1, 2), methods=("lora", "replora", "head")).race()


@pytest.fixture
def told() -> Any:
    """`told(spec, lines, **facts)`: the first events of a synthetic race."""

    def tell(spec: Race, lines: int | None = None, **facts: Any) -> list[Event]:
        return list(synthetic_race(spec, **facts))[:lines]

    return tell


@pytest.fixture
def halved() -> Race:
    return replace(RaceOptions().race(), steps=50)


EXAMPLES = 200


def synthetic_study(spec: Study, *, lost: float = 0.03, batch: int = 8) -> Iterator[StudyEvent]:
    """The events of a plausible study: LoRA is best at 0.003, RepLoRA at 0.0003 and diverges from `lost` on."""
    runs = spec.runs()
    sizes = tuple(MethodFacts(name, TRAINED[name], 18_432) for name in spec.methods)
    batches = math.ceil(len(runs) / batch)
    yield StudyStarted(
        spec, len(runs), batches, sizes, EXAMPLES, "minilm_l3", "CPU (test)", "float32", 2, {"replora": "0"}
    )
    noise = random.Random(0)
    for start in range(0, len(runs), batch):
        share = (start + batch / 2) / len(runs)
        yield Progress(start, len(runs), share, 40 * share, 40 * (1 - share))
        for run in runs[start : start + batch]:
            name, rate = run.method.name, run.learning_rate
            best = {"head": rate, "lora": 3e-3, "replora": 3e-4}[name]
            score = 0.4 + 0.15 * math.log10(100 * run.data_fraction) - 0.08 * abs(math.log10(rate / best))
            score -= 0.1 * (name == "head")
            right = None if name == "replora" and rate >= lost else round(EXAMPLES * (score + noise.gauss(0, 0.005)))
            share_right = None if right is None else right / EXAMPLES
            loss = None if right is None else 1 - score
            examples = round(1000 * run.data_fraction)
            yield CellFinished(
                name, run.data_fraction, rate, run.seed, examples, share_right, loss, share_right, right is None
            )
    yield StudyFinished(40.0)


@pytest.fixture
def study_events() -> Callable[..., list[StudyEvent]]:
    """`study_events(spec, **facts)`: all events of a synthetic study."""
    return lambda spec, **facts: list(synthetic_study(spec, **facts))


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
