"""The engine: N fine-tunes of one frozen backbone as one batch, told as a stream of events.

The backbone is shared, a run is a slice of the stacked factors and heads, so R runs are a batch of R x B examples.
Losses are summed over runs: no run's gradient sees another's. Pause is not asking for the next event.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from replora.backbones import Rows
from replora.catalog import BACKBONES
from replora.config import Race
from replora.events import (
    Evaluated,
    Event,
    Finished,
    PerRun,
    RunFacts,
    Started,
    Step,
    to_line,
)
from replora.options import SpecError
from replora.tasks import Indices, Split, Task, batches_of_runs, load_task, nested_subset, subset_size
from replora.training.cache import CHUNK, PrefixCache, Prefixes
from replora.training.device import choose_device, device_name, repeatable, versions
from replora.training.graphs import Pace, pace_of
from replora.training.head import Heads, fit_probe
from replora.training.snapshots import SnapshotWriter
from replora.training.stack import RunStack, embedded
from replora.training.steps import NewRate, Steps, Tests

TEST_SEED = 0  # the test examples are the same for every run and race
VALIDATION_SEED = 1  # and so are those held out for validation


def preload() -> None:
    """Read the embedded backbones now, so that races start sooner."""
    for name in BACKBONES:
        embedded(name)


def race_lines(spec: Mapping[str, Any], new_rate: NewRate, folder: Path) -> Iterator[str]:
    """`race` in plain values, as a job: a spec of `Race.to_dict` in, lines of events out, snapshots into `folder`."""
    checked = Race.asked(spec)
    for event in race(checked, new_rate=new_rate, snapshots=SnapshotWriter(folder, checked)):
        yield to_line(event)


def race(
    spec: Race,
    *,
    new_rate: NewRate | None = None,
    prefixes: Prefixes | None = None,
    snapshots: SnapshotWriter | None = None,
    pace: Pace | None = None,
) -> Iterator[Event]:
    """Train all runs of `spec` side by side.

    new_rate: asked before each step; a number it returns becomes the adapters' peak rate of all runs.
    prefixes: what races before this one, like it but for their runs, have computed of the frozen prefix.
    snapshots: is offered the factors and heads before the first step and with each evaluation.
    pace: how the device takes its steps, instead of as it does best.
    Raises `SpecError`, `TaskError` or `BackboneError` before the first event.
    Same spec, device, precision, threads and versions: same losses, bit for bit.
    """
    device = choose_device(spec.device)
    with repeatable(device):
        yield from _Race(spec, device, prefixes or Prefixes(), snapshots, pace or pace_of(device)).events(new_rate)


class _Race:
    """The state of a race: what is trained, on what, and how far it is."""

    def __init__(
        self, spec: Race, device: torch.device, prefixes: Prefixes, snapshots: SnapshotWriter | None, pace: Pace
    ) -> None:
        self.spec = spec
        self.device = device
        self.pace = pace
        self.snapshots = snapshots
        self.task = load_task(spec.task)
        self.stack = stack = RunStack(spec, spec.runs, self.task, device)
        self.seeds = [run.seed for run in spec.runs]
        self.heads = Heads(self.seeds, stack.backbone.width, len(self.task.classes)).to(device)
        stack.optimize(beside=self.heads.parameters())
        self.labels = torch.from_numpy(self.task.train.labels).to(device)
        held, self.pool = held_out(self.task, spec.validation_examples)
        self.subsets = [self._subset(run.data_fraction, run.seed) for run in spec.runs]
        self.orders = batches_of_runs([len(subset) for subset in self.subsets], spec.batch_size, spec.steps, self.seeds)
        tested = nested_subset(self.task.test.labels, min(spec.test_examples, len(self.task.test)), TEST_SEED)
        test, validation = self.task.test.take(tested), self.task.train.take(held)

        def cache(name: str, split: Split) -> PrefixCache:
            return prefixes.of(name, stack.backbone, split, stack.first, stack.dtype, packed=pace.packed)

        self.graphs = pace.graphs()
        self.train_cache = cache("train", self.task.train)
        self.steps = Steps(stack, self.train_cache, self._batch_losses, self.graphs)
        self.test = self._tests(cache("test", test), test)
        self.validation = self._tests(cache("validation", validation), validation) if len(validation) else None
        self.tested = len(test)
        self.seconds = 0.0

    @property
    def runs(self) -> int:
        return len(self.seeds)

    def events(self, new_rate: NewRate | None) -> Iterator[Event]:
        """All events, the clock stopped while nobody asks."""
        stream = self._told(new_rate)
        while True:
            begun = time.perf_counter()
            event = next(stream, None)
            self.seconds += time.perf_counter() - begun
            if event is None:
                return
            if isinstance(event, Step | Evaluated | Finished):
                event = dataclasses.replace(event, seconds=self.seconds)
            yield event

    def _told(self, new_rate: NewRate | None) -> Iterator[Event]:
        spec = self.spec
        yield self._started()
        if spec.head_start == "probe":
            self._fit_probes()
            yield self._evaluate(0)
        self._offer_snapshot(0)
        done, every = 0, spec.evaluate_every
        while done < spec.steps:
            first, done = done, min(done + self.pace.block, done - done % every + every, spec.steps)
            picks = np.stack([self._picks() for _ in range(first, done)])
            yield from self.steps.take(first, picks, new_rate)
            if done % every == 0 or done == spec.steps:
                yield self._evaluate(done)
                self._offer_snapshot(done)
        yield Finished(spec.steps, 0.0)

    def _offer_snapshot(self, step: int) -> None:
        if self.snapshots is not None:
            self.snapshots.offer(step, self.stack.factors, self.heads)

    def _started(self) -> Started:
        facts = tuple(
            RunFacts(
                *self.stack.adapter_sizes(place),
                head_parameters=sum(each.numel() for each in self.heads.parameters()) // self.runs,
                examples=len(subset),
            )
            for place, subset in enumerate(self.subsets)
        )
        return Started(
            spec=self.spec,
            facts=facts,
            backbone=self.stack.backbone.name,
            classes=self.task.classes,
            device=device_name(self.device),
            precision=str(self.stack.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            versions=versions(),
            test_examples=self.tested,
        )

    def _subset(self, fraction: float, seed: int) -> Indices:
        labels = self.task.train.labels[self.pool]
        return self.pool[nested_subset(labels, subset_size(len(labels), len(self.task.classes), fraction), seed)]

    def _picks(self) -> Indices:
        """Places of the next step's examples in the training split, (1, runs, batch_size)."""
        orders = zip(self.subsets, next(self.orders), strict=True)
        return np.stack([subset[order] for subset, order in orders])[None]

    def _batch_losses(self, rows: Rows, picks: Tensor) -> Tensor:
        return self._losses(self._logits(rows), self.labels[picks[0]]).mean(dim=1)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Losses (runs, batch) of logits (runs, batch, classes)."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(self.runs, -1)

    def _logits(self, rows: Rows) -> Tensor:
        """Logits (runs, batch, classes) of rows (runs * batch, ...)."""
        return self.heads(self.stack.features(rows))  # type: ignore[no-any-return]

    def _evaluate(self, step: int) -> Evaluated:
        """Accuracy and mean loss of each run on the test examples, and accuracy on those held out for validation."""
        right, losses = self.test.scores()
        validation: PerRun = ()
        if self.validation is not None:
            validation = self.stack.known(self.validation.scores()[0].mean(dim=1))
        accuracies = self.stack.known(right.mean(dim=1))
        answers: tuple[str, ...] = ()
        if self.spec.tell_answers and step == self.spec.steps:
            rows = np.packbits(right.cpu().numpy() > 0, axis=1)
            answers = tuple(
                "" if accuracy is None else row.tobytes().hex() for row, accuracy in zip(rows, accuracies, strict=True)
            )
        norms = self.stack.known(self.stack.delta_norms())
        return Evaluated(step, 0.0, accuracies, self.stack.known(losses.mean(dim=1)), validation, answers, norms)

    def _tests(self, cache: PrefixCache, split: Split) -> Tests:
        """Of each run and example whether it is right, as 0 or 1, and the loss, (2, runs, examples)."""
        labels = torch.from_numpy(split.labels).to(self.device)

        def score(rows: Rows, places: Tensor) -> Tensor:
            wanted = labels[places].expand(self.runs, -1)
            logits = self._logits(rows)  # (runs, examples, classes)
            return torch.stack([(logits.argmax(dim=-1) == wanted).to(logits.dtype), self._losses(logits, wanted)])

        return Tests(self.stack, cache, score, self.graphs, self.spec.steps // self.spec.evaluate_every)

    @torch.no_grad()
    def _fit_probes(self) -> None:
        """Start each head at a probe of the frozen features of its run's examples; runs of equal data share it."""
        fitted: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        for place, subset in enumerate(self.subsets):
            key = (self.seeds[place], len(subset))
            if key not in fitted:
                features = self._frozen_features(subset)
                with torch.enable_grad():
                    fitted[key] = fit_probe(features, self.labels[torch.from_numpy(subset)], len(self.task.classes))
            weight, bias = fitted[key]
            self.heads.weight[place] = weight.to(self.device)
            self.heads.bias[place, 0] = bias.to(self.device)

    def _frozen_features(self, subset: Indices) -> Tensor:
        """Features (examples, width) before the first step: delta_weight is zero, so any run's are the backbone's."""
        size = max(1, 4 * CHUNK[self.device.type] // self.runs)
        parts = []
        for start in range(0, len(subset), size * self.runs):
            wanted = subset[start : start + size * self.runs]
            padded = np.resize(wanted, -(-len(wanted) // self.runs) * self.runs)
            parts.append(self.stack.features(self.train_cache.take(padded)).flatten(0, 1)[: len(wanted)])
        return torch.cat(parts)


def held_out(task: Task, count: int) -> tuple[Indices, Indices]:
    """Places in the training split: `count` held out for validation, the same for all runs, and those to train on."""
    labels = task.train.labels
    if count > len(labels) - len(task.classes):
        raise SpecError(
            f"validation_examples must be a whole number from 0 to {len(labels) - len(task.classes):,}, so that the "
            f"task {task.name} keeps examples to train on, got {count:,}."
        )
    held_out = nested_subset(labels, count, VALIDATION_SEED)
    return held_out, np.setdiff1d(np.arange(len(labels)), held_out)
