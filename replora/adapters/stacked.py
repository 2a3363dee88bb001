"""Factors that hold no parameters of their own: runs of different methods as one stack, and factors made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replora.adapters.factors import AttentionShape, Factors, LowRankPair, LowRankPairs, at_layer
from replora.methods import PROJECTIONS, Projection


class GivenFactors(Factors):
    """Factors that were made elsewhere and are only looked at: `pairs` (runs, layers, ...) may be exchanged."""

    def __init__(self, shape: AttentionShape, pairs: LowRankPairs, scaling: Sequence[float]) -> None:
        runs, _, rank, _ = next(iter(pairs.values())).a.shape
        super().__init__(runs, rank, shape, tuple(pairs), scaling)
        self.pairs = pairs

    def generate(self, layer: int | None = None) -> LowRankPairs:
        return self.pairs if layer is None else at_layer(self.pairs, layer)


class MixedFactors(Factors):
    """Runs of different methods as one stack: what a run lacks (rank, a projection) is zeros, without a gradient.

    `groups` pairs the factors of a method with the places of its runs; places that no group names are head-only runs.
    """

    def __init__(self, runs: int, groups: Sequence[tuple[Factors, Sequence[int]]]) -> None:
        first = groups[0][0]
        adapted = [each for each in PROJECTIONS if any(each in group.projections for group, _ in groups)]
        super().__init__(runs, max(each.rank for each, _ in groups), first.shape, adapted, [1.0] * runs)
        self.groups = nn.ModuleList(each for each, _ in groups)
        self.places = [list(places) for _, places in groups]
        order = [place for places in self.places for place in places]
        self.idle = runs - len(order)
        for each, places in zip(self.parts(), self.places, strict=True):
            self.scaling[places] = each.scaling
        order += [place for place in range(runs) if place not in order]
        self.register_buffer("order", torch.tensor(order).argsort(), persistent=False)
        self.in_order = order == list(range(runs))

    def parts(self) -> list[Factors]:
        """The factors of each method."""
        return [each for each in self.groups if isinstance(each, Factors)]

    def generate(self, layer: int | None = None) -> LowRankPairs:
        groups = [(each, each.generate(layer)) for each in self.parts()]
        found = {}
        for projection in self.projections:
            whole = [self._whole(factors, pairs, projection, layer) for factors, pairs in groups]
            found[projection] = LowRankPair(
                self._merge([pair.a for pair in whole]), self._merge([pair.b for pair in whole])
            )
        return found

    def _whole(self, factors: Factors, pairs: LowRankPairs, projection: Projection, layer: int | None) -> LowRankPair:
        """A group's pair at the rank of the stack; zeros where it does not adapt the projection."""
        if projection not in pairs:
            lead = (factors.runs,) if layer is not None else (factors.runs, self.shape.layers)
            rank, inputs, outputs = self.rank, self.shape.read(projection), self.shape.width(projection)
            return LowRankPair(
                self.scaling.new_zeros(*lead, rank, inputs), self.scaling.new_zeros(*lead, outputs, rank)
            )
        a, b = pairs[projection]
        missing = self.rank - factors.rank
        return LowRankPair(F.pad(a, (0, 0, 0, missing)), F.pad(b, (0, missing))) if missing else LowRankPair(a, b)

    def _merge(self, parts: list[Tensor]) -> Tensor:
        if self.idle:
            parts = [*parts, parts[0].new_zeros(self.idle, *parts[0].shape[1:])]
        joined = torch.cat(parts) if len(parts) > 1 else parts[0]
        return joined if self.in_order else joined[self.order]  # type: ignore[index]
