"""A race: N runs side by side, as the engine takes it and as a form, a link or a command line has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from replora.catalog import ALL_TASKS, is_corpus, own_race
from replora.config.method import Activation, AlphaOver, Latent, LayerSharing, Method, method_of
from replora.config.training import Run, Training
from replora.methods import METHODS, REFERENCE, MethodName, Projection, Sharing
from replora.options import Linked, SpecError, option, options, same_as

MAX_RUNS = 1024  # of a batch on a device
MOST_RUNS = 32  # of a race that somebody asks for, by form, link, command line or job


@dataclass(frozen=True, kw_only=True)
class Race(Training):
    """N runs that train side by side as one batch."""

    runs: tuple[Run, ...] = (
        Run(method=Method(name="lora")),
        Run(method=Method(name="replora")),
    )
    validation_examples: int = option(
        0,
        "Validation examples",
        "Training examples, stratified, that no run trains on; evaluated beside the test examples to choose rates by.",
        low=0,
        high=1_000_000,
    )
    tell_answers: bool = option(
        False, "Tell answers", "Whether the last evaluation tells which test examples each run has right."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_runs(self.runs, MAX_RUNS)

    @classmethod
    def asked(cls, values: Mapping[str, Any]) -> Self:
        """The race of `to_dict` where somebody asks for it: `SpecError` above `MOST_RUNS` runs."""
        race = cls.from_dict(values)
        _check_runs(race.runs, MOST_RUNS)
        return race

    @property
    def telling_run(self) -> Run:
        """The first of the runs whose method has the most knobs: it says the most of what a form had."""
        return max(self.runs, key=lambda run: len(METHODS[run.method.name].knobs))

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        if name != "runs":
            return super()._revive(name, value)
        if not isinstance(value, (list, tuple)):
            raise SpecError(f"runs must be a list of runs, got {type(value).__name__}.")
        _check_runs(value, MAX_RUNS)
        return tuple(each if isinstance(each, Run) else Run.from_dict(each) for each in value)


def _lora_rank(race: Race, first: Run) -> int:
    """The rank of LoRA's first run where it is another than that of all."""
    own = next((run.method.rank for run in race.runs if run.method.name == REFERENCE), first.method.rank)
    return 0 if own == first.method.rank else own


def _check_runs(runs: Sequence[Any], most: int) -> None:
    if not 1 <= len(runs) <= most:
        raise SpecError(f"runs must hold from 1 to {most} runs, got {len(runs)}.")


@dataclass(frozen=True, kw_only=True)
class RaceOptions(Training, Linked):
    """A race as a form has it: one value per option, methods and seeds as lists. The form of URL and command line."""

    methods: tuple[MethodName, ...] = option(("lora", "replora"), "Methods", "Which methods race.")
    rank: int = same_as(Method, "rank")
    mlp_width: int = same_as(Method, "mlp_width")
    mlp_depth: int = same_as(Method, "mlp_depth")
    data_fraction: float = same_as(Run, "data_fraction")
    learning_rate: float = same_as(Run, "learning_rate")
    seeds: tuple[int, ...] = option((0,), "Seeds", "One run of each method a seed.", low=0, high=2**31 - 1)
    alpha: float = same_as(Method, "alpha")
    activation: Activation = same_as(Method, "activation")
    sharing: Sharing = same_as(Method, "sharing")
    layer_sharing: LayerSharing = same_as(Method, "layer_sharing")
    residual: bool = same_as(Method, "residual")
    projections: tuple[Projection, ...] = same_as(Method, "projections")
    lora_rank: int = option(
        0,
        "LoRA's rank",
        "0: the rank of all. A larger one lets LoRA train as many parameters as RepLoRA.",
        low=0,
        high=1024,
    )
    latent: Latent = same_as(Method, "latent")
    alpha_over: AlphaOver = same_as(Method, "alpha_over")
    b_rate_ratio: float = same_as(Method, "b_rate_ratio")

    def __post_init__(self) -> None:
        super().__post_init__()
        most = MOST_RUNS // len(self.methods)
        if len(self.seeds) > most:
            raise SpecError(
                f"seeds must list at most {most} values for methods {','.join(self.methods)}, "
                f"since a race holds at most {MOST_RUNS} runs, got {len(self.seeds):,}."
            )

    @classmethod
    def on(cls, task: str) -> Self:
        """The race on a task with all else as it is unless somebody asks: of some modalities other than the defaults.

        Raises `SpecError` for a task that no option takes.
        """
        return cls(task=task, **own_race(task))

    @classmethod
    def unasked(cls, query: Mapping[str, str]) -> Self:
        task = query.get("task", "").strip()
        return cls.on(task) if task in ALL_TASKS or is_corpus(task) else cls()

    @classmethod
    def of(cls, race: Race) -> Self | None:
        """The options whose race this is; None where its runs differ in more than method and seed, or otherwise."""
        found = cls.nearest(race)
        return found if found.race() == race else None

    @classmethod
    def nearest(cls, race: Race) -> Self:
        """The options that say of all runs of a race what its first run with the most knobs has; its first seeds."""
        methods = tuple(dict.fromkeys(run.method.name for run in race.runs))
        first = race.telling_run
        values: dict[str, Any] = {each.name: getattr(race, each.name) for each in dataclasses.fields(Training)}
        for name in set(options(Method)) - {"name"}:
            knowing = (run for run in (first, *race.runs) if name in METHODS[run.method.name].knobs)
            values[name] = getattr(next(knowing, first).method, name)
        values["lora_rank"] = _lora_rank(race, first)
        values |= {name: getattr(first, name) for name in options(Run) if name != "seed"}
        seeds = tuple(dict.fromkeys(run.seed for run in race.runs))
        return cls(**values, methods=methods, seeds=seeds[: MOST_RUNS // len(methods)])

    def race(self) -> Race:
        """The race of every method with every seed; runs of a seed stand beside each other."""
        shared = {each.name: getattr(self, each.name) for each in dataclasses.fields(Training)}
        runs = tuple(
            Run(
                method=method_of(self, name),
                seed=seed,
                learning_rate=self.learning_rate,
                data_fraction=self.data_fraction,
            )
            for seed in self.seeds
            for name in self.methods
        )
        return Race(runs=runs, **shared)
