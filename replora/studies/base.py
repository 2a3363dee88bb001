"""What all studies have in common: a grid of runs on one task and one frozen backbone, as a flat spec. No torch."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from replora.config import (
    MAX_RUNS,
    Activation,
    AlphaOver,
    Device,
    Latent,
    LayerSharing,
    Method,
    Optimizer,
    Precision,
    Projection,
    Race,
    Training,
    labelled_task,
)
from replora.memory.admission import METHOD_FIELDS, TRAINING_FIELDS, Lever, check_memory, fields_levers
from replora.memory.estimate import batch_bytes, examples_of, fixed_bytes
from replora.options import Linked, SpecError, option, options, same_as
from replora.wording import count, counted

Item = TypeVar("Item")
AnyStudy = TypeVar("AnyStudy", bound="Study")

MOST_RUNS = 5000
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True, kw_only=True)
class Study(Linked):
    """Every run of a grid differs from its neighbours in the grid's values alone.

    A study holds `validation_examples` training examples out of all its runs, tuned or not, so that both see the same
    data.
    """

    name: ClassVar[str]  # in `replora.studies.kinds`
    compares: ClassVar[str]  # the option that lists those who are compared

    task: str = labelled_task("wordnet_topics")
    seeds: tuple[int, ...] = option(
        (0, 1, 2), "Seeds", "One run of each kind a seed; runs of a seed are paired.", low=0, high=2**31 - 1
    )
    rank: int = same_as(Method, "rank")
    mlp_width: int = same_as(Method, "mlp_width")
    mlp_depth: int = same_as(Method, "mlp_depth")
    steps: int = same_as(Training, "steps")
    batch_size: int = dataclasses.field(default=8, metadata=same_as(Training, "batch_size").metadata)
    test_examples: int = dataclasses.field(default=200, metadata=same_as(Training, "test_examples").metadata)
    validation_examples: int = dataclasses.field(default=100, metadata=same_as(Race, "validation_examples").metadata)
    backbone: str = same_as(Training, "backbone")
    adapted_blocks: int = same_as(Training, "adapted_blocks")
    alpha: float = same_as(Method, "alpha")
    activation: Activation = same_as(Method, "activation")
    layer_sharing: LayerSharing = same_as(Method, "layer_sharing")
    residual: bool = same_as(Method, "residual")
    projections: tuple[Projection, ...] = same_as(Method, "projections")
    latent: Latent = same_as(Method, "latent")
    alpha_over: AlphaOver = same_as(Method, "alpha_over")
    b_rate_ratio: float = same_as(Method, "b_rate_ratio")
    optimizer: Optimizer = same_as(Training, "optimizer")
    warmup_fraction: float = same_as(Training, "warmup_fraction")
    weight_decay: float = same_as(Training, "weight_decay")
    clip_norm: float = same_as(Training, "clip_norm")
    device: Device = same_as(Training, "device")
    precision: Precision = same_as(Training, "precision")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("fractions", "examples", "rates"):
            if name in options(self):
                object.__setattr__(self, name, tuple(sorted(getattr(self, name))))
        if self.count() > MOST_RUNS:
            raise SpecError(f"A study must have at most {MOST_RUNS:,} runs, got {self.count():,}; choose fewer values.")
        if self.is_tuned and not self.validation_examples:
            raise SpecError("validation_examples must be at least 1 for rates to be chosen by, got 0.")

    @property
    def titles(self) -> Mapping[str, str]:
        """The names of those who are compared, as people write them."""
        raise NotImplementedError

    @property
    def is_tuned(self) -> bool:
        """Whether each one's rate is chosen from the grid by validation."""
        raise NotImplementedError

    @property
    def all_rates(self) -> tuple[float, ...]:
        """The learning rates of the grid, ascending."""
        raise NotImplementedError

    def rates_of(self, name: str) -> tuple[float, ...]:
        """The rates that one of those who are compared is trained with."""
        return self.all_rates

    @property
    def all_amounts(self) -> tuple[float, ...]:
        """The amounts of data of the grid, ascending, in the study's own unit."""
        raise NotImplementedError

    def amount_in_words(self, amount: float) -> str:
        """An amount of data with its unit: '10 % of the data', '64 examples'."""
        raise NotImplementedError

    @property
    def all_methods(self) -> tuple[Method, ...]:
        """How the factors of those who are compared arise."""
        raise NotImplementedError

    def count(self) -> int:
        """How many runs the grid has."""
        raise NotImplementedError

    def batches(self, at_once: int) -> list[Sequence[Any]]:
        """The grid as the fewest batches of at most `at_once` runs that take equally many steps, in order."""
        raise NotImplementedError

    def steps_of(self, batch: Sequence[Any]) -> int:
        """How many steps a batch takes."""
        return self.steps

    def steps_with(self, amount: float) -> int:
        """How many steps a run on this amount of data takes."""
        return self.steps

    @property
    def step_range(self) -> tuple[int, int]:
        """The steps of the shortest and of the longest runs."""
        found = [self.steps_with(amount) for amount in self.all_amounts]
        return min(found), max(found)

    @property
    def steps_in_words(self) -> str:
        """'400 steps', where amounts of data differ in them '4 to 400 steps'."""
        shortest, longest = self.step_range
        return counted(longest, "step") if shortest == longest else f"{count(shortest)} to {counted(longest, 'step')}"

    def used_examples(self, examples: int) -> int:
        """How many of so many training examples the runs use together."""
        raise NotImplementedError

    def run_bytes(self) -> int:
        """Memory that one more run adds to a batch, in bytes."""
        return max(batch_bytes(self, [method]) for method in self.all_methods)

    def fixed_bytes(self) -> int:
        """Memory that the study takes beside its runs, in bytes; `TaskError` where its task is not here."""
        return fixed_bytes(self, self.used_examples(examples_of(self.task)), self.validation_examples)

    def check_memory(self) -> None:
        """`SpecError` where not even one run at a time fits into the memory of a job."""

        def levers(spec: Self) -> list[Lever[Self]]:
            return fields_levers(spec, (*TRAINING_FIELDS, *METHOD_FIELDS))

        check_memory(self, "study", lambda spec: spec.fixed_bytes() + spec.run_bytes(), levers)


def of_kind(spec: Study | None, kind: type[AnyStudy]) -> AnyStudy:
    """The spec as one of this kind; `TypeError` where it is of another."""
    if not isinstance(spec, kind):
        raise TypeError(f"A {kind.__name__} is needed, got a {type(spec).__name__}.")
    return spec


def in_batches(items: Sequence[Item], at_once: int) -> list[Sequence[Item]]:
    """The items as the fewest batches of at most `at_once`, of nearly equal size, in order."""
    count = -(-len(items) // max(1, min(at_once, MAX_RUNS)))
    ends = [round(len(items) * part / count) for part in range(count + 1)]
    return [items[start:stop] for start, stop in itertools.pairwise(ends)]
