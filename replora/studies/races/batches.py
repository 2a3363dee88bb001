"""A grid of races as batches: races of the engine, each evaluated at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import torch

from replora.config import Race, Run
from replora.events import Diverged, Evaluated, Started, Step
from replora.statistics.metrics import metric_of
from replora.studies.batches import BatchFacts, Told
from replora.studies.events import CellFinished, MethodSizes
from replora.studies.spec import RaceStudy
from replora.tasks import load_task
from replora.training.cache import Prefixes
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter


class Races:
    """Races of the engine, each evaluated at its end; the frozen prefix is computed once for all."""

    def __init__(self, spec: RaceStudy, device: torch.device, folder: Path | None) -> None:
        self.spec = spec
        self.runs = spec.runs()
        self.prefixes = Prefixes()
        self.folder = folder
        self.trained = 0  # batches

    def batches(self, at_once: int) -> list[Sequence[Run]]:
        return self.spec.batches(at_once)

    def steps_of(self, runs: Sequence[Run]) -> int:
        return self.spec.steps_of(runs)

    def train(self, runs: Sequence[Run]) -> Iterator[Told]:
        batch = self.spec.race(runs)
        started: Started | None = None
        last: Evaluated | None = None
        lost: set[int] = set()
        for event in race(batch, prefixes=self.prefixes, snapshots=self._writer(batch)):
            match event:
                case Started():
                    started = event
                    yield _begun(event)
                case Step():
                    yield event
                case Diverged():
                    lost.add(event.run)
                case Evaluated():
                    last = event
        if started is None or last is None:
            raise RuntimeError("A race has ended that was not evaluated.")
        self.trained += 1
        yield from _cells(batch, started, last, lost)

    def _writer(self, batch: Race) -> SnapshotWriter | None:
        if self.folder is None:
            return None
        return SnapshotWriter(self.folder / f"batch_{self.trained}", batch, only_last=True)


def _cells(batch: Race, started: Started, last: Evaluated, lost: set[int]) -> Iterator[CellFinished]:
    """What each run of a race has come to."""
    none = (None,) * len(batch.runs)
    validation, validation_losses = last.validation_accuracies or none, last.validation_losses or none
    exact = _exact if metric_of(batch.task).is_share else _as_told
    for place, (run, facts) in enumerate(zip(batch.runs, started.facts, strict=True)):
        diverged = place in lost or last.accuracies[place] is None
        yield CellFinished(
            method=run.method.name,
            fraction=run.data_fraction,
            rate=run.learning_rate,
            seed=run.seed,
            examples=facts.examples,
            accuracy=None if diverged else exact(last.accuracies[place], _tested(batch)),
            loss=None if diverged else last.losses[place],
            validation_accuracy=None if diverged else exact(validation[place], batch.validation_examples),
            diverged=diverged,
            answers=last.answers[place] if last.answers and not diverged else "",
            delta_norm=None if diverged else last.delta_norms[place],
            validation_loss=None if diverged else validation_losses[place],
        )


def _begun(event: Started) -> BatchFacts:
    sizes = {
        run.method.name: MethodSizes(run.method.name, facts.trained_parameters, facts.deployed_parameters)
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


def _as_told(share: float | None, examples: int) -> float | None:
    """The share of tokens, of which examples have unlike many."""
    return share


def _exact(share: float | None, examples: int) -> float | None:
    """The share of right answers without float32's rounding, so that equal differences are equal."""
    return None if share is None else round(share * examples) / examples
