"""Linear layers with a low-rank update, and how the update is merged into a plain linear layer.

A batch holds all runs one after another: x is (runs * batch, ..., in_features); run i's examples meet run i's A and B.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from replora.adapters.factors import Factors, LowRankPair, LowRankPairs
from replora.methods import Projection

ALIGNED = 8  # numbers that a GPU's tensor cores want side by side


def low_rank_add(base: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """base + x A^T B^T, run by run.

    base (runs * batch, ..., out), x (runs * batch, ..., in), a (runs, r, in), b (runs, out, r).
    """
    runs, _, in_features = a.shape
    if x.shape[0] % runs:
        raise ValueError(f"The batch holds {x.shape[0]} examples, which {runs} runs cannot share evenly.")
    a, b = a.to(x.dtype), b.to(x.dtype)
    if x.is_cuda and a.shape[1] % ALIGNED:  # its kernels for other ranks are slower than for more zeros
        missing = ALIGNED - a.shape[1] % ALIGNED
        a, b = nn.functional.pad(a, (0, 0, 0, missing)), nn.functional.pad(b, (0, missing))
    hidden = torch.bmm(x.reshape(runs, -1, in_features), a.mT)  # (runs, batch * tokens, rank)
    return torch.baddbmm(base.reshape(runs, -1, b.shape[1]), hidden, b.mT).view_as(base)


def in_product_type(x: Tensor) -> Tensor:
    """x in the type in which autocast multiplies it: cast once, where several products read it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class LowRankLinear(nn.Module):
    """A frozen linear layer plus the low-rank update of the projections in it.

    rows: the rows of the layer that each adapted projection owns: all of them where projections stand apart, some of
    them where they are fused; in the order in which they stand. Rows of no projection are not updated.
    The factors belong to the adapted model, not to the layer: `source` holds them without registering them here.
    """

    def __init__(self, base_layer: nn.Linear, factors: Factors, layer: int, rows: Mapping[Projection, range]) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.source = (factors,)
        self.layer = layer
        self.rows = dict(rows)
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features

    def update(self, pairs: LowRankPairs) -> tuple[Tensor, Tensor]:
        """A (runs, r, in_features) and unscaled B (runs, out_features, r) of this layer.

        Of [query, key, value] that is A = [A_q; A_v], B = [[B_q, 0], [0, 0], [0, B_v]], r being the sum of the ranks.
        """
        own = [pairs[projection] for projection in self.rows]
        if [*self.rows.values()] == [range(self.out_features)]:
            return own[0].a, own[0].b
        ranks = [pair.b.shape[2] for pair in own]
        blocks, done = [], 0
        for place, (rows, pair) in enumerate(zip(self.rows.values(), own, strict=True)):
            blocks.append(pair.b.new_zeros(len(pair.b), rows.start - done, sum(ranks)))
            blocks.append(nn.functional.pad(pair.b, (sum(ranks[:place]), sum(ranks[place + 1 :]))))
            done = rows.stop
        blocks.append(blocks[0].new_zeros(len(blocks[0]), self.out_features - done, sum(ranks)))
        return torch.cat([pair.a for pair in own], dim=1), torch.cat(blocks, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        factors, x = self.source[0], in_product_type(x)
        a, b = self.update(factors.at(self.layer))
        return low_rank_add(self.base_layer(x), x, a, factors.scaling[:, None, None] * b)

    def delta_weight(self, run: int) -> Tensor:
        """scaling * B A of one run, (out_features, in_features), in single precision or better."""
        factors = self.source[0]
        a, b = (exact(each[run]) for each in self.update(factors.at(self.layer)))
        return factors.scaling[run] * b @ a

    @torch.no_grad()
    def merged(self, run: int) -> nn.Linear:
        """A plain linear layer whose weight is the base's plus delta_weight of `run`, rounded once."""
        base = self.base_layer
        plain = nn.Linear(self.in_features, self.out_features, base.bias is not None, device="meta")
        weight = exact(base.weight) + self.delta_weight(run)
        plain.weight = nn.Parameter(weight.to(base.weight.dtype))
        if base.bias is not None:
            plain.bias = nn.Parameter(base.bias.clone())
        return plain.train(base.training)


def exact(values: Tensor) -> Tensor:
    """Half precision as single precision, in which sums and products lose nothing that half precision could hold."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def base_of(layer: nn.Module) -> nn.Linear:
    """The frozen layer of an adapted one; a plain one is its own."""
    base = layer.base_layer if isinstance(layer, LowRankLinear) else layer
    if not isinstance(base, nn.Linear):
        raise TypeError(f"A linear layer was expected, got {type(base).__name__}.")
    return base


def scaled_pair(layer: nn.Module, projection: Projection) -> LowRankPair | None:
    """A and scaling * B of a projection in a layer, (runs, ...); None where it is not adapted."""
    if not isinstance(layer, LowRankLinear) or projection not in layer.rows:
        return None
    factors = layer.source[0]
    a, b = factors.at(layer.layer)[projection]
    return LowRankPair(a, factors.scaling[:, None, None] * b)
