"""Numbers and settings in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

MINUS, NARROW_SPACE = "\u2212", "\u202f"


def duration(seconds: float) -> str:
    """'4.2 s', '48 s', '3 min 05 s'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def count(number: int) -> str:
    """Groups of three digits, apart by a narrow space."""
    return f"{number:,}".replace(",", NARROW_SPACE)


def signed(points: float) -> str:
    """'+4.2' or, with a true minus, '-4.2'; no sign before zero."""
    text = f"{points:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def plain(text: str) -> str:
    """Text from a user or a file, made safe for Markdown: no links, pictures or formulas out of a URL."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$:-])", r"\\\1", text)


def listing(parts: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
