"""A slider that tells its value while it moves. Streamlit's own waits until the hand has rested for 200 ms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import streamlit as st

from replora.ui.shell.style import STYLE

PACE = 50  # milliseconds between two reports
BEAT = 66  # milliseconds between two moves of a sweep
STOP_BEAT = 350  # the same where the slider has few stops


@dataclass(frozen=True)
class Slid:
    """Where the slider stands, and where it last came to rest."""

    moving: float
    settled: float


@cache
def _parts() -> dict[str, Any]:
    return {kind: (STYLE / f"live_slider.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}


def live_slider(
    label: str,
    value: float,
    low: float,
    high: float,
    step: float,
    *,
    name: str,
    key: str,
    stops: Sequence[str] = (),
) -> Slid:
    """The slider, at first at `value`; runs the fragment it stands in again as it moves.

    label: what stands before the number shown; name: what a screen reader says. stops: texts for the values 0, 1, ...
    in place of the numbers, `step` then being 1.
    """
    component: Any = st.components.v2.component("replora.live_slider", **_parts())
    found = component(
        key=key,
        data={
            "label": label,
            "name": name,
            "sweep": f"Sweep {name} up and down",
            "value": value,
            "low": low,
            "high": high,
            "step": step,
            "stops": list(stops),
            "pace": PACE,
            "stride": step if stops else 2 * step,
            "beat": STOP_BEAT if stops else BEAT,
        },
        default={"moving": value, "settled": value},
        on_moving_change=_note,
        on_settled_change=_note,
    )
    moving, settled = (_within(each, value, low, high) for each in (found.moving, found.settled))
    return Slid(moving, settled)


def _within(told: object, value: float, low: float, high: float) -> float:
    """What a browser told, if it is a number, within the bounds; `value` for anything else."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not math.isfinite(told):
        return value
    return min(max(float(told), low), high)


def _note() -> None:
    """Streamlit reports a state only where it has a callback; the run that follows reads it."""
