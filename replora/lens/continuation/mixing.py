"""Models as sums of updates: the sum of weight * scaling * B A over the parts is one product of longer factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from replora.adapters.factors import LowRankPair, LowRankPairs
from replora.lens.questions import Part
from replora.lens.subject import RunsSnapshot, Subject
from replora.methods import PROJECTIONS, Projection


@dataclass(frozen=True)
class Stack:
    """Models as runs of one batch: factors (models, layers, ...) of the layers from `first` on; scaling is in B."""

    pairs: LowRankPairs
    first: int

    @property
    def scaling(self) -> Tensor:
        """(models,), all one."""
        return torch.ones(len(next(iter(self.pairs.values())).a))


def stack_of(models: Sequence[Sequence[tuple[Subject, Part]]], plain: Subject) -> Stack:
    """The models as a stack; those without parts, and what a part does not adapt, are zeros.

    plain: says where the layers begin where no model has a part. All subjects must have one backbone.
    """
    first = min((subject.first for parts in models for subject, _ in parts), default=plain.first)
    taken = [[(subject, part, subject.taken(part.step, [part.run])) for subject, part in parts] for parts in models]
    pairs: dict[Projection, LowRankPair] = {}
    for projection in PROJECTIONS:
        made = [_joined(parts, projection, first, plain) for parts in taken]
        rank = max(pair.a.shape[1] for pair in made)
        pairs[projection] = LowRankPair(
            torch.stack([F.pad(a, (0, 0, 0, rank - a.shape[1])) for a, _ in made]),
            torch.stack([F.pad(b, (0, rank - b.shape[2])) for _, b in made]),
        )
    return Stack(pairs, first)


def _joined(
    parts: Sequence[tuple[Subject, Part, RunsSnapshot]], projection: Projection, first: int, plain: Subject
) -> LowRankPair:
    """A (layers, rank, in_features), B (layers, out_features, rank) of one model; zeros of rank 1 where it has none."""
    shape = plain.shape_from(first)
    a = [torch.zeros(shape.layers, 1, shape.read(projection))]
    b = [torch.zeros(shape.layers, shape.width(projection), 1)]
    for subject, part, snapshot in parts:
        if projection not in snapshot.pairs:
            continue
        below = subject.first - first  # layers that this part leaves alone
        pair = snapshot.pairs[projection]
        a.append(F.pad(pair.a[0], (0, 0, 0, 0, below, 0)))
        b.append(F.pad(part.weight * snapshot.scaling[0] * pair.b[0], (0, 0, 0, 0, below, 0)))
    return LowRankPair(torch.cat(a[1:] or a, dim=1), torch.cat(b[1:] or b, dim=2))
