"""A race as it is looked at: its model, task and snapshots, read once and kept for the questions to come."""

from __future__ import annotations

import base64
import binascii
import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from replora.adapters.attach import attach_factors
from replora.adapters.factors import AttentionShape, LowRankPair, LowRankPairs
from replora.adapters.sites import AttentionSite, find_attention
from replora.adapters.stacked import GivenFactors
from replora.backbones import Backbone, Rows, TransformersText, use_plain_attention
from replora.config import Run
from replora.lens.questions import ACCURACY_EXAMPLES, FROZEN, LATEST, Example, LensError
from replora.methods import PROJECTIONS
from replora.tasks import Indices, Split, Task, TaskError, load_task, nested_subset, task_card
from replora.training.batch import TEST_SEED
from replora.training.snapshots import MOST_SNAPSHOTS, Snapshots, pairs_in
from replora.training.stack import backbone_for

PART = 100  # examples at a time
MOST_SUBJECTS = 6
MOST_MODELS = 6  # adapted copies; one of the kit's models takes 50 MB


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


@dataclass(frozen=True)
class ModelInput:
    """An example as the model takes it: inputs of one row, what its tokens are, its class (-1: one's own)."""

    inputs: Rows
    tokens: tuple[str, ...]
    prefix: int
    grid: tuple[int, ...]
    label: int
    notes: tuple[str, ...] = ()


class Subject:
    """One race in a folder of snapshots; the folder may still grow."""

    def __init__(self, folder: Path) -> None:
        self.snapshots = Snapshots(folder)
        self.spec = self.snapshots.spec
        self.task: Task = load_task(self.spec.task)
        self.backbone: Backbone = _plain(backbone_for(self.spec, self.task))
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
        none = torch.zeros(len(self.spec.runs), 0, 0)
        heads = (chosen(found.get(name, none)) for name in ("head_weight", "head_bias"))
        return RunsSnapshot(step, pairs, chosen(scaling), *heads)

    @property
    def shape(self) -> AttentionShape:
        """Widths of the adapted layers."""
        return self.sites[-1].shape(len(self.sites) - self.first)

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

    def adapted(self, pairs: LowRankPairs, scaling: Tensor) -> Backbone:
        """The backbone with these factors on its last layers, until the next call for as many runs of this backbone."""
        key: tuple[str | int, ...] = (self.backbone.name, self.first, len(scaling), *pairs)
        if key not in _adapted:
            factors = GivenFactors(self.shape, pairs, scaling.tolist())
            model = attach_factors(self.backbone.model, factors, range(self.first, self.backbone.blocks))
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
        own = example.picture if self.task.modality == "image" else example.sentence
        if not own and (example.picture or example.sentence):
            raise LensError(f"The example must be {'an image' if self.task.modality == 'image' else 'a text'} here.")
        label = -1
        if own:
            raw: Any = _decoded(own) if self.task.modality == "image" else own
        else:
            if not 0 <= example.index < len(self.task.test):
                last = len(self.task.test) - 1
                raise LensError(f"example must be a whole number from 0 to {last:,}, got {example.index}.")
            raw = self.task.test.examples[example.index]
            label = int(self.task.test.labels[example.index])
        inputs = self.backbone.encode([raw])
        if self.task.modality == "image":
            return self._image(inputs, label)
        return self._text(inputs, raw, label)

    def _image(self, inputs: Rows, label: int) -> ModelInput:
        tokens, prefix, grid = self._patches()
        names = ["class token", *(f"register {place}" for place in range(1, prefix))][:prefix]
        if grid:
            names += [f"patch {row + 1},{column + 1}" for row in range(grid[0]) for column in range(grid[1])]
        else:
            names += [f"token {place}" for place in range(prefix, tokens)]
        return ModelInput(inputs, tuple(names), prefix, grid, label)

    def _patches(self) -> tuple[int, int, tuple[int, ...]]:
        """How many tokens an image makes, how many of them are no patches, and the grid of the patches."""
        model: Any = self.backbone.model
        if hasattr(model, "patch_embed"):
            rows, columns = model.patch_embed.grid_size
            prefix = int(getattr(model, "num_prefix_tokens", 1))
        else:
            config = model.config
            size, patch = config.image_size, config.patch_size
            rows = columns = int(size) // int(patch)
            prefix = 1
        return prefix + rows * columns, prefix, (int(rows), int(columns))

    def _text(self, inputs: Rows, text: str, label: int) -> ModelInput:
        assert isinstance(self.backbone, TransformersText)
        tokenizer = self.backbone.tokenizer
        ids = inputs["ids"][0].tolist()
        notes = []
        whole = len(tokenizer(text)["input_ids"])
        if whole > len(ids):
            notes.append(f"The model reads the first {len(ids)} of {whole:,} tokens.")
        unknown = sum(each == tokenizer.unk_token_id for each in ids)
        if unknown:
            notes.append(f"{unknown} of {len(ids)} tokens are unknown to this model.")
        return ModelInput(inputs, tuple(tokenizer.convert_ids_to_tokens(ids)), 0, (), label, tuple(notes))


def _plain(backbone: Backbone) -> Backbone:
    """The backbone with the attention of races, so that base, adapted and merged differ in nothing else."""
    model = copy.deepcopy(backbone.model)
    use_plain_attention(model)
    return backbone.with_model(model)


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


def _decoded(picture: str) -> bytes:
    try:
        return base64.b64decode(picture, validate=True)
    except binascii.Error:
        raise LensError("The picture did not arrive whole.") from None
