"""The engine: N fine-tunes of one frozen backbone as one batch, told as a stream of events.

The backbone is shared, a run is a slice of the stacked factors and heads, so R runs are a batch of R x B examples.
Losses are summed over runs: no run's gradient sees another's. Pause is not asking for the next event.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache as memoize
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from replora.adapters.attach import attach, attach_factors, find_attention
from replora.adapters.factors import Factors, MixedFactors, make_factors
from replora.adapters.linear import LowRankLinear
from replora.backbones import Backbone, Rows, load_backbone, use_plain_attention
from replora.catalog import BACKBONES, TASKS
from replora.config import AUTO, Method, Race, SpecError
from replora.events import (
    Diverged,
    Evaluated,
    Event,
    Finished,
    PerRun,
    RateChanged,
    RunFacts,
    Started,
    Step,
    to_line,
)
from replora.tasks import Indices, Task, batches, load_task, nested_subset, subset_size
from replora.training.cache import CHUNK, PrefixCache, autocast
from replora.training.device import choose_device, choose_dtype, device_name, repeatable, versions
from replora.training.head import Heads, fit_probe
from replora.training.optimizer import AdamW, RunParameters, warmup_cosine

NewRate = Callable[[], float | None]
TEST_SEED = 0  # the test examples are the same for every run and race
VALIDATION_SEED = 1  # and so are those held out for validation
LARGEST_UPDATE = 1000.0  # times the norm of the frozen weights; layer norms keep the loss finite far beyond


@memoize
def _embedded(name: str) -> Backbone:
    """An embedded backbone, read once a process; it is only ever copied."""
    return load_backbone(name)


def preload() -> None:
    """Read the embedded backbones now, so that races start sooner."""
    for name in BACKBONES:
        _embedded(name)


def race_lines(spec: Mapping[str, Any], new_rate: NewRate) -> Iterator[str]:
    """`race` in plain values, as a job: a spec of `Race.to_dict` in, lines of events out."""
    for event in race(Race.from_dict(spec), new_rate=new_rate):
        yield to_line(event)


def race(spec: Race, *, new_rate: NewRate | None = None) -> Iterator[Event]:
    """Train all runs of `spec` side by side.

    new_rate: asked before each step; a number it returns becomes the adapters' peak rate of all runs.
    Raises `SpecError`, `TaskError` or `BackboneError` before the first event.
    Same spec and device, same losses, bit for bit.
    """
    device = choose_device(spec.device)
    with repeatable(device):
        yield from _Race(spec, device).events(new_rate)


class _Race:
    """The state of a race: what is trained, on what, and how far it is."""

    def __init__(self, spec: Race, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.dtype = choose_dtype(spec.precision, device)
        self.task = load_task(spec.task)
        backbone = _backbone_for(spec, self.task)
        self.first = backbone.blocks - spec.adapted_blocks
        self.factors = _stack_factors(spec, backbone)
        self.backbone = _on_device(backbone, self.factors, self.first, device)
        self.largest_norm = LARGEST_UPDATE * _frozen_norm(self.backbone)
        self.seeds = [run.seed for run in spec.runs]
        self.heads = Heads(self.seeds, backbone.width, len(self.task.classes)).to(device)
        self.labels = torch.from_numpy(self.task.train.labels).to(device)
        held_out, self.pool = _held_out(self.task, spec.validation_examples)
        self.subsets = [self._subset(run.data_fraction, run.seed) for run in spec.runs]
        self.orders = self._orders()
        tested = nested_subset(self.task.test.labels, min(spec.test_examples, len(self.task.test)), TEST_SEED)
        test = self.task.test.take(tested)
        self.train_cache = PrefixCache(self.backbone, self.task.train, self.first, self.dtype)
        self.test_cache = PrefixCache(self.backbone, test, self.first, self.dtype)
        self.test_labels = torch.from_numpy(test.labels).to(device)
        validation = self.task.train.take(held_out)
        self.validation_labels = torch.from_numpy(validation.labels).to(device)
        self.validation_cache = (
            PrefixCache(self.backbone, validation, self.first, self.dtype) if len(validation) else None
        )
        groups = [RunParameters(self.heads.parameters(), range(len(self.seeds)))]
        if self.factors is not None:
            for factors, places in zip(self.factors.groups, self.factors.places, strict=True):
                groups.append(RunParameters(factors.parameters(), places))
        self.optimizer = AdamW(groups, weight_decay=spec.weight_decay)
        self.peaks = torch.tensor([run.learning_rate for run in spec.runs], device=device)
        self.alive = torch.ones(len(self.seeds), dtype=torch.bool, device=device)
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
        for step in range(spec.steps):
            rate = new_rate() if new_rate else None
            if rate is not None:
                self.peaks.fill_(rate)
                yield RateChanged(step, tuple(self.peaks.tolist()))
            yield from self._step(step)
            if (step + 1) % spec.evaluate_every == 0 or step + 1 == spec.steps:
                yield self._evaluate(step + 1)
        yield Finished(spec.steps, 0.0)

    def _started(self) -> Started:
        facts = tuple(
            RunFacts(
                *_adapter_sizes(self.factors, place),
                head_parameters=sum(each.numel() for each in self.heads.parameters()) // self.runs,
                examples=len(subset),
            )
            for place, subset in enumerate(self.subsets)
        )
        return Started(
            spec=self.spec,
            facts=facts,
            backbone=self.backbone.name,
            classes=self.task.classes,
            device=device_name(self.device),
            precision=str(self.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            versions=versions(),
        )

    def _subset(self, fraction: float, seed: int) -> Indices:
        labels = self.task.train.labels[self.pool]
        return self.pool[nested_subset(labels, subset_size(len(labels), len(self.task.classes), fraction), seed)]

    def _orders(self) -> Indices:
        """Which training example every place of every batch holds, (steps, runs, batch_size)."""
        spec = self.spec
        orders = [
            subset[batches(len(subset), spec.batch_size, spec.steps, seed)]
            for subset, seed in zip(self.subsets, self.seeds, strict=True)
        ]
        return np.stack(orders, axis=1)

    def _step(self, step: int) -> Iterator[Event]:
        """One optimizer step of all runs that are still alive."""
        spec = self.spec
        places = self.orders[step].ravel()  # (runs * batch_size,)
        labels = self.labels[torch.from_numpy(places).to(self.device)]
        share = warmup_cosine(step, spec.steps, spec.warmup_fraction)
        losses, norms = self._losses(self.train_cache.take(places), labels)
        self.optimizer.backward(losses.sum())
        gradients = self.optimizer.gradient_norms(self.runs)
        lost = self.alive & ~(losses.isfinite() & gradients.isfinite() & (norms <= self.largest_norm))
        self.alive &= ~lost
        if spec.clip_norm:
            self.optimizer.scale_gradients((spec.clip_norm / gradients.clamp_min(1e-12)).clamp_max(1.0))
        rates = share * self.peaks
        head_rates = torch.full_like(rates, share * spec.head_learning_rate)
        self.optimizer.step([head_rates, *[rates] * (len(self.optimizer.groups) - 1)], self.alive)
        yield Step(step + 1, 0.0, self._known(losses), self._known(norms), tuple(rates.tolist()))
        for place in lost.nonzero().flatten().tolist():
            yield Diverged(step + 1, place, self._what_happened(losses[place], norms[place]))

    def _what_happened(self, loss: Tensor, norm: Tensor) -> str:
        if not loss.isfinite():
            return "The loss is no longer a finite number."
        if not norm <= self.largest_norm:
            return f"The update has grown to over {LARGEST_UPDATE:,.0f} times the frozen weights."
        return "The gradient is no longer a finite number."

    def _losses(self, rows: Rows, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss of each run on its batch, with graph, and the norms of all delta_weight, both (runs,)."""
        if self.factors is None:
            return self._batch_losses(rows, labels), torch.zeros(self.runs, device=self.device)
        with self.factors.held() as pair:
            losses = self._batch_losses(rows, labels)
        with torch.no_grad():
            return losses, self.factors.delta_norms(pair)

    def _batch_losses(self, rows: Rows, labels: Tensor) -> Tensor:
        logits = self._logits(rows)  # (runs, batch_size, classes)
        return F.cross_entropy(logits.flatten(0, 1), labels, reduction="none").view(self.runs, -1).mean(dim=1)

    def _logits(self, rows: Rows) -> Tensor:
        """Logits (runs, batch, classes) of rows (runs * batch, ...)."""
        with autocast(self.device, self.dtype):
            features = self.backbone.features(rows, self.first)  # (runs * batch, width)
        return self.heads(features.float().view(self.runs, -1, self.backbone.width))  # type: ignore[no-any-return]

    def _evaluate(self, step: int) -> Evaluated:
        """Accuracy and mean loss of each run on the test examples, and accuracy on those held out for validation."""
        right, losses = self._scores(self.test_cache, self.test_labels)
        validation: PerRun = ()
        if self.validation_cache is not None:
            validation = self._known(self._scores(self.validation_cache, self.validation_labels)[0].float().mean(dim=1))
        accuracies = self._known(right.float().mean(dim=1))
        answers: tuple[str, ...] = ()
        if self.spec.tell_answers and step == self.spec.steps:
            rows = np.packbits(right.cpu().numpy(), axis=1)
            answers = tuple(
                "" if each is None else row.tobytes().hex() for row, each in zip(rows, accuracies, strict=True)
            )
        return Evaluated(step, 0.0, accuracies, self._known(losses), validation, answers)

    @torch.no_grad()
    def _scores(self, cache: PrefixCache, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Which examples of `cache` each run has right, (runs, examples), and the mean loss, (runs,)."""
        right = torch.zeros(self.runs, len(labels), dtype=torch.bool, device=self.device)
        lost = torch.zeros(self.runs, device=self.device)
        size = max(1, 4 * CHUNK[self.device.type] // self.runs)
        for places, rows in cache.chunks(size):
            repeated = {name: values.repeat(self.runs, *[1] * (values.dim() - 1)) for name, values in rows.items()}
            chosen = torch.from_numpy(places).to(self.device)
            wanted = labels[chosen].repeat(self.runs, 1)  # (runs, chunk)
            if self.factors is None:
                logits = self._logits(repeated)
            else:
                with self.factors.held():
                    logits = self._logits(repeated)
            right[:, chosen] = logits.argmax(dim=-1) == wanted
            lost += F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view(self.runs, -1).sum(1)
        return right, lost / len(labels)

    def _known(self, values: Tensor) -> PerRun:
        """The values of the runs that are alive and finite; None for the others."""
        usable = (self.alive & values.isfinite()).tolist()
        return tuple(value if fine else None for value, fine in zip(values.tolist(), usable, strict=True))

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
            with autocast(self.device, self.dtype):
                parts.append(self.backbone.features(self.train_cache.take(padded), self.first)[: len(wanted)].float())
        return torch.cat(parts)


def _backbone_for(spec: Race, task: Task) -> Backbone:
    """The backbone of a spec, checked against task and number of adapted blocks."""
    name = TASKS[spec.task].backbone if spec.backbone == AUTO else spec.backbone
    backbone = _embedded(name) if name in BACKBONES else load_backbone(name)
    if backbone.modality != task.modality:
        raise SpecError(
            f"backbone must read {task.modality}s for the task {task.name}, "
            f"got {name}, which reads {backbone.modality}s."
        )
    if spec.adapted_blocks > backbone.blocks:
        raise SpecError(
            f"adapted_blocks must be a whole number from 1 to {backbone.blocks}, the blocks of {name}, "
            f"got {spec.adapted_blocks}."
        )
    return backbone


def _held_out(task: Task, count: int) -> tuple[Indices, Indices]:
    """Places in the training split: `count` held out for validation, the same for all runs, and those to train on."""
    labels = task.train.labels
    if count > len(labels) - len(task.classes):
        raise SpecError(
            f"validation_examples must be a whole number from 0 to {len(labels) - len(task.classes):,}, so that the "
            f"task {task.name} keeps examples to train on, got {count:,}."
        )
    held_out = nested_subset(labels, count, VALIDATION_SEED)
    return held_out, np.setdiff1d(np.arange(len(labels)), held_out)


def _stack_factors(spec: Race, backbone: Backbone) -> MixedFactors | None:
    """The factors of all runs, runs of one method together; None where every run trains its head alone."""
    sites = find_attention(backbone.model)[-spec.adapted_blocks :]
    places: dict[Method, list[int]] = {}
    for place, run in enumerate(spec.runs):
        if run.method.name != "head":
            places.setdefault(run.method, []).append(place)
    if not places:
        return None
    groups = [
        (make_factors(method, sites[0].shape(len(sites)), [spec.runs[place].seed for place in chosen]), chosen)
        for method, chosen in places.items()
    ]
    return MixedFactors(len(spec.runs), groups)


def _on_device(backbone: Backbone, factors: MixedFactors | None, first: int, device: torch.device) -> Backbone:
    """The backbone around its adapted copy on `device`."""
    if factors is None:
        adapted = attach(backbone.model, Method(name="head"))
    else:
        adapted = attach_factors(backbone.model, factors, range(first, backbone.blocks))
    if device.type == "cpu":
        use_plain_attention(adapted)
    return backbone.with_model(adapted.to(device))


@torch.no_grad()
def _frozen_norm(backbone: Backbone) -> float:
    """Frobenius norm of all adapted projections together, without their updates."""
    layers = [each.base_layer for each in backbone.model.modules() if isinstance(each, LowRankLinear)]
    return math.sqrt(sum(each.weight.float().square().sum().item() for each in layers))


def _adapter_sizes(factors: MixedFactors | None, place: int) -> tuple[int, int]:
    """Adapter parameters of a run while training and once deployed."""
    if factors is not None:
        for group, places in zip(factors.groups, factors.places, strict=True):
            if place in places and isinstance(group, Factors):
                return group.trained_parameters(), group.deployed_parameters()
    return 0, 0
