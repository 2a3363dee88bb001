"""How a method looks, everywhere: a colour, a dash and a point, so that colour never stands alone.

Colours are names that a theme resolves (`.streamlit/config.toml` gives each a light and a dark shade); as CSS names
they are valid outside of it too.
"""

from __future__ import annotations

from replora.methods import METHOD_TITLES, METHODS, STUDENT_TITLES, STUDENTS
from replora.methods import MethodStyle as MethodStyle

STYLES: dict[str, MethodStyle] = {name: facts.style for name, facts in METHODS.items()}
# In the study of teachers; LoRA among them looks as everywhere.
STUDENT_STYLES: dict[str, MethodStyle] = {name: facts.style for name, facts in STUDENTS.items() if name not in METHODS}

NEUTRAL = "gray"
INK = "primary"


def title_of(method: str) -> str:
    """The name of a method, or of a student, as people write it."""
    return METHOD_TITLES.get(method) or STUDENT_TITLES[method]
