"""A pad to draw a digit on with mouse, pen or finger: white chalk on black."""

from __future__ import annotations

import base64
import binascii
from functools import cache
from typing import Any

import streamlit as st

from replora.ui.shell.style import STYLE

PACE = 300  # milliseconds between two reports within a stroke
SIDE = 112  # pixels of the PNG that is reported
PREFIX = "data:image/png;base64,"
PNG_START = b"\x89PNG\r\n\x1a\n"
MAX_CHARACTERS = 64_000  # of a report; 112 x 112 pixels of chalk take 4,000


@cache
def _parts() -> dict[str, Any]:
    return {kind: (STYLE / f"draw_pad.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}


def draw_pad(*, key: str, generation: int = 0) -> bytes | None:
    """The drawing as a PNG of 112 x 112 pixels, None while there is none; another `generation` clears the pad.

    Runs the fragment it stands in again as one draws.
    """
    component: Any = st.components.v2.component("replora.draw_pad", **_parts())
    before = st.session_state.get(key)
    kept = before.get("drawing") if isinstance(before, dict) else None
    png = png_of(kept, generation)
    found = component(
        key=key,
        data={
            "generation": generation,
            "pace": PACE,
            "side": SIDE,
            "drawing": png and PREFIX + base64.b64encode(png).decode(),  # for a pad that the browser builds anew
        },
        default={"drawing": None},
        on_drawing_change=_note,
    )
    return png_of(found.drawing, generation)


def png_of(state: object, generation: int) -> bytes | None:
    """The PNG in what a browser says was drawn in this generation; None where it says anything else."""
    if not isinstance(state, dict) or state.get("generation") != generation:
        return None
    text = state.get("png")
    if not isinstance(text, str) or not text.startswith(PREFIX) or len(text) > MAX_CHARACTERS:
        return None
    try:
        png = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):  # not base64, or not ASCII
        return None
    return png if png.startswith(PNG_START) else None


def _note() -> None:
    """Streamlit reports a state only where it has a callback; the run that follows reads it."""
