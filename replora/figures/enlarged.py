"""Pictures for a projector: their texts large enough for the last row, their marks as much larger."""

from __future__ import annotations

from typing import Any

from replora.figures.figure import SMALL, Spec

LEAST_TEXT, LEAST_HEIGHT = 20, 360  # pixels
TIMES = LEAST_TEXT / SMALL
SCALED = frozenset(
    {
        "fontSize",
        "labelFontSize",
        "titleFontSize",
        "labelPadding",
        "titlePadding",
        "minExtent",
        "dx",
        "dy",
        "strokeWidth",
    }
)
AREAS = frozenset({"size"})  # grow with the square


def enlarged(spec: Spec) -> Spec:
    """The same picture with no text below `LEAST_TEXT` pixels."""
    return {key: _grown(each, key) for key, each in spec.items()}


def _grown(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _grown(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_grown(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value * TIMES if name in SCALED else value * TIMES**2 if name in AREAS else value
