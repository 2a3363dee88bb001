"""What every objective is asked by a batch of runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from replora.backbones import Rows
from replora.config import Training
from replora.tasks import Indices, Split, Task
from replora.training.cache import PrefixCache
from replora.training.head import Heads
from replora.training.stack import RunStack
from replora.training.steps import Score


class Tested(NamedTuple):
    """Of each run the share of answers that are right and the mean loss, (runs,)."""

    accuracies: Tensor
    losses: Tensor


class Objective(ABC):
    """What the runs of `stack` learn on a task."""

    heads: Heads | None = None  # of all runs, where any train beside the adapters

    def __init__(self, spec: Training, task: Task, stack: RunStack, seeds: Sequence[int]) -> None:
        self.spec, self.task, self.stack, self.seeds = spec, task, stack, list(seeds)

    def beside(self) -> list[nn.Parameter]:
        """What trains beside the adapters, each (runs, ...)."""
        return [] if self.heads is None else list(self.heads.parameters())

    def begin(self, cache: PrefixCache, subsets: Sequence[Indices]) -> bool:
        """What is done before the first step with each run's examples; whether the runs are tested then."""
        return False

    def trained(self) -> Split:
        """What the model is given of the training examples, a row each."""
        return self.task.train

    def shown(self, split: Split) -> Split:
        """What it is given of examples that are tested, as many rows of each."""
        return split

    @abstractmethod
    def losses(self, rows: Rows, picks: Tensor) -> Tensor:
        """The mean loss of each run on its batch, (runs,), with graph; picks: see `Steps.take`."""

    @abstractmethod
    def score(self, cache: PrefixCache) -> Score:
        """Two figures of each run and row of `cache`, (2, runs, rows), from which `tested` is made."""

    @abstractmethod
    def tested(self, scores: Tensor, cache: PrefixCache) -> Tested:
        """What those of all rows of `cache` come to."""

    def answers(self, scores: Tensor, cache: PrefixCache) -> Tensor:
        """Which examples each run has right, (runs, examples), from the same figures."""
        return scores[0] > 0
