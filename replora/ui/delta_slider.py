"""A slider that tells its value while it moves. Streamlit's own waits until the hand has rested for 200 ms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import streamlit as st

from replora.ui.frame import STYLE

PACE = 50  # milliseconds between two reports


@dataclass(frozen=True)
class Slid:
    """Where the slider stands, and where it last came to rest."""

    moving: float
    settled: float


@cache
def _parts() -> dict[str, Any]:
    return {kind: (STYLE / f"delta_slider.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}


def delta_slider(value: float, low: float, high: float, step: float, *, key: str) -> Slid:
    """The slider, at first at `value`; runs the fragment it stands in again as it moves."""
    component: Any = st.components.v2.component("replora.delta_slider", **_parts())
    found = component(
        key=key,
        data={"value": value, "low": low, "high": high, "step": step, "pace": PACE},
        default={"moving": value, "settled": value},
        on_moving_change=_note,
        on_settled_change=_note,
    )
    moving, settled = (min(max(float(each), low), high) for each in (found.moving, found.settled))
    return Slid(moving, settled)


def _note() -> None:
    """Streamlit reports a state only where it has a callback; the run that follows reads it."""
