"""What has been changed of a layer's parameters: one knob a place, which is an entry, a row, or a whole tensor.

Knobs act in one order: factors of whole tensors, then of rows, then entries, which keep the value they were set to. So
each knob reads what it says, whenever it was turned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from replora.lens.answers import Tensor2d
from replora.lens.arrays import Array
from replora.lens.questions import MOST_EDITS, Edit
from replora.ui.components.matrix_editor import Grip

Place = tuple[str, int | None, int | None]  # tensor, row, column

FULL = f"At most {MOST_EDITS} places can be changed at a time; undo some first."


@dataclass
class Bench:
    """The knobs of one layer of one run. `moving` is the one in a hand, which may yet go back."""

    settled: dict[Place, Edit] = field(default_factory=dict)
    moving: Edit | None = None
    problem: str = ""

    def take(self, grip: Grip) -> None:
        """Do what the hand does; a place too many is refused with a `problem`."""
        self.problem = ""
        self.moving = None
        place = grip.place
        if grip.undo == "all":
            self.settled.clear()
        elif grip.undo == "this":
            self.settled.pop(place, None)
        elif place not in self.settled and len(self.settled) >= MOST_EDITS:
            self.problem = FULL
        elif grip.moving:
            self.moving = grip.edit
        elif grip.edit.value is None and grip.edit.factor == 1:
            self.settled.pop(place, None)
        else:
            self.settled[place] = grip.edit

    def edits(self, tensors: Sequence[Tensor2d]) -> tuple[Edit, ...]:
        """All that fit these tensors, in the order in which they act."""
        sizes = {each.name: each for each in tensors}
        now = {**self.settled, **({place_of(self.moving): self.moving} if self.moving else {})}
        return tuple(sorted((each for each in now.values() if _fits(each, sizes)), key=_reach))

    def of(self, tensor: str) -> tuple[Edit, ...]:
        """The settled ones of one tensor."""
        return tuple(each for each in self.settled.values() if each.tensor == tensor)


def place_of(edit: Edit) -> Place:
    return edit.tensor, edit.row, edit.column


def applied(values: Array, edits: Sequence[Edit]) -> Array:
    """A copy of a tensor's values with edits of it, in their order."""
    changed = values.copy()
    for edit in edits:
        chosen = tuple(slice(None) if place is None else place for place in (edit.row, edit.column))
        changed[chosen] = changed[chosen] * edit.factor if edit.value is None else edit.value
    return np.asarray(changed, dtype=np.float32)


def _reach(edit: Edit) -> int:
    """0 for a whole tensor, 1 for a row, 2 for an entry."""
    return (edit.row is not None) + (edit.column is not None)


def _fits(edit: Edit, sizes: Mapping[str, Tensor2d]) -> bool:
    """Whether another structure still has this place."""
    size = sizes.get(edit.tensor)
    return size is not None and (edit.row or 0) < size.rows and (edit.column or 0) < size.columns
