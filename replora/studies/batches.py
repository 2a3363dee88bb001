"""What every kind of study says of its runs and of a batch of them, for `replora.studies.study` to tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from replora.events import Step
from replora.studies.events import CellFinished, MethodSizes, StudentFinished, TeachersDrawn


@dataclass(frozen=True)
class BatchFacts:
    """What the first batch knows of the machine and of the sizes of the methods."""

    methods: tuple[MethodSizes, ...]
    test_examples: int
    backbone: str
    device: str
    precision: str
    threads: int
    versions: Mapping[str, str]


Told = BatchFacts | Step | TeachersDrawn | CellFinished | StudentFinished


class Batches(Protocol):
    """A kind of study: its runs, and how some of them are trained as one batch."""

    @property
    def runs(self) -> Sequence[Any]: ...

    def batches(self, at_once: int) -> list[Sequence[Any]]:
        """All runs, in batches of at most so many that take equally many steps."""
        ...

    def steps_of(self, runs: Sequence[Any]) -> int:
        """How many steps a batch takes."""
        ...

    def train(self, runs: Sequence[Any]) -> Iterator[Told]:
        """What the batch knows first, then a Step each step, then what each run has come to."""
        ...
