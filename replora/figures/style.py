"""How every series of a picture looks: a colour, a dash and a point, so that colour never stands alone.

Methods and students look as `replora.methods` says, everywhere; of the ways of sharing plain looks as LoRA, shared as
RepLoRA, tanh as shared with another dash and point. Colours are names that a theme resolves (`.streamlit/config.toml`
gives each a light and a dark shade); as CSS names they are valid outside of it too.
"""

from __future__ import annotations

from replora.methods import METHOD_TITLES, METHODS, OURS, REFERENCE, STUDENT_TITLES, STUDENTS, MethodName
from replora.methods import MethodStyle as MethodStyle

NEUTRAL = "gray"
INK = "primary"
NEUTRAL_SERIES, OTHER_SERIES, INK_SERIES, PAIR_SERIES = "neutral", "other", "ink", "pair"

STYLES: dict[str, MethodStyle] = {name: facts.style for name, facts in METHODS.items()}
RACE_STYLES: dict[str, MethodStyle] = {
    **STYLES,
    PAIR_SERIES: MethodStyle(INK, STYLES[OURS].dash, STYLES[OURS].shape),
    NEUTRAL_SERIES: MethodStyle(NEUTRAL, (4, 3), "circle"),
}
# as which method each way of sharing looks
SHARING_METHODS: dict[str, MethodName] = {"plain": REFERENCE, "shared": OURS, "tanh": OURS}
SERIES_STYLES: dict[str, MethodStyle] = {
    **STYLES,
    # in the study of teachers; LoRA among them looks as everywhere
    **{name: facts.style for name, facts in STUDENTS.items() if name not in METHODS},
    **{sharing: STYLES[method] for sharing, method in SHARING_METHODS.items()},
    "tanh": MethodStyle(STYLES[OURS].color, (2, 3), "triangle-up"),
    NEUTRAL_SERIES: RACE_STYLES[NEUTRAL_SERIES],
    OTHER_SERIES: MethodStyle(NEUTRAL, (1, 0), "circle"),
    INK_SERIES: MethodStyle(INK, (1, 0), "cross"),
}

SHARING_NAMES: dict[str, str] = {"plain": "Plain", "shared": "Shared", "tanh": "tanh"}
SERIES_NAMES: dict[str, str] = {**METHOD_TITLES, **STUDENT_TITLES, **SHARING_NAMES}


def title_of(method: str) -> str:
    """The name of a method, or of a student, as people write it."""
    return METHOD_TITLES.get(method) or STUDENT_TITLES[method]
