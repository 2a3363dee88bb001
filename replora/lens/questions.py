"""What can be asked about a race. Plain frozen values, so that the web process needs no torch to ask.

`folder` is where the snapshots of the race are, `step` one of them or LATEST; `runs` are places in the race's spec,
FROZEN stands for the model as it was before any run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from replora.config import Activation, Latent, LayerSharing, Sharing
from replora.options import UserError

LATEST = -1
FROZEN = -1
ACCURACY_EXAMPLES = 200
MOST_RUNS = 4  # beside each other
MOST_EDITS = 100
MOST_PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 4, 64, 48  # that are continued at once, and how far
LEAST_WEIGHT, MOST_WEIGHT = -1.0, 2.0  # of an update
MOST_PARTS = 4  # updates that are mixed in one model
MOST_TEMPERATURE = 2.0
MOST_POINTS, REACH = 512, 10.0  # of a plane, and how far they may lie out
MOST_LANDSCAPE_EXAMPLES = 300


class LensError(UserError):
    """A question that has no answer; the message is a sentence."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example: of the test split by `index`, or one's own `sentence`, or `picture` (base64 of an encoded one)."""

    index: int = 0
    sentence: str = ""
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Base of all questions: of which race, after which of its steps."""

    kind: ClassVar[str]

    folder: str
    step: int = LATEST

    def to_dict(self) -> dict[str, Any]:
        """Plain values, `kind` among them."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return {"kind": self.kind, **plain}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The question of `to_dict`."""
        rest = {name: cls._revive(name, value) for name, value in values.items() if name != "kind"}
        return cls(**rest)

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        if name == "example":
            return Example(**value)
        return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, kw_only=True)
class HeadQuestion(Question):
    """How one head mixes its experts for one example, for some runs beside each other; and the map of all heads."""

    kind = "head"

    runs: tuple[int, ...]
    example: Example = field(default_factory=Example)
    layer: int = LATEST  # place among the attention layers, from 0; LATEST: the last
    head: int = 0


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A change of one entry, row or all entries (`row`, `column` None) of a tensor of RepLoRA's parameters.

    tensor: a name out of `InsideAnswer.tensors`. `factor` multiplies what is there; `value` replaces it, if given.
    """

    tensor: str
    row: int | None = None
    column: int | None = None
    value: float | None = None
    factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Graft:
    """Another structure around the trained parameters; None leaves an option as the run had it."""

    activation: Activation | None = None
    sharing: Sharing | None = None
    layer_sharing: LayerSharing | None = None
    residual: bool | None = None
    mlp_depth: int | None = None
    latent: Latent | None = None


@dataclass(frozen=True, kw_only=True)
class InsideQuestion(Question):
    """What a RepLoRA run's factors arise from at the latest step, and what changes when its parameters do.

    layer: place among the adapted layers, from 0. beside: a LoRA run to show the same of, or FROZEN for none.
    tensor: which of the parameters to send along ('' for none: they are unchanged while one of them is dragged).
    """

    kind = "inside"

    run: int
    layer: int = 0
    head: int = 0
    beside: int = FROZEN
    tensor: str = ""
    edits: tuple[Edit, ...] = ()
    graft: Graft = field(default_factory=Graft)
    example: Example = field(default_factory=Example)

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        if name == "edits":
            return tuple(Edit(**each) for each in value)
        return Graft(**value) if name == "graft" else super()._revive(name, value)


@dataclass(frozen=True, kw_only=True)
class MergeQuestion(Question):
    """Adapted against merged: largest logit difference on test examples, parameters, latency of one example."""

    kind = "merge"

    run: int
    examples: int = 32
    rounds: int = 9


@dataclass(frozen=True, kw_only=True)
class AdapterQuestion(Question):
    """The standard PEFT folder of a run, zipped; its head stands beside as head.safetensors."""

    kind = "adapter"

    run: int


@dataclass(frozen=True, kw_only=True)
class LandscapeQuestion(Question):
    """The loss at points (a, b) of the plane through the frozen model and two runs, and where their snapshots are.

    The answer takes a moment only: it tells what is known by then, and the same question goes on from there.
    examples: how many of the test examples that races are tested on.
    """

    kind = "landscape"

    runs: tuple[int, ...]
    points: tuple[tuple[float, float], ...] = ()
    examples: int = MOST_LANDSCAPE_EXAMPLES

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        if name == "points":
            return tuple((float(a), float(b)) for a, b in value)
        return super()._revive(name, value)


@dataclass(frozen=True, kw_only=True)
class Part:
    """The update of a run after a step of its race, `weight` times. folder: of its race, '' for the question's own."""

    run: int
    weight: float = 1.0
    folder: str = ""
    step: int = LATEST


@dataclass(frozen=True, kw_only=True)
class ContinuationQuestion(Question):
    """How models beside each other go on with some prompts, token by token.

    models: the parts that are added to the untouched model, none for itself. tokens: how many are written at most.
    temperature: 0 for the most probable token (greedy), else what logits are divided by before a token is drawn; the
    draws of `seed` are the same for all models, which then differ by their probabilities alone. parts: whether routing
    and expert part are asked for.
    The answer takes a moment only: it tells what is written by then, and the same question goes on from there.
    """

    kind = "continuation"

    models: tuple[tuple[Part, ...], ...]
    prompts: tuple[str, ...]
    tokens: int = 24
    temperature: float = 0.0
    seed: int = 0
    parts: bool = False

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        if name == "models":
            return tuple(tuple(Part(**part) for part in parts) for parts in value)
        return super()._revive(name, value)


def folders_of(question: Mapping[str, Any]) -> set[str]:
    """The folders that a question in plain values is about."""
    parts = (part for parts in question.get("models", ()) for part in parts)
    return {str(question.get("folder", "")), *(str(part["folder"]) for part in parts if part.get("folder"))}


QuestionKind = Literal["head", "inside", "merge", "adapter", "landscape", "continuation"]
QUESTIONS: dict[str, type[Question]] = {
    question.kind: question
    for question in (
        HeadQuestion,
        InsideQuestion,
        MergeQuestion,
        AdapterQuestion,
        LandscapeQuestion,
        ContinuationQuestion,
    )
}
