"""How the factors of one method arise: every knob that a method has."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from replora.methods import (
    METHODS,
    PROJECTIONS,
    REFERENCE,
    MethodName,
    Projection,
    Sharing,
    has_adapter,
    is_reparameterized,
)
from replora.options import Spec, default_of, option, options

Activation = Literal["identity", "relu", "gelu", "tanh"]
LayerSharing = Literal["own", "one"]
Latent = Literal["rows", "diagonal"]
AlphaOver = Literal["rank", "root"]


@dataclass(frozen=True, kw_only=True)
class Method(Spec):
    """How the factors A and B of delta_weight = scaling B A arise, for each adapted projection.

    Options that change nothing take their defaults, so that two equal methods are one spec.
    """

    name: MethodName = option("replora", "Method", "Which adapter: the head alone, LoRA, or RepLoRA.")
    rank: int = option(4, "Rank", "Rows of A and columns of B.", low=1, high=1024, marks=(1, 2, 4, 8, 16, 32))
    alpha: float = option(
        4.0,
        "Alpha",
        "Scaling is alpha / rank, or alpha / sqrt(rank).",
        low=0.01,
        high=4096,
        marks=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
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
    latent: Latent = option(
        "rows",
        "Latent",
        "rows: a matrix as large as the factor, mapped row by row. diagonal: as many numbers as the rank, of which the "
        "MLP makes the whole factor, as a public reproduction has it (there of depth 2 and width max(4 rank, 64)).",
        later=True,
    )
    alpha_over: AlphaOver = option(
        "rank", "Alpha over", "rank: scaling is alpha / rank. root: alpha / sqrt(rank), as in rsLoRA.", later=True
    )
    b_rate_ratio: float = option(
        1.0,
        "Rate of B over A",
        "LoRA's B trains with so many times the learning rate, which is A's; above 1 it is LoRA+.",
        low=0.01,
        high=1024,
        marks=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.idle:
            object.__setattr__(self, name, default_of(Method, name))

    @property
    def idle(self) -> set[str]:
        """The options that make no difference beside the others."""
        facts = METHODS[self.name]
        idle = set(options(Method)) - {"name", *facts.knobs, *facts.ablations}
        if len(self.projections) == 1 or (not self.is_reparameterized and self.sharing != "tied"):
            idle.add("sharing")
        if self.mlp_depth == 0:
            idle |= {"mlp_width", "activation"}
        if self.rank == 1:
            idle.add("alpha_over")
        if self.latent == "diagonal":
            idle.add("residual")
        return idle

    @property
    def has_adapter(self) -> bool:
        """Whether there are factors at all; the head alone has none."""
        return has_adapter(self.name)

    @property
    def scaling(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / alpha_divisor(self.rank, self.alpha_over)

    def of_rank(self, rank: int) -> Method:
        """The same with another rank and, by another alpha, the same scaling."""
        own, other = (alpha_divisor(each, self.alpha_over) for each in (self.rank, rank))
        return dataclasses.replace(self, rank=rank, alpha=self.alpha * other / own)

    @property
    def is_reparameterized(self) -> bool:
        """Whether the factors come out of latents and MLPs."""
        return is_reparameterized(self.name)


def alpha_divisor(rank: int, over: AlphaOver) -> float:
    """What alpha is divided by."""
    return math.sqrt(rank) if over == "root" else rank


def method_of(form: object, name: MethodName) -> Method:
    """The method `name` with what a form says of its knobs, and of LoRA's rank where that is another."""
    method = Method(name=name, **{knob: getattr(form, knob) for knob in METHODS[name].knobs if hasattr(form, knob)})
    rank = getattr(form, "lora_rank", 0)
    return method.of_rank(rank) if rank and name == REFERENCE else method
