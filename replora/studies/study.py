"""A study run: the grid as a few batches, told as a stream of events.

What a batch is depends on the kind of study: see `replora.studies.batches`.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from replora.events import Step
from replora.studies.base import Study, in_batches
from replora.studies.batch_size import MeasuredBatches, runs_at_once
from replora.studies.batches import Batches, BatchFacts
from replora.studies.events import (
    CellFinished,
    Progress,
    StudentFinished,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    TeachersDrawn,
)
from replora.studies.kinds import kind_of_study, study_from_dict
from replora.studies.lines import to_line
from replora.training.device import choose_device

TOLD = 20  # how often a batch tells its progress


def study_lines(spec: Mapping[str, Any], new_rate: Callable[[], float | None], folder: Path) -> Iterator[str]:
    """A job function: `study` in plain values; a study's rates are its grid's, there is none to change."""
    for event in study(study_from_dict(spec), folder=folder):
        yield to_line(event)


def piece_lines(spec: Mapping[str, Any], new_rate: Callable[[], float | None], folder: Path) -> Iterator[str]:
    """A job function: batch number `piece` of a study of which one holds `at_once` runs at most, as the study tells it.

    With `snapshots` it leaves in the folder what races have trained.
    """
    place = folder if spec["snapshots"] else None
    for event in study(study_from_dict(spec["study"]), at_once=spec["at_once"], folder=place, only=spec["piece"]):
        yield to_line(event)


def study(
    spec: Study, *, at_once: int | None = None, folder: Path | None = None, only: int | None = None
) -> Iterator[StudyEvent]:
    """Train the grid of `spec`, in as few batches as memory allows: after the first, as measured.

    at_once: runs of a batch at most, instead of what memory allows. only: the number of the one batch that is trained,
    of which alone progress is told. A batch that the device has no memory for is
    halved. folder: where races leave what they have trained, `batch_0` and so on, as `replora.training.snapshots` says;
    None for nowhere. Pausing is not asking for the next event; seconds leave pauses out.
    Raises `SpecError`, `TaskError` or `BackboneError` before the first event.
    """
    clock, device = _Clock(), choose_device(spec.device)
    measured = None if at_once else MeasuredBatches(device)
    stream = _told(_kind(spec, device, folder), spec, at_once or runs_at_once(spec, device), clock, measured, only)
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


def _told(
    kind: Batches, spec: Study, at_once: int, clock: _Clock, measured: MeasuredBatches | None, only: int | None
) -> Iterator[StudyEvent]:
    pending = kind.batches(at_once)
    batches = len(pending)
    if only is not None:
        pending = [pending[only]]
    runs, done = sum(map(len, pending)), 0
    work, worked = sum(len(batch) * kind.steps_of(batch) for batch in pending), 0  # steps of runs
    once: set[type] = set()  # what every batch tells and the study tells once
    while pending:
        batch = pending.pop(0)
        steps = kind.steps_of(batch)
        results: list[CellFinished | StudentFinished] = []
        if measured:
            measured.begin()
        try:
            for event in kind.train(batch):
                match event:
                    case CellFinished() | StudentFinished():
                        results.append(event)
                    case Step():
                        if event.step % max(1, steps // TOLD) == 0:
                            share = (worked + len(batch) * event.step) / work
                            yield _progress(done, runs, share, clock.seconds())
                    case BatchFacts() if BatchFacts not in once:
                        yield StudyStarted(spec=spec, runs=len(kind.runs), batches=batches, **vars(event))
                    case TeachersDrawn() if TeachersDrawn not in once:
                        yield event
                once.add(type(event))
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            half = len(batch) // 2
            pending[:0] = [batch[:half], batch[half:]]
            results = []
        done += len(results)
        worked += len(results) * steps
        yield from results
        _release()
        if measured and results and pending and (fits := measured.at_once(len(batch))):
            pending = _split_again(kind, pending, fits)
    yield StudyFinished(round(clock.seconds(), 3))


def _split_again(kind: Batches, pending: Sequence[Sequence[Any]], at_once: int) -> list[Sequence[Any]]:
    """The runs of these batches in batches of another size; those that take equally many steps stay together."""
    alike = [list(itertools.chain(*each)) for _, each in itertools.groupby(pending, key=kind.steps_of)]
    return [batch for runs in alike for batch in in_batches(runs, at_once)]


def _kind(spec: Study, device: torch.device, folder: Path | None) -> Batches:
    module, _, name = kind_of_study(spec).batches.partition(":")
    kind: Batches = getattr(import_module(module), name)(spec, device, folder)
    return kind


def _progress(done: int, runs: int, share: float, seconds: float) -> Progress:
    return Progress(done, runs, round(share, 4), round(seconds, 3), round(seconds * (1 - share) / share, 3))


def _release() -> None:
    """Give back what a batch held before the next one is built."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
