"""How the series of plots look: methods as everywhere; of the ways of sharing plain as LoRA, shared as RepLoRA, tanh as
shared with another dash and point.
"""

from __future__ import annotations

from replora.config import METHOD_TITLES, STUDENT_TITLES
from replora.figures.style import INK, NEUTRAL, STUDENT_STYLES, STYLES, MethodStyle

NEUTRAL_SERIES, OTHER_SERIES, INK_SERIES = "neutral", "other", "ink"

SHARING_STYLES: dict[str, MethodStyle] = {
    "plain": STYLES["lora"],
    "shared": STYLES["replora"],
    "tanh": MethodStyle(STYLES["replora"].color, (2, 3), "triangle-up"),
    NEUTRAL_SERIES: MethodStyle(NEUTRAL, (4, 3), "circle"),
    OTHER_SERIES: MethodStyle(NEUTRAL, (1, 0), "circle"),
    INK_SERIES: MethodStyle(INK, (1, 0), "cross"),
}

SHARING_NAMES: dict[str, str] = {"plain": "Plain", "shared": "Shared", "tanh": "tanh"}

SERIES_STYLES: dict[str, MethodStyle] = {**STYLES, **STUDENT_STYLES, **SHARING_STYLES}
SERIES_NAMES: dict[str, str] = {**METHOD_TITLES, **STUDENT_TITLES, **SHARING_NAMES}
