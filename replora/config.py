"""Specs: what to compare, as frozen dataclasses that declare each option once.

A field carries its default, bounds, help and unit (`Option`). Sliders, URL, command line, validation and docs
read them from here; a value out of bounds raises `SpecError`, one sentence that names field, value and range.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from replora.catalog import BACKBONES, OWN_TASK, TASKS
from replora.methods import METHOD_TITLES as METHOD_TITLES
from replora.methods import METHODS, PROJECTIONS, has_adapter, is_reparameterized
from replora.methods import STUDENT_TITLES as STUDENT_TITLES
from replora.methods import MethodName as MethodName
from replora.methods import Projection as Projection
from replora.methods import Sharing as Sharing
from replora.options import Linked, Spec, SpecError, default_of, option, options, same_as

Activation = Literal["identity", "relu", "gelu", "tanh"]
LayerSharing = Literal["own", "one"]
HeadStart = Literal["random", "probe"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda", "mps"]

AUTO = "auto"
MAX_RUNS = 1024  # of a batch on a device
MOST_RUNS = 32  # of a race that somebody asks for, by form, link, command line or job


@dataclass(frozen=True, kw_only=True)
class Method(Spec):
    """How the factors A and B of delta_weight = (alpha / rank) B A arise, for each adapted projection.

    Options that change nothing take their defaults, so that two equal methods are one spec.
    """

    name: MethodName = option("replora", "Method", "Which adapter: the head alone, LoRA, or RepLoRA.")
    rank: int = option(4, "Rank", "Rows of A and columns of B.", low=1, high=1024, marks=(1, 2, 4, 8, 16, 32))
    alpha: float = option(
        4.0, "Alpha", "Scaling is alpha / rank.", low=0.01, high=4096, marks=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    )
    mlp_width: int = option(
        64,
        "MLP width",
        "Units of each hidden layer of RepLoRA's MLPs.",
        unit="units",
        low=1,
        high=4096,
        marks=(8, 16, 32, 64, 128, 256),
    )
    mlp_depth: int = option(
        1,
        "MLP depth",
        "Hidden layers of RepLoRA's MLPs; 0 leaves one linear layer.",
        unit="hidden layers",
        low=0,
        high=3,
        marks=(0, 1, 2, 3),
    )
    activation: Activation = option(
        "relu", "Activation", "After each hidden layer of the MLP; identity is the paper's linear reparameterization."
    )
    projections: tuple[Projection, ...] = option(
        PROJECTIONS,
        "Projections",
        "What is adapted in each attention layer: the query alone moves gates only, the value alone experts only.",
        in_order=True,
    )
    sharing: Sharing = option(
        "trunk",
        "Sharing",
        "trunk: one MLP, a head each for query and value. tied: the same factors for both. separate: an MLP for each. "
        "Of LoRA there is tied and, for any other, apart.",
    )
    layer_sharing: LayerSharing = option(
        "own", "Layer sharing", "own: an MLP for each adapted layer. one: one MLP for all layers."
    )
    residual: bool = option(False, "Residual", "A = A_0 + g_A(A_0) instead of g_A(A_0).")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self._idle():
            object.__setattr__(self, name, default_of(Method, name))

    def _idle(self) -> set[str]:
        """The options that make no difference beside the others."""
        facts = METHODS[self.name]
        idle = set(options(Method)) - {"name", *facts.knobs, *facts.ablations}
        if len(self.projections) == 1 or (not self.is_reparameterized and self.sharing != "tied"):
            idle.add("sharing")
        if self.mlp_depth == 0:
            idle |= {"mlp_width", "activation"}
        return idle

    @property
    def has_adapter(self) -> bool:
        """Whether there are factors at all; the head alone has none."""
        return has_adapter(self.name)

    @property
    def is_reparameterized(self) -> bool:
        """Whether the factors come out of latents and MLPs."""
        return is_reparameterized(self.name)


@dataclass(frozen=True, kw_only=True)
class Run(Spec):
    """One fine-tune: a method, a seed, a learning rate and a fraction of the training examples.

    The seed fixes subset, order of the examples and head start, whatever the method: runs of one seed are paired.
    """

    method: Method = field(default_factory=Method)
    seed: int = option(0, "Seed", "Fixes subset, order, head start and adapter start.", low=0, high=2**31 - 1)
    learning_rate: float = option(
        3e-4,
        "Learning rate",
        "Peak rate of the adapter; the head has its own.",
        low=1e-7,
        high=1.0,
        marks=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
        flags=("--lr",),
    )
    data_fraction: float = option(
        0.1,
        "Data fraction",
        "Share of the training examples; stratified, and smaller shares are contained in larger ones.",
        low=0.001,
        high=1.0,
        marks=(0.01, 0.03, 0.1, 0.3, 1.0),
    )

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        return Method.from_dict(value) if name == "method" and not isinstance(value, Method) else value


@dataclass(frozen=True, kw_only=True)
class Training(Spec):
    """What all runs of a race have in common."""

    task: str = option(
        "digits", "Task", "What is learnt.", choices=tuple(TASKS), pattern=OWN_TASK, placeholder="own:ID"
    )
    backbone: str = option(
        AUTO,
        "Backbone",
        "auto (the task's own), " + ", ".join(BACKBONES) + ", timm:NAME, hf:ID, or local:FOLDER.",
    )
    adapted_blocks: int = option(
        3, "Adapted blocks", "How many of the last transformer blocks are adapted.", low=1, high=256, marks=(1, 2, 3, 6)
    )
    steps: int = option(100, "Steps", "Optimizer steps.", low=1, high=100_000, marks=(50, 100, 200, 400))
    batch_size: int = option(16, "Batch size", "Examples a run and step.", low=1, high=1024, marks=(8, 16, 32))
    head_start: HeadStart = option(
        "random", "Head start", "random: small random weights. probe: fitted on the frozen features first."
    )
    head_learning_rate: float = option(
        3e-3,
        "Head learning rate",
        "Peak rate of the classification head, apart from the adapter's.",
        low=1e-7,
        high=1.0,
        marks=(3e-4, 1e-3, 3e-3, 1e-2),
    )
    warmup_fraction: float = option(0.1, "Warm-up", "Share of the steps in which the rate rises.", low=0.0, high=0.9)
    weight_decay: float = option(0.0, "Weight decay", "AdamW's decoupled decay.", low=0.0, high=10.0)
    clip_norm: float = option(
        0.0, "Clip gradient", "Largest gradient norm of a run; 0 leaves gradients alone.", low=0.0, high=1e6
    )
    evaluate_every: int = option(
        10, "Evaluate every", "Steps between two evaluations on the test split.", unit="steps", low=1, high=100_000
    )
    test_examples: int = option(
        300, "Test examples", "Examples of the test split used, stratified.", low=1, high=1_000_000
    )
    device: Device = option(AUTO, "Device", "auto takes CUDA, then MPS, then the CPU.")
    precision: Precision = option(
        AUTO, "Precision", "auto: bfloat16 matrix products where the device multiplies them faster, else float32."
    )


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

    def __post_init__(self) -> None:
        super().__post_init__()
        most = MOST_RUNS // len(self.methods)
        if len(self.seeds) > most:
            raise SpecError(
                f"seeds must list at most {most} values for methods {','.join(self.methods)}, "
                f"since a race holds at most {MOST_RUNS} runs, got {len(self.seeds):,}."
            )

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
        values |= {name: getattr(first.method, name) for name in options(Method) if name != "name"}
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


def method_of(form: object, name: MethodName) -> Method:
    """The method `name` with what a form says of its knobs."""
    return Method(name=name, **{knob: getattr(form, knob) for knob in METHODS[name].knobs if hasattr(form, knob)})
