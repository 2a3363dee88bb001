"""How a method looks, everywhere: a colour, a dash and a point, so that colour never stands alone.

Colours are names that a theme resolves (`.streamlit/config.toml` gives each a light and a dark shade); as CSS names
they are valid outside of it too.
"""

from __future__ import annotations

from dataclasses import dataclass

from replora.config import METHOD_TITLES


@dataclass(frozen=True)
class MethodStyle:
    """`dash` alternates drawn and blank pixels; `shape` is a Vega point shape."""

    color: str
    dash: tuple[int, int]
    shape: str


STYLES: dict[str, MethodStyle] = {
    "head": MethodStyle("green", (2, 3), "diamond"),
    "lora": MethodStyle("blue", (8, 4), "circle"),
    "replora": MethodStyle("orange", (1, 0), "square"),
}

NEUTRAL = "gray"
INK = "primary"


def title_of(method: str) -> str:
    """The name of a method as people write it."""
    return METHOD_TITLES[method]
