"""What a study can be asked for: a grid of runs, as flat specs in the manner of `replora.config`. No torch.

A study holds `validation_examples` training examples out of all its runs, tuned or not, so that both see the same data.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from replora.config import (
    MAX_RUNS,
    Activation,
    Device,
    HeadStart,
    LayerSharing,
    Linked,
    Method,
    MethodName,
    Precision,
    Race,
    RaceOptions,
    Run,
    Sharing,
    SpecError,
    Training,
    option,
    options,
    same_as,
)

StudyName = Literal["data", "rate"]

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True, kw_only=True)
class Study(Linked):
    """What all studies have in common. Every run of a study differs from its neighbours in the grid's values alone."""

    name: ClassVar[StudyName]

    task: str = dataclasses.field(default="wordnet_topics", metadata=same_as(Training, "task").metadata)
    methods: tuple[MethodName, ...] = same_as(RaceOptions, "methods")
    seeds: tuple[int, ...] = option(
        (0, 1, 2), "Seeds", "One run of each method, fraction and rate a seed.", low=0, high=2**31 - 1
    )
    rank: int = same_as(Method, "rank")
    mlp_width: int = same_as(Method, "mlp_width")
    steps: int = dataclasses.field(default=50, metadata=same_as(Training, "steps").metadata)
    batch_size: int = dataclasses.field(default=8, metadata=same_as(Training, "batch_size").metadata)
    test_examples: int = dataclasses.field(default=200, metadata=same_as(Training, "test_examples").metadata)
    validation_examples: int = dataclasses.field(default=100, metadata=same_as(Race, "validation_examples").metadata)
    backbone: str = same_as(Training, "backbone")
    adapted_blocks: int = same_as(Training, "adapted_blocks")
    alpha: float = same_as(Method, "alpha")
    activation: Activation = same_as(Method, "activation")
    sharing: Sharing = same_as(Method, "sharing")
    layer_sharing: LayerSharing = same_as(Method, "layer_sharing")
    residual: bool = same_as(Method, "residual")
    head_start: HeadStart = same_as(Training, "head_start")
    head_learning_rate: float = same_as(Training, "head_learning_rate")
    warmup_fraction: float = same_as(Training, "warmup_fraction")
    weight_decay: float = same_as(Training, "weight_decay")
    clip_norm: float = same_as(Training, "clip_norm")
    device: Device = same_as(Training, "device")
    precision: Precision = same_as(Training, "precision")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("fractions", "rates"):
            if name in options(self):
                object.__setattr__(self, name, tuple(sorted(getattr(self, name))))
        if self.is_tuned and not self.validation_examples:
            raise SpecError("validation_examples must be at least 1 for rates to be chosen by, got 0.")

    @property
    def is_tuned(self) -> bool:
        """Whether each method's rate is chosen from the grid by validation."""
        raise NotImplementedError

    @property
    def all_fractions(self) -> tuple[float, ...]:
        """The data fractions of the grid, ascending."""
        raise NotImplementedError

    @property
    def all_rates(self) -> tuple[float, ...]:
        """The learning rates of the grid, ascending."""
        raise NotImplementedError

    def rates_of(self, method: str) -> tuple[float, ...]:
        """The rates a method is trained with; the head alone has no adapter whose rate could matter."""
        return self.all_rates[:1] if method == "head" else self.all_rates

    def method(self, name: MethodName) -> Method:
        """A method of this study, whole."""
        shared = {each: getattr(self, each) for each in options(Method) if each != "name"}
        return Method(name=name, **shared)

    def runs(self) -> tuple[Run, ...]:
        """The whole grid, seed after seed, so that what is finished early is already paired."""
        return tuple(
            Run(method=self.method(name), seed=seed, learning_rate=rate, data_fraction=fraction)
            for seed in self.seeds
            for fraction in self.all_fractions
            for rate in self.all_rates
            for name in self.methods
            if rate in self.rates_of(name)
        )

    def race(self, runs: Sequence[Run]) -> Race:
        """Some of the runs as one batch, evaluated once, at the end."""
        shared = {name: getattr(self, name) for name in options(Training) if name != "evaluate_every"}
        return Race(
            runs=tuple(runs),
            evaluate_every=self.steps,
            validation_examples=self.validation_examples,
            tell_answers=True,
            **shared,
        )

    def races(self, runs_at_once: int) -> tuple[Race, ...]:
        """The grid as the fewest batches of at most `runs_at_once` runs, of nearly equal size."""
        runs = self.runs()
        count = -(-len(runs) // max(1, min(runs_at_once, MAX_RUNS)))
        ends = [round(len(runs) * part / count) for part in range(count + 1)]
        return tuple(self.race(runs[start:stop]) for start, stop in itertools.pairwise(ends))


@dataclass(frozen=True, kw_only=True)
class DataStudy(Study):
    """How much data: accuracy against data fraction, with one learning rate for all or with one tuned per method."""

    name = "data"

    fractions: tuple[float, ...] = option(
        (0.01, 0.03, 0.1, 0.3, 1.0),
        "Data fractions",
        "Shares of the training examples, each contained in the next.",
        low=0.001,
        high=1.0,
    )
    tuned: bool = option(
        False, "Tuned", "Whether each method's rate is chosen by validation at every fraction; else one rate for all."
    )
    learning_rate: float = same_as(Run, "learning_rate")
    rates: tuple[float, ...] = option(RATES, "Learning rates", "The grid that tuning chooses from.", low=1e-7, high=1.0)

    @property
    def is_tuned(self) -> bool:
        return self.tuned

    @property
    def all_fractions(self) -> tuple[float, ...]:
        return self.fractions

    @property
    def all_rates(self) -> tuple[float, ...]:
        return self.rates if self.tuned else (self.learning_rate,)


@dataclass(frozen=True, kw_only=True)
class RateStudy(Study):
    """Which learning rate: accuracy against the adapter's rate, for each method, on one fraction of the data."""

    name = "rate"

    rates: tuple[float, ...] = option(
        RATES, "Learning rates", "The grid that every method is swept over.", low=1e-7, high=1.0
    )
    data_fraction: float = same_as(Run, "data_fraction")

    @property
    def is_tuned(self) -> bool:
        return len(self.rates) > 1

    @property
    def all_fractions(self) -> tuple[float, ...]:
        return (self.data_fraction,)

    @property
    def all_rates(self) -> tuple[float, ...]:
        return self.rates


STUDIES: dict[str, type[Study]] = {"data": DataStudy, "rate": RateStudy}


def study_to_dict(spec: Study) -> dict[str, Any]:
    """Plain values with the study's name, as `study_from_dict` reads them."""
    return {"study": spec.name, **spec.to_dict()}


def study_from_dict(values: Mapping[str, Any]) -> Study:
    """The study of `study_to_dict`; `SpecError` where it is none."""
    if not isinstance(values, Mapping) or values.get("study") not in STUDIES:
        raise SpecError(f"study must name one of {', '.join(STUDIES)}.")
    return STUDIES[values["study"]].from_dict({name: value for name, value in values.items() if name != "study"})
