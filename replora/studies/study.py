"""A study run: the grid as a few batches of the engine, told as a stream of events."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import torch

from replora.config import Race
from replora.events import Diverged, Evaluated, Started, Step
from replora.studies.events import (
    CellFinished,
    MethodFacts,
    Progress,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    to_line,
)
from replora.studies.memory import runs_at_once
from replora.studies.spec import Study, study_from_dict
from replora.tasks import load_task
from replora.training.device import choose_device
from replora.training.race import race

TOLD = 20  # how often a batch tells its progress


def study_lines(spec: Mapping[str, Any], new_rate: Callable[[], float | None]) -> Iterator[str]:
    """A job function: `study` in plain values; a study's rates are its grid's, there is none to change."""
    for event in study(study_from_dict(spec)):
        yield to_line(event)


def study(spec: Study, *, at_once: int | None = None) -> Iterator[StudyEvent]:
    """Train the grid of `spec`, in as few batches as memory allows.

    at_once: runs of a batch at most, instead of what memory allows. A batch that the device has no memory for is
    halved. Pausing is not asking for the next event; seconds leave pauses out.
    Raises `SpecError`, `TaskError` or `BackboneError` before the first event.
    """
    clock = _Clock()
    stream = _told(spec, at_once or runs_at_once(spec, choose_device(spec.device)), clock)
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


def _told(spec: Study, at_once: int, clock: _Clock) -> Iterator[StudyEvent]:
    pending = list(spec.races(at_once))
    runs, done, batches, begun = len(spec.runs()), 0, len(pending), False
    while pending:
        batch = pending.pop(0)
        cells: list[CellFinished] = []
        try:
            for event in _batch(batch, cells):
                if isinstance(event, Started) and not begun:
                    begun = True
                    yield _started(spec, runs, batches, event)
                elif isinstance(event, Step) and event.step % max(1, spec.steps // TOLD) == 0:
                    share = (done + len(batch.runs) * event.step / spec.steps) / runs
                    yield _progress(done, runs, share, clock.seconds())
        except torch.OutOfMemoryError:
            if len(batch.runs) == 1:
                raise
            half = len(batch.runs) // 2
            pending[:0] = [spec.race(batch.runs[:half]), spec.race(batch.runs[half:])]
            cells = []
        done += len(cells)
        yield from cells
        _release()
    yield StudyFinished(round(clock.seconds(), 3))


def _batch(batch: Race, cells: list[CellFinished]) -> Iterator[Started | Step]:
    """The events of one batch that tell how far it is; the results of its runs are added to `cells` at its end."""
    started: Started | None = None
    last: Evaluated | None = None
    lost: set[int] = set()
    for event in race(batch):
        if isinstance(event, Started):
            started = event
            yield event
        elif isinstance(event, Step):
            yield event
        elif isinstance(event, Diverged):
            lost.add(event.run)
        elif isinstance(event, Evaluated):
            last = event
    assert started is not None
    assert last is not None  # a race that ends has started and been evaluated
    validation = last.validation_accuracies or (None,) * len(batch.runs)
    for place, (run, facts) in enumerate(zip(batch.runs, started.facts, strict=True)):
        diverged = place in lost or last.accuracies[place] is None
        cells.append(
            CellFinished(
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


def _started(spec: Study, runs: int, batches: int, event: Started) -> StudyStarted:
    sizes = {
        run.method.name: MethodFacts(run.method.name, facts.trained_parameters, facts.deployed_parameters)
        for run, facts in zip(event.spec.runs, event.facts, strict=True)
    }
    return StudyStarted(
        spec=spec,
        runs=runs,
        batches=batches,
        methods=tuple(sizes.values()),
        test_examples=_tested(event.spec),
        backbone=event.backbone,
        device=event.device,
        precision=event.precision,
        threads=event.threads,
        versions=event.versions,
    )


def _progress(done: int, runs: int, share: float, seconds: float) -> Progress:
    return Progress(done, runs, round(share, 4), round(seconds, 3), round(seconds * (1 - share) / share, 3))


def _release() -> None:
    """Give back what a batch held before the next one is built."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
