"""A race as it is looked at: its model, task and snapshots, read once and kept for the questions to come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from replora.adapters.attach import attach_factors, sharing_copy
from replora.adapters.factors import AttentionShape, LowRankPair, LowRankPairs
from replora.adapters.sites import AttentionSite, find_attention
from replora.adapters.stacked import GivenFactors
from replora.backbones import Backbone, CausalLM, Rows, use_plain_attention
from replora.config import AUTO, Race, Run
from replora.lens.examples import ModelInput, seen
from replora.lens.questions import ACCURACY_EXAMPLES, FROZEN, LATEST, Example, LensError
from replora.methods import PROJECTIONS
from replora.tasks import Indices, Split, Task, TaskError, load_task, nested_subset, task_card
from replora.training.batch import TEST_SEED
from replora.training.snapshots import MOST_SNAPSHOTS, Snapshots, pairs_in
from replora.training.stack import backbone_for

PART = 100  # examples at a time
MOST_SUBJECTS = 6
MOST_MODELS = 6  # adapted copies, which share the weights
MOST_BACKBONES = 3  # one of the kit's takes 50 MB, the language model 540


@dataclass(frozen=True)
class RunsSnapshot:
    """A snapshot for some runs beside each other: factors (runs, layers, ...), scaling (runs,), and their heads.

    head_weight (runs, classes, width), head_bias (runs, 1, classes); zeros for the frozen model, and of no classes
    where no head trains.
    """

    step: int
    pairs: LowRankPairs
    scaling: Tensor
    head_weight: Tensor
    head_bias: Tensor


class Subject:
    """One race in a folder of snapshots; the folder may still grow."""

    def __init__(self, folder: Path) -> None:
        self.snapshots = Snapshots(folder)
        self.spec = self.snapshots.spec
        self.task: Task = load_task(self.spec.task)
        self.backbone: Backbone = _plain_backbone(self.spec, self.task)
        self.sites: list[AttentionSite] = find_attention(self.backbone.model)
        self.first = self.backbone.blocks - self.spec.adapted_blocks
        places = nested_subset(self.task.test.labels, min(ACCURACY_EXAMPLES, len(self.task.test)), TEST_SEED)
        self.tested: Split = self.task.test.take(places)
        self._snapshots: OrderedDict[int, dict[str, Tensor]] = OrderedDict()
        self.kept: dict[Any, Any] = {}  # what answers keep: rows before a layer, say

    def run(self, place: int) -> Run:
        """A run of the race; `LensError` where there is none of this place."""
        if not 0 <= place < len(self.spec.runs):
            raise LensError(f"run must be a whole number from 0 to {len(self.spec.runs) - 1}, got {place}.")
        return self.spec.runs[place]

    def taken(self, step: int, runs: Sequence[int]) -> RunsSnapshot:
        """The factors and heads of `runs` after `step`; zeros for the frozen model and runs without an adapter."""
        if step == LATEST:
            step = self.snapshots.latest()
        found = self._snapshot(step)

        def chosen(values: Tensor) -> Tensor:
            return torch.stack([torch.zeros_like(values[0]) if run == FROZEN else values[run] for run in runs])

        all_pairs = pairs_in(found) or self._no_update()
        pairs = {each: LowRankPair(chosen(pair.a), chosen(pair.b)) for each, pair in all_pairs.items()}
        scaling = found["scaling"] if "scaling" in found else torch.ones(len(self.spec.runs))
        none = torch.zeros(len(self.spec.runs), 0, self.backbone.width), torch.zeros(len(self.spec.runs), 1, 0)
        heads = [chosen(found.get(name, no)) for name, no in zip(("head_weight", "head_bias"), none, strict=True)]
        return RunsSnapshot(step, pairs, chosen(scaling), *heads)

    @property
    def causal(self) -> CausalLM:
        """The backbone, where the race is on texts to continue; `LensError` elsewhere."""
        if not isinstance(self.backbone, CausalLM):
            raise LensError(f"The race must be on texts to continue, got {self.task.name}.")
        return self.backbone

    def check_classes(self) -> None:
        """`LensError` where the race is on texts to continue, whose runs have no heads."""
        if self.task.modality == "continuation":
            raise LensError(f"The race must be on a task with classes, got {self.task.name}, texts to continue.")

    @property
    def shape(self) -> AttentionShape:
        """Widths of the adapted layers."""
        return self.shape_from(self.first)

    def shape_from(self, first: int) -> AttentionShape:
        """Widths of the layers from `first` on."""
        return self.sites[-1].shape(len(self.sites) - first)

    def _no_update(self) -> LowRankPairs:
        """Zeros of rank 1, for races of heads alone."""
        shape, runs = self.shape, len(self.spec.runs)
        a = torch.zeros(runs, shape.layers, 1, shape.in_features)
        return {each: LowRankPair(a, torch.zeros(runs, shape.layers, shape.width(each), 1)) for each in PROJECTIONS}

    def _snapshot(self, step: int) -> dict[str, Tensor]:
        """The tensors of a step; the latest few are kept."""
        if step not in self._snapshots:
            self._snapshots[step] = self.snapshots.at(step)
            if len(self._snapshots) > MOST_SNAPSHOTS:
                self._snapshots.popitem(last=False)
        self._snapshots.move_to_end(step)
        return self._snapshots[step]

    def adapted(self, pairs: LowRankPairs, scaling: Tensor, first: int | None = None) -> Backbone:
        """The backbone with these factors on its last layers, until the next call for as many runs of this backbone.

        first: the layer from which on they are, where that is not the race's.
        """
        first = self.first if first is None else first
        key: tuple[str | int, ...] = (self.backbone.name, first, len(scaling), *pairs)
        if key not in _adapted:
            factors = GivenFactors(self.shape_from(first), pairs, scaling.tolist())
            model = attach_factors(self.backbone.model, factors, range(first, self.backbone.blocks), share=True)
            _adapted[key] = (self.backbone.with_model(model), factors)
            if len(_adapted) > MOST_MODELS:
                _adapted.popitem(last=False)
        _adapted.move_to_end(key)
        backbone, factors = _adapted[key]
        factors.pairs, factors.scaling = pairs, scaling
        factors.rank = next(iter(pairs.values())).a.shape[2]
        return backbone

    def encoded(self, split: Split) -> list[tuple[Indices, Rows]]:
        """The examples of a split as the model takes them, with their places, in parts; texts of like length together,
        which saves padding."""
        lengths = [len(each) for each in split.examples] if self.task.modality == "text" else [0] * len(split)
        order = np.argsort(lengths, kind="stable")
        parts = [order[start : start + PART] for start in range(0, len(order), PART)]
        return [(places, self.backbone.encode(split.take(places).examples)) for places in parts]

    def see(self, example: Example) -> ModelInput:
        """The example, encoded; `LensError` or `InputError` for one that cannot be had."""
        return seen(self.backbone, self.task, example)


def _plain_backbone(spec: Race, task: Task) -> Backbone:
    """The backbone in float32 with the attention of races, so that base, adapted and merged differ in nothing else.

    All races on it share it; the latest few are kept.
    """
    key = (task_card(spec.task).backbone if spec.backbone == AUTO else spec.backbone, task.modality)
    if key not in _backbones:
        backbone = backbone_for(spec, task)
        model = sharing_copy(backbone.model)
        use_plain_attention(model)
        _backbones[key] = backbone.with_model(model.float())
        if len(_backbones) > MOST_BACKBONES:
            _backbones.popitem(last=False)
    _backbones.move_to_end(key)
    return _backbones[key]


def repeated(inputs: Rows, runs: int) -> Rows:
    """One example once a run."""
    return {name: values.repeat_interleave(runs, dim=0) for name, values in inputs.items()}


def whole_forward(backbone: Backbone, inputs: Rows) -> Tensor:
    """Pooled features (rows, width) from the very beginning, with all attention there for who reads it."""
    backbone = backbone.module_by_module()
    return backbone.features(backbone.prefix(inputs, 0), 0)


def logits(features: Tensor, taken: RunsSnapshot) -> Tensor:
    """Logits (runs, examples, classes) of features (runs * examples, width)."""
    runs = len(taken.scaling)
    return torch.baddbmm(taken.head_bias, features.float().view(runs, -1, features.shape[-1]), taken.head_weight.mT)


def parameters_of(model: nn.Module) -> int:
    """All parameters of a model."""
    return sum(each.numel() for each in model.parameters())


_backbones: OrderedDict[tuple[str, str], Backbone] = OrderedDict()
_subjects: OrderedDict[str, Subject] = OrderedDict()
_adapted: OrderedDict[tuple[str | int, ...], tuple[Backbone, GivenFactors]] = OrderedDict()


def subject(folder: str) -> Subject:
    """The race in `folder`, read once; the ones not asked about for longest are let go, and those whose own data are.

    Raises `TaskError` where the data of its task are no longer kept.
    """
    if folder in _subjects:
        try:
            task_card(_subjects[folder].spec.task)
        except TaskError:
            del _subjects[folder]
            raise
    if folder not in _subjects:
        _subjects[folder] = Subject(Path(folder))
        if len(_subjects) > MOST_SUBJECTS:
            _subjects.popitem(last=False)
    _subjects.move_to_end(folder)
    return _subjects[folder]
