"""Specs: what to compare, as frozen dataclasses that declare each option once.

A field carries its default, bounds, help and unit (`Option`). Sliders, URL, command line, validation and docs
read them from here; a value out of bounds raises `SpecError`, one sentence that names field, value and range.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast, get_args, get_origin, get_type_hints

from replora.catalog import BACKBONES, OWN_TASK, TASKS

MethodName = Literal["head", "lora", "replora"]
Activation = Literal["identity", "relu", "gelu", "tanh"]
Sharing = Literal["trunk", "tied", "separate"]
LayerSharing = Literal["own", "one"]
HeadStart = Literal["random", "probe"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda", "mps"]

METHOD_TITLES: dict[str, str] = {"head": "Head only", "lora": "LoRA", "replora": "RepLoRA"}
STUDENT_TITLES: dict[str, str] = {  # of the study of teachers and students
    "lora": "LoRA",
    "lora_tied": "LoRA, tied",
    "trunk": "RepLoRA",
    "tied": "RepLoRA, tied",
    "separate": "RepLoRA, separate",
}

AUTO = "auto"
MAX_RUNS = 1024


class UserError(ValueError):
    """Something the user can set right; the message is one sentence fit to be shown."""


class SpecError(UserError):
    """A value that a spec cannot take."""


@dataclass(frozen=True)
class Option:
    """What is known of one field: bounds are inclusive, `marks` are its slider's stops, `choices` the names allowed.

    pattern: of names that are allowed beside the choices; placeholder: such a name for people.
    """

    label: str
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    marks: tuple[Any, ...] = ()
    choices: tuple[str, ...] = ()
    pattern: str = ""
    placeholder: str = ""
    flags: tuple[str, ...] = ()

    def allowed(self, kind: Any) -> str:
        """The range in words, for messages and docs."""
        if get_origin(kind) is Literal:
            return "one of " + ", ".join(get_args(kind))
        if kind is bool:
            return "true or false"
        if self.choices:
            return "one of " + ", ".join((*self.choices, *([self.placeholder] if self.placeholder else [])))
        noun = {int: "a whole number", float: "a number"}.get(kind, "text")
        if self.low is None or self.high is None:
            return noun
        low, high = (f"{bound:,.0f}" if kind is int else f"{bound:g}" for bound in (self.low, self.high))
        return f"{noun} from {low} to {high}"


def option(default: Any, label: str, help: str, **facts: Any) -> Any:
    """A dataclass field with its `Option`."""
    return field(default=default, metadata={"option": Option(label, help, **facts)})


def same_as(spec: type, name: str) -> Any:
    """The field `name` of `spec`, declared once there and used again here."""
    original = next(each for each in dataclasses.fields(spec) if each.name == name)
    return field(default=original.default, metadata=original.metadata)


def options(spec: type | object) -> dict[str, Option]:
    """The options of a spec by field name, in the order of declaration."""
    return {each.name: each.metadata["option"] for each in dataclasses.fields(cast(Any, spec)) if each.metadata}


def default_of(spec: type, name: str) -> Any:
    """The default of a field."""
    return next(each.default for each in dataclasses.fields(cast(Any, spec)) if each.name == name)


def kind_of(spec: type, name: str) -> Any:
    """The type of a field: int, float, bool, str, a Literal, or a tuple of one of them."""
    return get_type_hints(spec)[name]


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _shown(value: Any) -> str:
    """The value for a message, not at any length."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def check_value(name: str, value: Any, kind: Any, facts: Option) -> Any:
    """`value` as `kind`, or `SpecError`: '<field> must be <allowed range>, got <value>.'"""
    if _is_tuple(kind):
        item = get_args(kind)[0]
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise SpecError(f"{name} must list at least one of: {facts.allowed(item)}; got {_shown(value)}.")
        if len(set(value)) != len(value):
            raise SpecError(f"{name} must not repeat a value, got {', '.join(map(str, value))}.")
        return tuple(check_value(name, each, item, facts) for each in value)
    complaint = SpecError(f"{name} must be {facts.allowed(kind)}, got {_shown(value)}.")
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise complaint
        return value
    if kind is bool or kind is str:
        if not isinstance(value, kind) or not _is_allowed(value, facts):
            raise complaint
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise complaint
    if isinstance(value, float) and (not math.isfinite(value) or (kind is int and value != int(value))):
        raise complaint
    if (facts.low is not None and value < facts.low) or (facts.high is not None and value > facts.high):
        raise complaint
    return kind(value)


def _is_allowed(value: Any, facts: Option) -> bool:
    """Whether a text or boolean is among the names allowed, where there are any."""
    named = bool(facts.pattern) and re.fullmatch(facts.pattern, str(value)) is not None
    return not facts.choices or value in facts.choices or named


def parse_value(name: str, text: str, kind: Any, facts: Option) -> Any:
    """The value of a field from text (URL, command line); lists are separated by commas."""
    if _is_tuple(kind):
        item = get_args(kind)[0]
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return check_value(name, [parse_value(name, part, item, facts) for part in parts], kind, facts)
    value: Any = text.strip()
    if kind is bool:
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    elif kind in (int, float):
        try:
            value = float(value) if kind is float or not value.lstrip("+-").isdigit() else int(value)
        except (ValueError, OverflowError):
            raise SpecError(f"{name} must be {facts.allowed(kind)}, got {text[:40]!r}.") from None
    return check_value(name, value, kind, facts)


def format_value(value: Any) -> str:
    """The text that `parse_value` reads back."""
    if isinstance(value, tuple):
        return ",".join(format_value(each) for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


class Spec:
    """Checks every declared field on construction; to and from plain JSON values."""

    def __post_init__(self) -> None:
        for name, facts in options(self).items():
            checked = check_value(name, getattr(self, name), kind_of(type(self), name), facts)
            object.__setattr__(self, name, checked)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, nested specs included, ready for `json.dumps`."""
        return cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(cast(Any, self)))))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The spec of `to_dict`; unknown or missing names and bad values raise `SpecError`."""
        if not isinstance(values, Mapping):
            raise SpecError(f"{cls.__name__} must be an object with named fields, got {type(values).__name__}.")
        known = {each.name for each in dataclasses.fields(cast(Any, cls))}
        unknown = sorted(set(values) - known)
        if unknown:
            raise SpecError(f"{cls.__name__} has no field {unknown[0]!r}; it has {', '.join(sorted(known))}.")
        return cls(**{name: cls._revive(name, value) for name, value in values.items()})

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class Linked(Spec):
    """A flat spec that a link carries: only values that are not defaults, a sentence for each that cannot be taken."""

    def to_query(self) -> dict[str, str]:
        """The values that differ from their defaults, as text for a URL."""
        default = type(self)()
        return {
            name: format_value(getattr(self, name))
            for name in options(self)
            if getattr(self, name) != getattr(default, name)
        }

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> tuple[Self, list[str]]:
        """What a URL asks for; a value that cannot be taken, alone or beside the others, becomes a sentence."""
        found, problems = cls(), list[str]()
        for name, facts in options(cls).items():
            if name not in query:
                continue
            try:
                value = parse_value(name, query[name], kind_of(cls, name), facts)
                found = dataclasses.replace(cast(Any, found), **{name: value})
            except SpecError as error:
                problems.append(f"{error} The default is used instead.")
        return found, problems


@dataclass(frozen=True, kw_only=True)
class Method(Spec):
    """How the factors A and B of delta_weight = (alpha / rank) B A arise, for query and value."""

    name: MethodName = option("replora", "Method", "Which adapter: the head alone, LoRA, or RepLoRA.")
    rank: int = option(4, "Rank", "Rows of A and columns of B.", low=1, high=1024, marks=(1, 2, 4, 8, 16, 32))
    alpha: float = option(
        4.0, "Alpha", "Scaling is alpha / rank.", low=0.01, high=4096, marks=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    )
    mlp_width: int = option(
        64,
        "MLP width",
        "Hidden units of RepLoRA's two-layer MLPs.",
        unit="units",
        low=1,
        high=4096,
        marks=(8, 16, 32, 64, 128, 256),
    )
    activation: Activation = option(
        "relu", "Activation", "Between the two layers of the MLP; identity is the paper's linear reparameterization."
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
        if not self.runs:
            raise SpecError("runs must hold at least one run, got none.")
        if len(self.runs) > MAX_RUNS:
            raise SpecError(f"runs must hold at most {MAX_RUNS} runs, got {len(self.runs)}.")

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        if name != "runs":
            return super()._revive(name, value)
        if not isinstance(value, (list, tuple)):
            raise SpecError(f"runs must be a list of runs, got {type(value).__name__}.")
        return tuple(each if isinstance(each, Run) else Run.from_dict(each) for each in value)


@dataclass(frozen=True, kw_only=True)
class RaceOptions(Training, Linked):
    """A race as a form has it: one value per option, methods and seeds as lists. The form of URL and command line."""

    methods: tuple[MethodName, ...] = option(("lora", "replora"), "Methods", "Which methods race.")
    rank: int = same_as(Method, "rank")
    mlp_width: int = same_as(Method, "mlp_width")
    data_fraction: float = same_as(Run, "data_fraction")
    learning_rate: float = same_as(Run, "learning_rate")
    seeds: tuple[int, ...] = option((0,), "Seeds", "One run of each method a seed.", low=0, high=2**31 - 1)
    alpha: float = same_as(Method, "alpha")
    activation: Activation = same_as(Method, "activation")
    sharing: Sharing = same_as(Method, "sharing")
    layer_sharing: LayerSharing = same_as(Method, "layer_sharing")
    residual: bool = same_as(Method, "residual")

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
    """The method `name` with what a form says of methods; sharing is RepLoRA's, LoRA keeps query and value apart."""
    left_out = {"name"} if name == "replora" else {"name", "sharing"}
    shared = {each: getattr(form, each) for each in options(Method) if each not in left_out and hasattr(form, each)}
    return Method(name=name, **shared)
