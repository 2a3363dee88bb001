"""Linear layers with a low-rank update, and how the update is merged into a plain linear layer.

A batch holds all runs one after another: x is (runs * batch, ..., in_features); run i's examples meet run i's A and B.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from replora.adapters.factors import Factors, LowRankPair, LowRankPairs
from replora.adapters.layers import adds_plainly, is_transposed, weight_of, widths_of
from replora.adapters.rows import OwnedRows
from replora.methods import Projection
from replora.options import SpecError

ALIGNED = 8  # numbers that a GPU's tensor cores want side by side
HOOKS = (  # where a module keeps what its owner registered on its calls
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def low_rank_add(base: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """base + x A^T B^T, run by run.

    base (runs * batch, ..., out), x (runs * batch, ..., in), a (runs, r, in), b (runs, out, r).
    """
    runs, _, in_features = a.shape
    if x.shape[0] % runs:
        raise SpecError(f"The batch holds {x.shape[0]} examples, which {runs} runs cannot share evenly.")
    a, b = a.to(x), b.to(x)
    if x.is_cuda and a.shape[1] % ALIGNED:  # its kernels for other ranks are slower than for more zeros
        missing = ALIGNED - a.shape[1] % ALIGNED
        a, b = nn.functional.pad(a, (0, 0, 0, missing)), nn.functional.pad(b, (0, missing))
    hidden = torch.bmm(x.reshape(runs, -1, in_features), a.mT)  # (runs, batch * tokens, rank)
    return torch.baddbmm(base.reshape(runs, -1, b.shape[1]), hidden, b.mT).view_as(base)


def in_product_type(x: Tensor) -> Tensor:
    """x in the type in which autocast multiplies it: cast once, where several products read it."""
    kind = x.device.type
    if x.is_meta or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))


class LowRankUpdate(nn.Module):
    """The low-rank update of the projections in one weight (out_features, in_features).

    rows: the rows of the weight that each adapted projection owns: all of them where projections stand apart, some of
    them where they are fused. Rows of no projection are not updated.
    The factors belong to the adapted model, not to the layer: `source` holds them without registering them here.
    """

    def __init__(
        self, widths: tuple[int, int], factors: Factors, layer: int, rows: Mapping[Projection, OwnedRows]
    ) -> None:
        super().__init__()
        self.source = (factors,)
        self.layer = layer
        self.rows = dict(rows)
        self.in_features, self.out_features = widths

    @property
    def factors(self) -> Factors:
        """The factors that the update comes of, at place `layer`."""
        return self.source[0]

    def update(self, pairs: LowRankPairs) -> tuple[Tensor, Tensor]:
        """A (runs, r, in_features) and unscaled B (runs, out_features, r) of this layer.

        Of [query, key, value] that is A = [A_q; A_v] and B = [[B_q, 0], [0, 0], [0, B_v]], r the sum of the ranks.
        """
        own = [pairs[projection] for projection in self.rows]
        if [rows.blocks for rows in self.rows.values()] == [(range(self.out_features),)]:
            return own[0].a, own[0].b
        ranks = [pair.b.shape[2] for pair in own]
        parts: list[tuple[range, Tensor]] = []  # the blocks of all projections with their rows of B
        for place, (rows, pair) in enumerate(zip(self.rows.values(), own, strict=True)):
            b = nn.functional.pad(pair.b, (sum(ranks[:place]), sum(ranks[place + 1 :])))
            parts += zip(rows.blocks, b.split([len(block) for block in rows.blocks], dim=1), strict=True)
        blocks, done = [], 0
        for block, b in sorted(parts, key=lambda part: part[0].start):
            blocks += [b.new_zeros(len(b), block.start - done, sum(ranks)), b]
            done = block.stop
        blocks.append(blocks[0].new_zeros(len(blocks[0]), self.out_features - done, sum(ranks)))
        return torch.cat([pair.a for pair in own], dim=1), torch.cat(blocks, dim=1)

    def delta_weight(self, run: int) -> Tensor:
        """scaling * B A of one run, (out_features, in_features), in single precision or better."""
        factors = self.source[0]
        a, b = (exact(each[run]) for each in self.update(factors.at(self.layer)))
        return factors.scaling[run] * b @ a

    def added_to(self, weight: Tensor, run: int, *, transposed: bool = False) -> Tensor:
        """`weight` plus delta_weight of one run, of the type and on the device of `weight`, rounded to it once."""
        delta = self.delta_weight(run).to(weight.device)
        return (exact(weight) + (delta.mT if transposed else delta)).to(weight.dtype)

    def only_run(self) -> int:
        """The one run of the factors; `SpecError` where there are several, which one weight cannot hold."""
        if self.factors.runs > 1:
            raise SpecError(
                "runs must be 1 for this model, since its attention reads the weight itself and not what the layer "
                f"makes of the batch, got {self.factors.runs}."
            )
        return 0


class LowRankLinear(LowRankUpdate):
    """A frozen linear layer plus the low-rank update of the projections in it.

    What its model sees is a linear layer with the updated weight: `weight`, which a few models read past the layer, is
    that of the base plus delta_weight (one run only), and the hooks of the base layer hang here until it is merged.
    Where the base layer has a forward of its own that is no plain product, the update goes into the weight that this
    forward reads (`through_weight`), so that adapted and merged layer compute the same.
    """

    def __init__(
        self, base_layer: nn.Module, factors: Factors, layer: int, rows: Mapping[Projection, OwnedRows]
    ) -> None:
        super().__init__(widths_of(base_layer), factors, layer, rows)
        self.base_layer = base_layer
        self.transposed = is_transposed(base_layer)
        self.through_weight = not adds_plainly(base_layer)
        self.training = base_layer.training
        _move_hooks(base_layer, self)

    def forward(self, x: Tensor) -> Tensor:
        if self.through_weight:
            output: Tensor = torch.func.functional_call(self.base_layer, {"weight": self.weight}, (x,))
            return output
        factors, x = self.source[0], in_product_type(x)
        if factors.runs > 1:
            self._check_batch(x)
        a, b = self.update(factors.at(self.layer))
        base = self.base_layer(x)
        return low_rank_add(base, x.to(base.device), a, factors.scaling[:, None, None] * b)

    def _check_batch(self, x: Tensor) -> None:
        """`SpecError` where the first axis of x, which the runs share, cannot be that of the batch."""
        runs = self.source[0].runs
        if getattr(self, "_is_replica", False):
            raise SpecError(f"runs must be 1 under DataParallel, which cuts a batch across its runs, got {runs}.")
        if x.dim() == 3 and x.shape[0] > 1 and x.shape[1] > 1 and 0 < x.stride(0) < x.stride(1):
            raise SpecError(f"runs must be 1 for this model, which has tokens before examples, got {runs}.")

    @property
    def weight(self) -> Tensor:
        """The base layer's weight plus delta_weight, as the base layer keeps it; `SpecError` for several runs."""
        return self.added_to(weight_of(self.base_layer), self.only_run(), transposed=self.transposed)

    @property
    def bias(self) -> Tensor | None:
        """The base layer's bias."""
        return self.base_layer.bias  # type: ignore[return-value]

    @torch.no_grad()
    def merged(self, run: int) -> nn.Module:
        """A layer of the base layer's class whose weight is the base's plus delta_weight of `run`."""
        plain = copy.deepcopy(self.base_layer)
        merged = self.added_to(weight_of(self.base_layer), run, transposed=self.transposed)
        plain.weight = merged if parametrize.is_parametrized(plain, "weight") else nn.Parameter(merged)
        _move_hooks(self, plain)
        return plain.train(self.training)

    def restored(self) -> nn.Module:
        """The base layer with its hooks again."""
        _move_hooks(self, self.base_layer)
        return self.base_layer


def _move_hooks(source: nn.Module, target: nn.Module) -> None:
    """Hang what is registered on the calls of `source` on `target` instead."""
    for name in HOOKS:
        target.__dict__[name] = source.__dict__[name]
        source.__dict__[name] = OrderedDict()
    target._is_full_backward_hook, source._is_full_backward_hook = source._is_full_backward_hook, None


class LowRankWeight(LowRankUpdate):
    """The low-rank update of a weight that is a bare parameter of its module, by `torch.nn.utils.parametrize`.

    So `nn.MultiheadAttention` is adapted, which hands its `in_proj_weight` to a function. One run only.
    """

    def forward(self, weight: Tensor) -> Tensor:
        return self.added_to(weight, self.only_run())


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
