"""Which runs of a race train together as one stack: those of one method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from replora.config import Method


class StackedRun(Protocol):
    """What a stack asks of a run: how its factors arise, under which seed, and its peak learning rate."""

    @property
    def method(self) -> Method: ...

    @property
    def seed(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...


def method_groups(runs: Sequence[StackedRun]) -> dict[Method, list[int]]:
    """The places of the runs of each method that has an adapter, in the order in which methods first appear."""
    places: dict[Method, list[int]] = {}
    for place, run in enumerate(runs):
        if run.method.has_adapter:
            places.setdefault(run.method, []).append(place)
    return places
