"""How a method looks, everywhere: a colour, a dash and a point, so that colour never stands alone.

Colours are names that a theme resolves (`.streamlit/config.toml` gives each a light and a dark shade); as CSS names
they are valid outside of it too.
"""

from __future__ import annotations

from dataclasses import dataclass

from replora.config import METHOD_TITLES, STUDENT_TITLES


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

STUDENT_STYLES: dict[str, MethodStyle] = {  # in the study of teachers; LoRA among them looks as everywhere
    "lora_tied": MethodStyle("blue", (2, 3), "triangle-up"),
    "trunk": STYLES["replora"],
    "tied": MethodStyle("orange", (8, 4), "triangle-up"),
    "separate": MethodStyle("orange", (2, 3), "diamond"),
}

NEUTRAL = "gray"
INK = "primary"


def title_of(method: str) -> str:
    """The name of a method, or of a student, as people write it."""
    return METHOD_TITLES.get(method) or STUDENT_TITLES[method]
