"""What is known of each method: its title, how it looks, which knobs it has, how its factors arise. No torch here.

A further method is an entry here and, where its factors arise in a way of their own, one in `replora.adapters.kinds`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

MethodName = Literal["head", "lora", "replora"]
StudentName = Literal["lora", "lora_tied", "trunk", "tied", "separate"]
Projection = Literal["query", "value"]
Sharing = Literal["trunk", "tied", "separate"]

PROJECTIONS: tuple[Projection, ...] = get_args(Projection)

HEAD: MethodName = "head"
OURS: MethodName = "replora"  # who is compared,
REFERENCE: MethodName = "lora"  # and with whom
DIRECT: MethodName = "lora"  # whose factors are held as they are, as those of a PEFT folder and of a teacher


@dataclass(frozen=True)
class MethodStyle:
    """`dash` alternates drawn and blank pixels; `shape` is a Vega point shape."""

    color: str
    dash: tuple[int, int]
    shape: str


@dataclass(frozen=True)
class MethodFacts:
    """One method. factors: how A and B arise; knobs: the options of `Method` that change it.

    ablations: knobs as well, but only for code to set; what a form says of them is meant for other methods.
    """

    title: str
    style: MethodStyle
    factors: Literal["none", "direct", "reparameterized"]
    knobs: tuple[str, ...] = ()
    ablations: tuple[str, ...] = ()


LOW_RANK = ("rank", "alpha", "alpha_over", "projections")
METHODS: dict[str, MethodFacts] = {
    "head": MethodFacts("Head only", MethodStyle("green", (2, 3), "diamond"), "none"),
    "lora": MethodFacts(
        "LoRA",
        MethodStyle("blue", (8, 4), "circle"),
        "direct",
        (*LOW_RANK, "b_rate_ratio"),
        ablations=("sharing",),
    ),
    "replora": MethodFacts(
        "RepLoRA",
        MethodStyle("orange", (1, 0), "square"),
        "reparameterized",
        (*LOW_RANK, "mlp_width", "mlp_depth", "activation", "sharing", "layer_sharing", "residual", "latent"),
    ),
}
METHOD_TITLES: dict[str, str] = {name: facts.title for name, facts in METHODS.items()}


@dataclass(frozen=True)
class StudentFacts:
    """One student of the study of teachers: a method with its sharing fixed."""

    title: str
    style: MethodStyle
    method: MethodName
    sharing: Sharing


STUDENTS: dict[str, StudentFacts] = {
    "lora": StudentFacts("LoRA", METHODS["lora"].style, "lora", "trunk"),
    "lora_tied": StudentFacts("LoRA, tied", MethodStyle("blue", (2, 3), "triangle-up"), "lora", "tied"),
    "trunk": StudentFacts("RepLoRA", METHODS["replora"].style, "replora", "trunk"),
    "tied": StudentFacts("RepLoRA, tied", MethodStyle("orange", (8, 4), "triangle-up"), "replora", "tied"),
    "separate": StudentFacts("RepLoRA, separate", MethodStyle("orange", (2, 3), "diamond"), "replora", "separate"),
}
STUDENT_REFERENCE: StudentName = "lora"  # whom the others are compared with
# what the MLPs do where both are tied: the first's error over the second's
ABLATION: tuple[StudentName, StudentName] = ("tied", "lora_tied")
# of these the first that is there is the headline: its error over the reference's
HEADLINES: tuple[StudentName, ...] = ("tied", "trunk", "separate", "lora_tied")
STUDENT_TITLES: dict[str, str] = {name: facts.title for name, facts in STUDENTS.items()}


_FACTS = {student: METHODS[facts.method] for student, facts in STUDENTS.items()} | METHODS


def facts_of(name: str) -> MethodFacts:
    """What is known of a method, or of a student's method, by name; `KeyError` for a name of neither."""
    return _FACTS[name]


def has_adapter(name: str) -> bool:
    """Whether a method, or a student, has factors."""
    return facts_of(name).factors != "none"


def is_reparameterized(name: str) -> bool:
    """Whether a method's, or a student's, factors come out of latents and MLPs."""
    return facts_of(name).factors == "reparameterized"


def idle_knobs(names: Collection[str]) -> set[str]:
    """The knobs that change none of these methods."""
    every = {knob for facts in METHODS.values() for knob in facts.knobs}
    return every.difference(*(facts_of(name).knobs for name in names))
