"""What the form of a live page holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from replora.options import Linked

OptionsOf = TypeVar("OptionsOf", bound=Linked)


@dataclass(frozen=True)
class Form(Generic[OptionsOf]):
    """`opened` by the link at first; `chosen` by the controls, None while they hold nonsense, which `problem` names."""

    opened: OptionsOf
    chosen: OptionsOf | None = None
    problem: str = ""

    @property
    def valid(self) -> bool:
        """Whether what the controls hold can be run."""
        return self.chosen is not None

    @property
    def options(self) -> OptionsOf:
        """What the controls hold; while that is nonsense, what the link said stands in."""
        return self.chosen if self.chosen is not None else self.opened
