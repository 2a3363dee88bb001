"""A matrix as a heat map to take hold of: an entry, a row or all of it moves while the hand does.

The browser draws each move at once and tells it at a pace; it tells the next one only when the picture of the last is
on the screen, which whoever draws it marks by an element with `data-grip`, the serial number of the `Grip`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import streamlit as st

from replora.figures.heatmaps import FULL
from replora.lens.answers import Tensor2d
from replora.lens.arrays import Array, pack
from replora.lens.questions import Edit
from replora.ui.shell.style import STYLE

PACE = 80  # milliseconds between two reports
REACH = 4.0  # times the largest entry, either way
LEAST_FACTOR, MOST_FACTOR = -2.0, 3.0  # of a row or of all
NEWEST = 2**53  # whole numbers above it a browser cannot tell apart

Undo = Literal["", "this", "all"]


@dataclass(frozen=True)
class Held:
    """The matrix as it was trained; `token` tells it apart from the same one of another run, layer or step."""

    tensor: Tensor2d
    token: str

    @property
    def largest(self) -> float:
        """The largest absolute entry; 1 where all are zero."""
        return float(np.abs(self.tensor.values).max(initial=0.0)) or 1.0

    @property
    def reach(self) -> float:
        """How far from zero an entry may be set."""
        return REACH * self.largest


@dataclass(frozen=True)
class Grip:
    """What the hand does: an edit that still moves or has settled, or what it undoes (then the edit says where)."""

    serial: int
    edit: Edit
    moving: bool = False
    undo: Undo = ""

    @property
    def place(self) -> tuple[str, int | None, int | None]:
        return self.edit.tensor, self.edit.row, self.edit.column


@cache
def _parts() -> dict[str, Any]:
    return {kind: (STYLE / f"matrix_editor.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}


def matrix_editor(held: Held, edits: Sequence[Edit], *, key: str, seen: int = 0, total: int = 0) -> Grip | None:
    """The editor with its settled `edits`; runs the fragment it stands in again as it is used.

    seen: the serial number of the last grip that settled; total: edits of all matrices, which it can undo. What is
    drawn from a grip must be drawn before, so take it by `grip_now`.
    """
    component: Any = st.components.v2.component("replora.matrix_editor", **_parts())
    tensor = held.tensor
    found = component(
        key=key,
        data={
            "token": held.token,
            "title": tensor.title,
            "rows": tensor.rows,
            "columns": tensor.columns,
            "values": pack(tensor.values)["float32"],
            "scale": scale_of(tensor.values),
            "reach": held.reach,
            "factors": [LEAST_FACTOR, MOST_FACTOR],
            "edits": [[each.row, each.column, each.factor if each.value is None else each.value] for each in edits],
            "seen": seen,
            "total": total,
            "pace": PACE,
        },
        default={"grip": None},
        on_grip_change=_note,
    )
    return grip_of(found.grip, held)


def grip_now(held: Held, *, key: str) -> Grip | None:
    """What the editor last told of this matrix, before it is drawn again."""
    state = st.session_state.get(key)
    return grip_of(state.get("grip") if isinstance(state, dict) else None, held)


def scale_of(values: Array) -> float:
    """What few absolute entries exceed."""
    return float(np.quantile(np.abs(values), FULL)) or float(np.abs(values).max(initial=0.0)) or 1.0


def grip_of(state: object, held: Held) -> Grip | None:
    """The grip in what a browser says, its amount within bounds; None where it says anything else."""
    if not isinstance(state, dict) or state.get("token") != held.token:
        return None
    scope, act, amount = state.get("scope"), state.get("act"), state.get("amount")
    serial = _whole(state.get("serial"), NEWEST)
    row = _whole(state.get("row"), held.tensor.rows) if scope in ("entry", "row") else None
    column = _whole(state.get("column"), held.tensor.columns) if scope == "entry" else None
    missing = (scope == "entry" and column is None) or (scope in ("entry", "row") and row is None)
    if serial is None or missing or scope not in ("entry", "row", "all"):
        return None
    name = held.tensor.name
    if act in ("undo", "undo_all"):
        undo: Undo = "this" if act == "undo" else "all"
        return Grip(serial, Edit(tensor=name, row=row, column=column), undo=undo)
    if act not in ("moving", "settled") or isinstance(amount, bool) or not isinstance(amount, (int, float)):
        return None
    if not abs(amount) < math.inf:  # nor NaN
        return None
    if scope == "entry":
        edit = Edit(tensor=name, row=row, column=column, value=float(min(max(amount, -held.reach), held.reach)))
    else:
        edit = Edit(tensor=name, row=row, factor=float(min(max(amount, LEAST_FACTOR), MOST_FACTOR)))
    return Grip(serial, edit, moving=act == "moving")


def _whole(value: object, end: int) -> int | None:
    """A whole number from 0 to below `end`, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value < end and value == int(value) else None


def _note() -> None:
    """Streamlit reports a state only where it has a callback; the run that follows reads it."""
