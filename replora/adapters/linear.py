"""Linear layers with a low-rank update, and how the update is merged into a plain linear layer.

A batch holds all runs one after another: x is (runs * batch, ..., in_features); run i's examples meet run i's A and B.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from replora.adapters.factors import FactorPair, Factors


def low_rank_add(base: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """base + x A^T B^T, run by run.

    base (runs * batch, ..., out), x (runs * batch, ..., in), a (runs, r, in), b (runs, out, r).
    """
    runs, _, in_features = a.shape
    if x.shape[0] % runs:
        raise ValueError(f"The batch holds {x.shape[0]} examples, which {runs} runs cannot share evenly.")
    a, b = a.to(x.dtype), b.to(x.dtype)
    hidden = torch.bmm(x.reshape(runs, -1, in_features), a.mT)  # (runs, batch * tokens, rank)
    return torch.baddbmm(base.reshape(runs, -1, b.shape[1]), hidden, b.mT).view_as(base)


class LowRankLinear(nn.Module):
    """A frozen linear layer plus the low-rank update of its place; base of the separate and the fused form.

    The factors belong to the adapted model, not to the layer: `source` holds them without registering them here.
    """

    def __init__(self, base_layer: nn.Linear, factors: Factors, layer: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.source = (factors,)
        self.layer = layer
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features

    def update(self, pair: FactorPair) -> tuple[Tensor, Tensor]:
        """A (runs, r, in_features) and unscaled B (runs, out_features, r) of this layer."""
        raise TypeError(f"{type(self).__name__} does not say which rows it updates.")

    def forward(self, x: Tensor) -> Tensor:
        factors = self.source[0]
        a, b = self.update(factors.at(self.layer))
        return low_rank_add(self.base_layer(x), x, a, factors.scaling[:, None, None] * b)

    def delta_weight(self, run: int) -> Tensor:
        """scaling * B A of one run, (out_features, in_features)."""
        factors = self.source[0]
        a, b = self.update(factors.at(self.layer))
        return factors.scaling[run] * b[run] @ a[run]

    @torch.no_grad()
    def merged(self, run: int) -> nn.Linear:
        """A plain linear layer whose weight is the base's plus delta_weight of `run`."""
        base = self.base_layer
        plain = nn.Linear(self.in_features, self.out_features, base.bias is not None, device="meta")
        weight = base.weight + self.delta_weight(run).to(base.weight.dtype)
        plain.weight = nn.Parameter(weight)
        if base.bias is not None:
            plain.bias = nn.Parameter(base.bias.clone())
        return plain.train(base.training)


class QueryLinear(LowRankLinear):
    """The query projection where query, key and value stand apart."""

    def update(self, pair: FactorPair) -> tuple[Tensor, Tensor]:
        return pair.a_query, pair.b_query


class ValueLinear(LowRankLinear):
    """The value projection where query, key and value stand apart."""

    def update(self, pair: FactorPair) -> tuple[Tensor, Tensor]:
        return pair.a_value, pair.b_value


class FusedLinear(LowRankLinear):
    """One projection whose output is [query, key, value]: A = [A_q; A_v], B = [[B_q, 0], [0, 0], [0, B_v]]."""

    def update(self, pair: FactorPair) -> tuple[Tensor, Tensor]:
        a = torch.cat([pair.a_query, pair.a_value], dim=1)  # (runs, 2 rank, in_features)
        key_features = self.out_features - pair.b_query.shape[1] - pair.b_value.shape[1]
        rank = pair.b_query.shape[2]
        query = nn.functional.pad(pair.b_query, (0, rank))
        key = pair.b_query.new_zeros(len(a), key_features, 2 * rank)
        value = nn.functional.pad(pair.b_value, (rank, 0))
        return a, torch.cat([query, key, value], dim=1)  # b: (runs, out_features, 2 rank)
