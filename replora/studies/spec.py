"""What a study can be asked for: a grid of runs, as flat specs in the manner of `replora.config`. No torch.

What they have in common is in `replora.studies.base`; the teacher's is in `replora.studies.teachers.spec`.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from replora.catalog import STUDIES, is_corpus
from replora.config import (
    METHOD_TITLES,
    ChoiceScore,
    HeadStart,
    Method,
    MethodName,
    Race,
    RaceOptions,
    Run,
    Sharing,
    Training,
    method_of,
)
from replora.methods import HEAD, has_adapter
from replora.options import SpecError, option, options, same_as
from replora.statistics.metrics import Metric, metric_of
from replora.studies.base import RATES, Study, in_batches
from replora.studies.teachers.spec import TeacherStudy

Equal = Literal["steps", "epochs"]

__all__ = ["RATES", "DataStudy", "Equal", "RaceStudy", "RateStudy", "Study", "TeacherStudy"]


@dataclass(frozen=True, kw_only=True)
class RaceStudy(Study):
    """A grid of races: methods, data fractions, rates and seeds on a task."""

    compares = "methods"

    task: str = dataclasses.field(default="wordnet_topics", metadata=same_as(Training, "task").metadata)
    methods: tuple[MethodName, ...] = same_as(RaceOptions, "methods")
    lora_rank: int = same_as(RaceOptions, "lora_rank")
    sharing: Sharing = same_as(Method, "sharing")
    head_start: HeadStart = same_as(Training, "head_start")
    head_learning_rate: float = same_as(Training, "head_learning_rate")
    choice_score: ChoiceScore = same_as(Training, "choice_score")
    equal: Equal = option(
        "steps",
        "Equal",
        "steps: every run takes all steps. epochs: a run on a share of the data takes that share of them, rounded, "
        "one at least, so that all pass over their examples equally often.",
        later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if is_corpus(self.task) and HEAD in self.methods:
            raise SpecError(f"methods must have adapters for the task {self.task}: there is no head to train.")

    @classmethod
    def on(cls, task: str) -> Self:
        """The study of a task with all else as it is unless somebody asks, as `RaceOptions.on`."""
        own = STUDIES["continuation"] if is_corpus(task) else {}
        return cls(task=task, **{name: value for name, value in own.items() if name in options(cls)})

    @classmethod
    def unasked(cls, query: Mapping[str, str]) -> Self:
        task = query.get("task", "").strip()
        return cls.on(task) if is_corpus(task) else cls()

    @property
    def metric(self) -> Metric:
        """What its runs are judged by."""
        return metric_of(self.task)

    @property
    def titles(self) -> Mapping[str, str]:
        return {name: METHOD_TITLES[name] for name in self.methods}

    @property
    def all_fractions(self) -> tuple[float, ...]:
        """The data fractions of the grid, ascending."""
        raise NotImplementedError

    @property
    def all_amounts(self) -> tuple[float, ...]:
        return self.all_fractions

    @property
    def grid(self) -> tuple[float, ...]:
        """The rates that tuning chooses from, or would choose from."""
        return self.all_rates

    def amount_in_words(self, amount: float) -> str:
        return f"{100 * amount:g} % of the data"

    @property
    def all_methods(self) -> tuple[Method, ...]:
        return tuple(self.method(name) for name in self.methods)

    def steps_with(self, amount: float) -> int:
        """All steps, or of equal epochs the fraction's share of them, rounded, one at least."""
        return self.steps if self.equal == "steps" else max(1, round(amount * self.steps))

    def used_examples(self, examples: int) -> int:
        return round(len(self.seeds) * max(self.all_fractions) * examples)

    def count(self) -> int:
        return len(self.seeds) * len(self.all_fractions) * sum(len(self.rates_of(name)) for name in self.methods)

    def rates_of(self, method: str) -> tuple[float, ...]:
        """The rates a method is trained with; the head alone has no adapter whose rate could matter."""
        return self.all_rates if has_adapter(method) else self.all_rates[:1]

    def method(self, name: MethodName) -> Method:
        """A method of this study, whole; another rank of LoRA leaves its scaling as it is."""
        return method_of(self, name)

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
        """Some of the runs as one batch, evaluated once, at the end; `ValueError` where they differ in steps."""
        steps = {self.steps_with(run.data_fraction) for run in runs}
        if len(steps) != 1:
            raise ValueError(f"Runs of {sorted(steps)} steps are no batch.")
        own = options(self)
        shared = {name: getattr(self, name) for name in options(Training) if name in own and name != "steps"}
        return Race(
            runs=tuple(runs),
            steps=max(steps),
            evaluate_every=max(steps),
            validation_examples=self.validation_examples,
            tell_answers=metric_of(self.task).is_share,
            **shared,
        )

    def batches(self, at_once: int) -> list[Sequence[Run]]:
        """The grid as the fewest batches of at most `at_once` runs of equal steps, of nearly equal size."""
        by_steps: dict[int, list[Run]] = {}
        for run in self.runs():
            by_steps.setdefault(self.steps_with(run.data_fraction), []).append(run)
        return [batch for runs in by_steps.values() for batch in in_batches(runs, at_once)]

    def steps_of(self, batch: Sequence[Run]) -> int:
        return self.steps_with(batch[0].data_fraction)


@dataclass(frozen=True, kw_only=True)
class DataStudy(RaceStudy):
    """How much data: accuracy against data fraction, with one learning rate for all or with one tuned per method."""

    name = "data"

    # Three shares and 80 steps: within a minute of two cores LoRA's accuracy rises clearly with the data.
    steps: int = dataclasses.field(default=80, metadata=same_as(Training, "steps").metadata)
    fractions: tuple[float, ...] = option(
        (0.01, 0.1, 1.0),
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

    @property
    def grid(self) -> tuple[float, ...]:
        return self.rates


@dataclass(frozen=True, kw_only=True)
class RateStudy(RaceStudy):
    """Which learning rate: accuracy against the adapter's rate, for each method, on one fraction of the data."""

    name = "rate"

    task: str = dataclasses.field(default="digits", metadata=same_as(Training, "task").metadata)
    # Within a minute of two cores these rates tell apart, and the best of them is no end of the grid.
    steps: int = dataclasses.field(default=50, metadata=same_as(Training, "steps").metadata)
    rates: tuple[float, ...] = option(
        (1e-3, 3e-3, 1e-2, 3e-2), "Learning rates", "The grid that every method is swept over.", low=1e-7, high=1.0
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


def study_to_dict(spec: Study) -> dict[str, Any]:
    """Plain values with the study's name, as `replora.studies.kinds.study_from_dict` reads them."""
    return {"study": spec.name, **spec.to_dict()}


def command(spec: Study) -> str:
    """The command line that runs a study: values that are not defaults, in the order of declaration."""
    words = ["python", "-m", "replora", "study", spec.name]
    for name, text in spec.to_query().items():
        flag = name.replace("_", "-")
        value = getattr(spec, name)
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", text]
    return shlex.join(words)
