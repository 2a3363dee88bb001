"""Which class an example is of: a linear head a run on pooled features, and its cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from replora.backbones import Rows
from replora.config import Training
from replora.tasks import Indices, Task
from replora.training.cache import CHUNK, PrefixCache
from replora.training.head import Heads, fit_probe
from replora.training.objectives.base import Objective, Tested
from replora.training.stack import RunStack
from replora.training.steps import Score


class Labelling(Objective):
    """Heads that start at random, or at a probe of the frozen features."""

    heads: Heads

    def __init__(self, spec: Training, task: Task, stack: RunStack, seeds: Sequence[int]) -> None:
        super().__init__(spec, task, stack, seeds)
        self.heads = Heads(seeds, stack.backbone.width, len(task.classes)).to(stack.device)
        self.labels = torch.from_numpy(task.train.labels).to(stack.device)

    def begin(self, cache: PrefixCache, subsets: Sequence[Indices]) -> bool:
        if self.spec.head_start != "probe":
            return False
        self._fit_probes(cache, subsets)
        return True

    def losses(self, rows: Rows, picks: Tensor) -> Tensor:
        return self._losses(self._logits(rows), self.labels[picks[0]]).mean(dim=1)

    def score(self, cache: PrefixCache) -> Score:
        """Of each run and example whether it is right, as 0 or 1, and the loss."""
        labels = torch.from_numpy(cache.split.labels).to(self.stack.device)

        def score(rows: Rows, places: Tensor) -> Tensor:
            wanted = labels[places].expand(self.stack.runs, -1)
            logits = self._logits(rows)  # (runs, examples, classes)
            return torch.stack([(logits.argmax(dim=-1) == wanted).to(logits.dtype), self._losses(logits, wanted)])

        return score

    def tested(self, scores: Tensor, cache: PrefixCache) -> Tested:
        right, losses = scores
        return Tested(right.mean(dim=1), losses.mean(dim=1))

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Losses (runs, batch) of logits (runs, batch, classes)."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(self.stack.runs, -1)

    def _logits(self, rows: Rows) -> Tensor:
        """Logits (runs, batch, classes) of rows (runs * batch, ...)."""
        return self.heads(self.stack.features(rows))  # type: ignore[no-any-return]

    @torch.no_grad()
    def _fit_probes(self, cache: PrefixCache, subsets: Sequence[Indices]) -> None:
        """Start each head at a probe of the frozen features of its run's examples; runs of equal data share it."""
        fitted: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        for place, subset in enumerate(subsets):
            key = (self.seeds[place], len(subset))
            if key not in fitted:
                features = self._frozen_features(cache, subset)
                with torch.enable_grad():
                    fitted[key] = fit_probe(features, self.labels[torch.from_numpy(subset)], len(self.task.classes))
            weight, bias = fitted[key]
            self.heads.weight[place] = weight.to(self.stack.device)
            self.heads.bias[place, 0] = bias.to(self.stack.device)

    def _frozen_features(self, cache: PrefixCache, subset: Indices) -> Tensor:
        """Features (examples, width) before the first step: delta_weight is zero, so any run's are the backbone's."""
        runs = self.stack.runs
        size = max(1, 4 * CHUNK[self.stack.device.type] // runs)
        parts = []
        for start in range(0, len(subset), size * runs):
            wanted = subset[start : start + size * runs]
            padded = np.resize(wanted, -(-len(wanted) // runs) * runs)
            parts.append(self.stack.features(cache.take(padded)).flatten(0, 1)[: len(wanted)])
        return torch.cat(parts)
