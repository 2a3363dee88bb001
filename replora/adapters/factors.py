"""The factors A and B of delta_weight = scaling * B A, and the two ways they arise.

`DirectFactors` (LoRA) holds them. `ReparameterizedFactors` (RepLoRA, arXiv 2502.03044) generates them from latent
matrices with small MLPs. Everything else (layer, training, merging, export) sees a `Factors` and does not know which.

Every parameter carries a leading runs axis: N fine-tunes are one stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replora.config import Method
from replora.options import SpecError
from replora.seeding import stream_seed

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class AttentionShape:
    """Widths of the adapted layers: how many, what query and value read, and what each writes."""

    layers: int
    in_features: int
    query_features: int
    value_features: int


class FactorPair(NamedTuple):
    """A and B of query and value, `...` being (runs,) for one layer and (runs, layers) for all.

    a_query, a_value: (..., rank, in_features); b_query: (..., query_features, rank);
    b_value: (..., value_features, rank).
    """

    a_query: Tensor
    a_value: Tensor
    b_query: Tensor
    b_value: Tensor

    def layer(self, index: int) -> FactorPair:
        """The factors of one layer out of those of all."""
        return FactorPair(*(each[:, index] for each in self))


class Factors(nn.Module):
    """Base of both ways: `generate` is theirs, the rest is shared."""

    runs: int
    rank: int
    shape: AttentionShape
    scaling: Tensor  # (runs,)

    def __init__(self, runs: int, rank: int, shape: AttentionShape, scaling: Sequence[float]) -> None:
        super().__init__()
        self.runs, self.rank, self.shape = runs, rank, shape
        self.register_buffer("scaling", torch.tensor(scaling), persistent=False)
        self._held: FactorPair | None = None

    def generate(self, layer: int | None = None) -> FactorPair:
        """Factors of one layer, or of all layers (None), with their graph to the trained parameters."""
        raise TypeError(f"{type(self).__name__} does not say how its factors arise.")

    def at(self, layer: int) -> FactorPair:
        """Factors of one layer; inside `held()` those generated at its start."""
        return self.generate(layer) if self._held is None else self._held.layer(layer)

    @contextmanager
    def held(self) -> Iterator[FactorPair]:
        """Generate the factors of all layers once and serve `at` from them until the end of the block."""
        with torch.autocast(self.scaling.device.type, enabled=False):
            self._held = self.generate()
        try:
            yield self._held
        finally:
            self._held = None

    def delta_weights(self, run: int) -> list[tuple[Tensor, Tensor]]:
        """delta_weight of query and of value, (out_features, in_features) each, layer by layer, of one run."""
        with torch.no_grad():
            pair = self.generate()
            scaling = self.scaling[run]
            query = scaling * pair.b_query[run] @ pair.a_query[run]  # (layers, query_features, in_features)
            value = scaling * pair.b_value[run] @ pair.a_value[run]  # (layers, value_features, in_features)
        return list(zip(query, value, strict=True))

    def delta_norms(self, pair: FactorPair) -> Tensor:
        """Frobenius norm of all delta_weight together, (runs,), by `||B A||^2 = <B^T B, A A^T>`."""
        squares = torch.zeros_like(self.scaling)
        for a, b in ((pair.a_query, pair.b_query), (pair.a_value, pair.b_value)):
            squares = squares + ((b.mT @ b) * (a @ a.mT)).sum(dim=(1, 2, 3))
        return self.scaling * squares.clamp_min(0).sqrt()

    def trained_parameters(self) -> int:
        """Parameters one run trains."""
        return sum(each.numel() for each in self.parameters()) // self.runs

    def deployed_parameters(self) -> int:
        """Parameters one run keeps after training: A and B of query and value."""
        shape = self.shape
        return shape.layers * self.rank * (2 * shape.in_features + shape.query_features + shape.value_features)


def kaiming_uniform(fan_in: int, *shape: int, generator: torch.Generator) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): the start of `nn.Linear` and of LoRA's A."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _draw(
    module: nn.Module, seeds: Sequence[int], purpose: str, start: Callable[[torch.Generator], dict[str, Tensor]]
) -> None:
    """Register `start`'s tensors on `module`, one draw a run stacked over runs: no run depends on its neighbours."""
    drawn = [start(torch.Generator().manual_seed(stream_seed(seed, "adapter", purpose))) for seed in seeds]
    for name in drawn[0]:
        module.register_parameter(name, nn.Parameter(torch.stack([each[name] for each in drawn])))


class DirectFactors(Factors):
    """LoRA: A starts Kaiming-uniform, B at zero, both are trained (Hu et al. 2021).

    sharing 'tied': one A and one B for query and value, the ablation that has RepLoRA's tying without its MLPs; any
    other: an A and a B each. Raises `SpecError` for 'tied' where query and value differ in width.
    """

    a_query: Tensor  # (runs, layers, rank, in_features)
    a_value: Tensor  # (runs, layers, rank, in_features); not there when tied
    b_query: Tensor  # (runs, layers, query_features, rank)
    b_value: Tensor  # (runs, layers, value_features, rank); not there when tied

    def __init__(self, method: Method, shape: AttentionShape, seeds: Sequence[int]) -> None:
        super().__init__(len(seeds), method.rank, shape, [method.alpha / method.rank] * len(seeds))
        self.method = method
        self.tied = _is_tied(method, shape)
        layers, rank = shape.layers, method.rank

        def start(generator: torch.Generator) -> dict[str, Tensor]:
            a_query, a_value = (
                kaiming_uniform(shape.in_features, layers, rank, shape.in_features, generator=generator)
                for _ in range(2)
            )
            b_query = torch.zeros(layers, shape.query_features, rank)
            b_value = torch.zeros(layers, shape.value_features, rank)
            if self.tied:
                return {"a_query": a_query, "b_query": b_query}
            return {"a_query": a_query, "a_value": a_value, "b_query": b_query, "b_value": b_value}

        _draw(self, seeds, "direct", start)

    def generate(self, layer: int | None = None) -> FactorPair:
        if self.tied:
            pair = FactorPair(self.a_query, self.a_query, self.b_query, self.b_query)
        else:
            pair = FactorPair(self.a_query, self.a_value, self.b_query, self.b_value)
        return pair if layer is None else pair.layer(layer)


class GivenFactors(Factors):
    """Factors that were made elsewhere and are only looked at: `pair` (runs, layers, ...) may be exchanged."""

    def __init__(self, pair: FactorPair, scaling: Sequence[float]) -> None:
        runs, layers, rank, in_features = pair.a_query.shape
        shape = AttentionShape(layers, in_features, pair.b_query.shape[2], pair.b_value.shape[2])
        super().__init__(runs, rank, shape, scaling)
        self.pair = pair

    def generate(self, layer: int | None = None) -> FactorPair:
        return self.pair if layer is None else self.pair.layer(layer)


def _is_tied(method: Method, shape: AttentionShape) -> bool:
    """Whether query and value have the same factors; `SpecError` where their widths forbid it."""
    if method.sharing != "tied":
        return False
    if shape.query_features != shape.value_features:
        raise SpecError(
            f"sharing 'tied' needs query and value of one width, got {shape.query_features} and "
            f"{shape.value_features} (grouped-query attention); choose trunk or separate."
        )
    return True


class LatentMlp(nn.Module):
    """A latent matrix and the two-layer MLP that maps its rows to the rows of one factor, or of several (`outputs`).

    The latent matrix starts as LoRA's A does, weights as `nn.Linear`'s, biases at zero (else they would outweigh the
    small latents and make all rows alike). `zero_last` starts the last layer at zero, so that the rows are exactly zero
    before the first step. With `one_mlp` all layers share the MLP and keep a latent matrix each.
    """

    latent: Tensor  # (runs, layers, rank, features)
    first_weight: Tensor  # (runs, mlps, features, mlp_width), mlps = layers or 1
    first_bias: Tensor  # (runs, mlps, 1, mlp_width)

    def __init__(
        self,
        method: Method,
        layers: int,
        features: int,
        outputs: Sequence[int],
        seeds: Sequence[int],
        *,
        purpose: str,
        zero_last: bool,
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[method.activation]
        self.outputs = tuple(outputs)
        self.residual = method.residual and not zero_last
        self.one_mlp = method.layer_sharing == "one"
        width, mlps = method.mlp_width, 1 if self.one_mlp else layers

        def start(generator: torch.Generator) -> dict[str, Tensor]:
            drawn = {
                "latent": kaiming_uniform(features, layers, method.rank, features, generator=generator),
                "first_weight": kaiming_uniform(features, mlps, features, width, generator=generator),
                "first_bias": torch.zeros(mlps, 1, width),
            }
            for index, output in enumerate(self.outputs):
                weight = kaiming_uniform(width, mlps, width, output, generator=generator)
                drawn[f"last_weight_{index}"] = torch.zeros_like(weight) if zero_last else weight
                drawn[f"last_bias_{index}"] = torch.zeros(mlps, 1, output)
            return drawn

        _draw(self, seeds, purpose, start)

    def forward(self, layer: int | None) -> list[Tensor]:
        """Rows for each output, (runs, rank, output) for one layer or (runs, layers, rank, output) for all."""
        own = slice(None) if layer is None else layer
        mlp = slice(None) if layer is None else (0 if self.one_mlp else layer)
        latent = self.latent[:, own]
        hidden = self.activation(latent @ self.first_weight[:, mlp] + self.first_bias[:, mlp])
        rows = [
            hidden @ self.get_parameter(f"last_weight_{index}")[:, mlp]
            + self.get_parameter(f"last_bias_{index}")[:, mlp]
            for index in range(len(self.outputs))
        ]
        return [latent + each for each in rows] if self.residual else rows


class ReparameterizedFactors(Factors):
    """RepLoRA: [A_q, A_v] = g_A(A_0) and [B_q, B_v]^T = g_B(B_0), with g_A, g_B two-layer MLPs on rows.

    sharing 'trunk': one MLP with an output head each for query and value; 'tied': the same factors for both, the
    setting of the paper's theorems; 'separate': a latent matrix and an MLP each, the ablation.
    Raises `SpecError` for 'tied' where query and value differ in width.
    """

    def __init__(self, method: Method, shape: AttentionShape, seeds: Sequence[int]) -> None:
        super().__init__(len(seeds), method.rank, shape, [method.alpha / method.rank] * len(seeds))
        self.method = method
        _is_tied(method, shape)

        def split(query: int, value: int) -> list[tuple[int, ...]]:
            heads: dict[str, list[tuple[int, ...]]]
            heads = {"trunk": [(query, value)], "tied": [(query,)], "separate": [(query,), (value,)]}
            return heads[method.sharing]

        def mlps(query: int, value: int, side: str, zero_last: bool) -> nn.ModuleList:
            return nn.ModuleList(
                LatentMlp(
                    method,
                    shape.layers,
                    outputs[0],
                    outputs,
                    seeds,
                    purpose=f"{side}{index}",
                    zero_last=zero_last,
                )
                for index, outputs in enumerate(split(query, value))
            )

        self.g_a = mlps(shape.in_features, shape.in_features, side="a", zero_last=False)
        self.g_b = mlps(shape.query_features, shape.value_features, side="b", zero_last=True)

    def generate(self, layer: int | None = None) -> FactorPair:
        a = [rows for mlp in self.g_a for rows in mlp(layer)]
        b = [rows.mT for mlp in self.g_b for rows in mlp(layer)]
        return FactorPair(a[0], a[-1], b[0], b[-1])


class MixedFactors(Factors):
    """Runs of different methods as one stack: ranks are padded with zeros, which receive no gradient.

    `groups` pairs the factors of a method with the places of its runs; places that no group names are head-only runs.
    """

    def __init__(self, runs: int, groups: Sequence[tuple[Factors, Sequence[int]]]) -> None:
        first = groups[0][0]
        super().__init__(runs, max(each.rank for each, _ in groups), first.shape, [1.0] * runs)
        self.groups = nn.ModuleList(each for each, _ in groups)
        self.places = [list(places) for _, places in groups]
        order = [place for places in self.places for place in places]
        self.idle = runs - len(order)
        for each, places in zip(self._factors(), self.places, strict=True):
            self.scaling[places] = each.scaling
        order += [place for place in range(runs) if place not in order]
        self.register_buffer("order", torch.tensor(order).argsort(), persistent=False)
        self.in_order = order == list(range(runs))

    def _factors(self) -> list[Factors]:
        return [each for each in self.groups if isinstance(each, Factors)]

    def generate(self, layer: int | None = None) -> FactorPair:
        pairs = [each.generate(layer) for each in self._factors()]
        ranks = [each.rank for each in self._factors()]
        return FactorPair(
            *(
                self._merge([self._padded(pair[side], rank, side) for pair, rank in zip(pairs, ranks, strict=True)])
                for side in range(4)
            )
        )

    def _padded(self, factor: Tensor, rank: int, side: int) -> Tensor:
        missing = self.rank - rank
        if not missing:
            return factor
        return F.pad(factor, (0, 0, 0, missing) if side < 2 else (0, missing))  # rows of A, columns of B

    def _merge(self, parts: list[Tensor]) -> Tensor:
        if self.idle:
            parts = [*parts, parts[0].new_zeros(self.idle, *parts[0].shape[1:])]
        joined = torch.cat(parts) if len(parts) > 1 else parts[0]
        return joined if self.in_order else joined[self.order]  # type: ignore[index]


def make_factors(method: Method, shape: AttentionShape, seeds: Sequence[int]) -> Factors:
    """The factors of a method, one run a seed; `SpecError` where method and shape do not fit."""
    width = min(shape.in_features, shape.query_features, shape.value_features)
    if method.rank > width:
        raise SpecError(f"rank must be a whole number from 1 to {width}, the layer's width, got {method.rank}.")
    kinds: dict[str, type[DirectFactors | ReparameterizedFactors]] = {
        "lora": DirectFactors,
        "replora": ReparameterizedFactors,
    }
    if method.name not in kinds:
        raise SpecError(f"method must be one of {', '.join(kinds)} to have factors, got {method.name}.")
    return kinds[method.name](method, shape, seeds)
