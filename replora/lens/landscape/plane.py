"""The plane through three models: frozen, and two runs of a race with their updates and heads.

Model (a, b) has delta_weight a U + b V and the head h_0 + a (h_U - h_0) + b (h_V - h_0), where U and V are all
delta_weight of the two runs and h_0 the head of the first before its first step: (0, 0) is the frozen model, (1, 0) and
(0, 1) are the runs. Lengths and angles are those of delta_weight (Frobenius), heads left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from replora.adapters.factors import LowRankPair, LowRankPairs
from replora.lens.questions import LensError
from replora.lens.subject import RunsSnapshot, Subject

FLAT = 1e-9  # of the squared sine between U and V: below it they span no plane
NO_PLANE = "The two updates span no plane: one is zero, or both point the same way."

Point = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """The point of the plane nearest to a snapshot, and how far off it is as a share of the snapshot's own norm."""

    point: Point
    off: float


class Plane:
    """See above; `LensError` where the two runs span none."""

    def __init__(self, subject: Subject, runs: tuple[int, int], step: int) -> None:
        self.ends = subject.taken(step, runs)
        self.step = self.ends.step
        start = subject.taken(subject.snapshots.steps()[0], runs[:1])
        self.head = start.head_weight[0], start.head_bias[0]
        updates = [_update_of(self.ends, place) for place in range(2)]
        self.gram = np.array([[_inner(one, other) for other in updates] for one in updates])
        spread = self.gram[0, 0] * self.gram[1, 1]
        if spread <= 0 or 1 - self.gram[0, 1] ** 2 / spread < FLAT:
            raise LensError(NO_PLANE)

    @property
    def norms(self) -> tuple[float, float]:
        """Of U and V."""
        return float(np.sqrt(self.gram[0, 0])), float(np.sqrt(self.gram[1, 1]))

    @property
    def cosine(self) -> float:
        """Of the angle between U and V."""
        return float(self.gram[0, 1] / np.sqrt(self.gram[0, 0] * self.gram[1, 1]))

    def nearest(self, snapshot: RunsSnapshot, run: int) -> Place:
        """Where a run of a snapshot is, `run` its place there: least squares. An update of zero is at the origin."""
        update = _update_of(snapshot, run)
        size = _inner(update, update)
        if size <= 0:
            return Place((0.0, 0.0), 0.0)
        along = np.array([_inner(update, _update_of(self.ends, place)) for place in range(2)])
        point = np.linalg.solve(self.gram, along)
        left = max(size - float(along @ point), 0.0)
        return Place((float(point[0]), float(point[1])), float(np.sqrt(left / size)))

    def models(self, points: Sequence[Point]) -> RunsSnapshot:
        """The models at these points as runs beside each other; factors of twice the rank, B carrying a and b."""
        weights = torch.tensor(points, dtype=torch.float32)  # (points, 2)
        pairs = {}
        for projection, (a, b) in self.ends.pairs.items():
            ranks = torch.cat(
                [(self.ends.scaling[place] * b[place]) for place in range(2)], dim=-1
            )  # (layers, out, 2 r)
            shares = weights.repeat_interleave(b.shape[-1], dim=1)  # (points, 2 r)
            a_both = torch.cat([a[0], a[1]], dim=1)  # (layers, 2 r, in)
            pairs[projection] = LowRankPair(
                a_both.expand(len(points), *a_both.shape).contiguous(), ranks * shares[:, None, None, :]
            )
        head_weight, head_bias = (
            start + torch.einsum("pe,e...->p...", weights, ends - start)
            for start, ends in zip(self.head, (self.ends.head_weight, self.ends.head_bias), strict=True)
        )
        return RunsSnapshot(self.step, pairs, torch.ones(len(points)), head_weight, head_bias)


def _update_of(snapshot: RunsSnapshot, run: int) -> LowRankPairs:
    """A run's factors in float64, scaling inside B; (layers, ...)."""
    scaling = snapshot.scaling[run].double()
    return {name: LowRankPair(a[run].double(), scaling * b[run].double()) for name, (a, b) in snapshot.pairs.items()}


def _inner(one: LowRankPairs, other: LowRankPairs) -> float:
    """<B A, B' A'> over all layers and projections: tr(A' A^T B^T B'), without making a matrix."""
    total = torch.zeros((), dtype=torch.float64)
    for name, (a, b) in one.items():
        if name in other:
            theirs = other[name]
            total = total + ((b.mT @ theirs.b) * (a @ theirs.a.mT)).sum()
    return float(total)
