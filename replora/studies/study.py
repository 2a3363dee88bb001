"""A study run: the grid as a few batches, told as a stream of events.

What a batch is depends on the study: races of `replora.training.race`, or students of `replora.studies.teachers`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

from replora.config import Race
from replora.events import Diverged, Evaluated, Started, Step
from replora.studies.base import Study, in_batches
from replora.studies.batch_size import runs_at_once
from replora.studies.events import (
    CellFinished,
    MethodFacts,
    Progress,
    StudentFinished,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    TeachersDrawn,
)
from replora.studies.kinds import kind_of_study, study_from_dict
from replora.studies.lines import to_line
from replora.studies.spec import RaceStudy, TeacherStudy
from replora.studies.teachers.spec import Student
from replora.studies.teachers.students import StudentBatch
from replora.studies.teachers.teacher import Teachers
from replora.tasks import load_task
from replora.training.cache import Prefixes
from replora.training.device import choose_device, device_name, repeatable, versions
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter

TOLD = 20  # how often a batch tells its progress


@dataclass(frozen=True)
class BatchFacts:
    """What the first batch knows of the machine and of the sizes of the methods."""

    methods: tuple[MethodFacts, ...]
    test_examples: int
    backbone: str
    device: str
    precision: str
    threads: int
    versions: Mapping[str, str]


Told = BatchFacts | Step | TeachersDrawn | CellFinished | StudentFinished


class Batches(Protocol):
    """A kind of study: its runs, and how some of them are trained as one batch."""

    @property
    def runs(self) -> Sequence[Any]: ...

    def train(self, runs: Sequence[Any]) -> Iterator[Told]:
        """What the batch knows first, then a Step each step, then what each run has come to."""
        ...


def study_lines(spec: Mapping[str, Any], new_rate: Callable[[], float | None], folder: Path) -> Iterator[str]:
    """A job function: `study` in plain values; a study's rates are its grid's, there is none to change."""
    for event in study(study_from_dict(spec), folder=folder):
        yield to_line(event)


def study(spec: Study, *, at_once: int | None = None, folder: Path | None = None) -> Iterator[StudyEvent]:
    """Train the grid of `spec`, in as few batches as memory allows.

    at_once: runs of a batch at most, instead of what memory allows. A batch that the device has no memory for is
    halved. folder: where races leave what they have trained, `batch_0` and so on, as `replora.training.snapshots` says;
    None for nowhere. Pausing is not asking for the next event; seconds leave pauses out.
    Raises `SpecError`, `TaskError` or `BackboneError` before the first event.
    """
    clock, device = _Clock(), choose_device(spec.device)
    stream = _told(_kind(spec, device, folder), spec, at_once or runs_at_once(spec, device), clock)
    while True:
        clock.start()
        event = next(stream, None)
        clock.stop()
        if event is None:
            return
        yield event


class _Clock:
    """Seconds while the study is asked for its next event."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.since: float | None = None

    def start(self) -> None:
        self.since = time.perf_counter()

    def stop(self) -> None:
        self.spent, self.since = self.seconds(), None

    def seconds(self) -> float:
        return self.spent + (0.0 if self.since is None else time.perf_counter() - self.since)


def _told(kind: Batches, spec: Study, at_once: int, clock: _Clock) -> Iterator[StudyEvent]:
    pending = in_batches(kind.runs, at_once)
    runs, done, batches = len(kind.runs), 0, len(pending)
    once: set[type] = set()  # what every batch tells and the study tells once
    while pending:
        batch = pending.pop(0)
        results: list[CellFinished | StudentFinished] = []
        try:
            for event in kind.train(batch):
                if isinstance(event, CellFinished | StudentFinished):
                    results.append(event)
                elif isinstance(event, Step):
                    if event.step % max(1, spec.steps // TOLD) == 0:
                        share = (done + len(batch) * event.step / spec.steps) / runs
                        yield _progress(done, runs, share, clock.seconds())
                elif type(event) not in once:
                    once.add(type(event))
                    if isinstance(event, BatchFacts):
                        yield StudyStarted(spec=spec, runs=runs, batches=batches, **vars(event))
                    else:
                        yield event
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            half = len(batch) // 2
            pending[:0] = [batch[:half], batch[half:]]
            results = []
        done += len(results)
        yield from results
        _release()
    yield StudyFinished(round(clock.seconds(), 3))


def _kind(spec: Study, device: torch.device, folder: Path | None) -> Batches:
    module, _, name = kind_of_study(spec).batches.partition(":")
    kind: Batches = getattr(import_module(module), name)(spec, device, folder)
    return kind


class Students:
    """Students of the same teachers, batch by batch."""

    def __init__(self, spec: TeacherStudy, device: torch.device, folder: Path | None) -> None:
        self.spec, self.device = spec, device
        self.runs = spec.runs()
        self.teachers: Teachers | None = None
        self.sizes: dict[str, MethodFacts] = {}

    def train(self, runs: Sequence[Student]) -> Iterator[Told]:
        with repeatable(self.device):
            if self.teachers is None:
                self.teachers = Teachers(self.spec, self.device)
            batch = StudentBatch(self.teachers, runs)
            yield self._begun(batch)
            yield self.teachers.drawn()
            for event in batch.events():
                if not isinstance(event, Diverged):  # the student's result says so
                    yield event

    def _begun(self, batch: StudentBatch) -> BatchFacts:
        assert self.teachers is not None
        sizes = {
            student.name: MethodFacts(student.name, *batch.stack.adapter_sizes(place))
            for place, student in enumerate(batch.students)
        }
        return BatchFacts(
            methods=tuple(sizes.values()),
            test_examples=len(self.teachers.test.split),
            backbone=batch.stack.backbone.name,
            device=device_name(self.device),
            precision=str(batch.stack.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            versions=versions(),
        )


class Races:
    """Races of the engine, each evaluated at its end; the frozen prefix is computed once for all."""

    def __init__(self, spec: RaceStudy, device: torch.device, folder: Path | None) -> None:
        self.spec = spec
        self.runs = spec.runs()
        self.prefixes = Prefixes()
        self.folder = folder
        self.trained = 0  # batches

    def train(self, runs: Sequence[Any]) -> Iterator[Told]:
        batch = self.spec.race(runs)
        started: Started | None = None
        last: Evaluated | None = None
        lost: set[int] = set()
        for event in race(batch, prefixes=self.prefixes, snapshots=self._writer(batch)):
            if isinstance(event, Started):
                started = event
                yield _begun(event)
            elif isinstance(event, Step):
                yield event
            elif isinstance(event, Diverged):
                lost.add(event.run)
            elif isinstance(event, Evaluated):
                last = event
        assert started is not None
        assert last is not None  # a race that ends has started and been evaluated
        self.trained += 1
        yield from _cells(batch, started, last, lost)

    def _writer(self, batch: Race) -> SnapshotWriter | None:
        if self.folder is None:
            return None
        return SnapshotWriter(self.folder / f"batch_{self.trained}", batch, only_last=True)


def _cells(batch: Race, started: Started, last: Evaluated, lost: set[int]) -> Iterator[CellFinished]:
    """What each run of a race has come to."""
    validation = last.validation_accuracies or (None,) * len(batch.runs)
    for place, (run, facts) in enumerate(zip(batch.runs, started.facts, strict=True)):
        diverged = place in lost or last.accuracies[place] is None
        yield CellFinished(
            method=run.method.name,
            fraction=run.data_fraction,
            rate=run.learning_rate,
            seed=run.seed,
            examples=facts.examples,
            accuracy=None if diverged else _exact(last.accuracies[place], _tested(batch)),
            loss=None if diverged else last.losses[place],
            validation_accuracy=None if diverged else _exact(validation[place], batch.validation_examples),
            diverged=diverged,
            answers="" if diverged else last.answers[place],
        )


def _begun(event: Started) -> BatchFacts:
    sizes = {
        run.method.name: MethodFacts(run.method.name, facts.trained_parameters, facts.deployed_parameters)
        for run, facts in zip(event.spec.runs, event.facts, strict=True)
    }
    return BatchFacts(
        methods=tuple(sizes.values()),
        test_examples=_tested(event.spec),
        backbone=event.backbone,
        device=event.device,
        precision=event.precision,
        threads=event.threads,
        versions=event.versions,
    )


def _tested(batch: Race) -> int:
    """How many test examples a race is evaluated on."""
    return min(batch.test_examples, _test_size(batch.task))


@cache
def _test_size(task: str) -> int:
    """Examples in the test split of a task."""
    return len(load_task(task).test)


def _exact(share: float | None, examples: int) -> float | None:
    """The share of right answers without float32's rounding, so that equal differences are equal."""
    return None if share is None else round(share * examples) / examples


def _progress(done: int, runs: int, share: float, seconds: float) -> Progress:
    return Progress(done, runs, round(share, 4), round(seconds, 3), round(seconds * (1 - share) / share, 3))


def _release() -> None:
    """Give back what a batch held before the next one is built."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
