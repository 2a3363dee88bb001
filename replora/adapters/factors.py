"""The factors A and B of delta_weight = scaling * B A, by projection, and what all ways in which they arise share.

`DirectFactors` (LoRA) hold them, `ReparameterizedFactors` (RepLoRA) generate them. Everything else (layer, training,
merging, export) sees `Factors` and does not know which. A leading runs axis makes N fine-tunes one stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from replora.config import AlphaOver, Method
from replora.methods import PROJECTIONS, Projection
from replora.options import SpecError
from replora.seeding import stream_seed


@dataclass(frozen=True)
class AttentionShape:
    """Widths of the adapted layers: how many, what the projections read, and what each writes.

    out_features: in the order of `PROJECTIONS`. reads: likewise what each reads, where that is not in_features for all.
    """

    layers: int
    in_features: int
    out_features: tuple[int, ...]
    reads: tuple[int, ...] = ()

    def width(self, projection: Projection) -> int:
        """What a projection writes."""
        return self.out_features[PROJECTIONS.index(projection)]

    def read(self, projection: Projection) -> int:
        """What a projection reads."""
        return self.reads[PROJECTIONS.index(projection)] if self.reads else self.in_features


class LowRankPair(NamedTuple):
    """A (..., rank, in_features) and B (..., out_features, rank) of one projection.

    `...` is (runs,) for one layer and (runs, layers) for all.
    """

    a: Tensor
    b: Tensor


LowRankPairs = Mapping[Projection, LowRankPair]  # of the adapted projections, in the order of PROJECTIONS


def at_layer(pairs: LowRankPairs, layer: int) -> LowRankPairs:
    """The pairs of one layer out of those of all."""
    return {projection: LowRankPair(a[:, layer], b[:, layer]) for projection, (a, b) in pairs.items()}


class Factors(nn.Module):
    """Base of all ways: `generate` is theirs, the rest is shared."""

    runs: int
    rank: int
    shape: AttentionShape
    projections: tuple[Projection, ...]  # those that are adapted
    scaling: Tensor  # (runs,)
    alpha_over: AlphaOver = "rank"  # how a PEFT folder is to say the scaling

    def __init__(
        self,
        runs: int,
        rank: int,
        shape: AttentionShape,
        projections: Sequence[Projection],
        scaling: Sequence[float],
    ) -> None:
        super().__init__()
        self.runs, self.rank, self.shape, self.projections = runs, rank, shape, tuple(projections)
        self.register_buffer("scaling", torch.tensor(scaling), persistent=False)
        self._held: LowRankPairs | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        scaling = self.scaling
        super()._apply(fn, recurse)
        self.scaling = scaling.to(self.scaling.device)  # half precision would make 13.97 of an alpha of 14
        return self

    def generate(self, layer: int | None = None) -> LowRankPairs:
        """Factors of one layer, or of all layers (None), with their graph to the trained parameters."""
        raise TypeError(f"{type(self).__name__} does not say how its factors arise.")

    def at(self, layer: int) -> LowRankPairs:
        """Factors of one layer; inside `held()` those generated at its start."""
        return self.generate(layer) if self._held is None else at_layer(self._held, layer)

    @contextmanager
    def held(self) -> Iterator[LowRankPairs]:
        """Generate the factors of all layers once and serve `at` from them until the end of the block."""
        with torch.autocast(self.scaling.device.type, enabled=False):
            self._held = self.generate()
        try:
            yield self._held
        finally:
            self._held = None

    def delta_weights(self, run: int) -> list[tuple[Tensor, ...]]:
        """delta_weight of every projection, (out_features, in_features) each, layer by layer, of one run.

        In the order of `PROJECTIONS`, query and value; exactly 0 for one that is not adapted.
        """
        shape = self.shape
        with torch.no_grad():
            pairs, scaling = self.generate(), self.scaling[run]
            products = [
                scaling * pairs[projection].b[run] @ pairs[projection].a[run]  # (layers, out_features, in_features)
                if projection in pairs
                else scaling.new_zeros(shape.layers, shape.width(projection), shape.read(projection))
                for projection in PROJECTIONS
            ]
        return list(zip(*products, strict=True))

    def delta_norms(self, pairs: LowRankPairs) -> Tensor:
        """Frobenius norm of all delta_weight together, (runs,), by `||B A||^2 = <B^T B, A A^T>`."""
        squares = torch.zeros_like(self.scaling)
        for a, b in pairs.values():
            squares = squares + ((b.mT @ b) * (a @ a.mT)).sum(dim=(1, 2, 3))
        return self.scaling * squares.clamp_min(0).sqrt()

    def rate_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """What is trained, in parts, with the multiple of the adapters' rate that each part trains with."""
        return [(list(self.parameters()), 1.0)]

    def trained_parameters(self) -> int:
        """Parameters one run trains."""
        return sum(each.numel() for each in self.parameters()) // self.runs

    def deployed_parameters(self) -> int:
        """Parameters one run keeps after training: A and B of the adapted projections."""
        shape = self.shape
        return shape.layers * self.rank * sum(shape.read(each) + shape.width(each) for each in self.projections)


def kaiming_uniform(fan_in: int, *shape: int, generator: torch.Generator) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): the start of `nn.Linear` and of LoRA's A."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def draw_parameters(
    module: nn.Module, seeds: Sequence[int], purpose: str, start: Callable[[torch.Generator], dict[str, Tensor]]
) -> None:
    """Register `start`'s tensors on `module`, one draw a run stacked over runs: no run depends on its neighbours."""
    drawn = [start(torch.Generator().manual_seed(stream_seed(seed, "adapter", purpose))) for seed in seeds]
    for name in drawn[0]:
        module.register_parameter(name, nn.Parameter(torch.stack([each[name] for each in drawn])))


def tensor_of(module: nn.Module, name: str) -> Tensor:
    """A parameter by name, or the plain tensor that `torch.func.functional_call` has put in its place."""
    found: Tensor = getattr(module, name)
    return found


def is_tied(method: Method, shape: AttentionShape) -> bool:
    """Whether all projections have the same factors; `SpecError` where their widths forbid it."""
    if method.sharing != "tied":
        return False
    for widths, why in (
        ([shape.width(each) for each in method.projections], "grouped-query attention"),
        ([shape.read(each) for each in method.projections], "what they read: cross-attention"),
    ):
        if len(set(widths)) > 1:
            raise SpecError(
                f"sharing 'tied' needs {' and '.join(method.projections)} of one width, got "
                f"{' and '.join(map(str, widths))} ({why}); choose trunk or separate."
            )
    return True
