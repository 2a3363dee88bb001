"""Numbers, lists and tasks in the words of pages, pictures, cards and messages: one way each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from replora.catalog import ALL_TASKS, OWN_PREFIX, PACKAGED

MINUS, NARROW_SPACE = "\u2212", "\u202f"
SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def count(number: float) -> str:
    """A whole number in groups of three digits, apart by a narrow space; of others the nearest."""
    return f"{number:,.0f}".replace(",", NARROW_SPACE)


def counted(number: int, noun: str) -> str:
    """'1 thread', '2 threads'."""
    return f"{count(number)} {noun}" + ("s" if number != 1 else "")


def fixed(value: float, decimals: int = 1) -> str:
    """'4.2' or, with a true minus, '-4.2'; no sign before zero."""
    text = f"{value:.{decimals}f}"
    return text.replace("-", MINUS) if text.strip("-0.") else text.lstrip("-")


def signed(value: float, decimals: int = 1) -> str:
    """As `fixed`, with a plus before what is above zero."""
    text = fixed(value, decimals)
    return f"+{text}" if text[0] != MINUS and text.strip("0.") else text


def power_of_ten(power: int) -> str:
    """'10' with the power raised."""
    return "10" + str(power).translate(SUPERSCRIPTS)


def scientific(value: float, decimals: int = 1) -> str:
    """'6.1 * 10^-6', the power raised, of a number above zero."""
    power = math.floor(math.log10(value))
    return f"{value / 10**power:.{decimals}f}\u00b7{power_of_ten(power)}"


def short_count(number: int) -> str:
    """'10^6' or '3.2 * 10^6', the power raised; in digits where it is short."""
    if number < 10_000:
        return str(number)
    power = math.floor(math.log10(number) + 1e-9)
    lead = f"{number / 10**power:.1f}".removesuffix(".0")
    return power_of_ten(power) if lead == "1" else f"{lead}\u00b7{power_of_ten(power)}"


def duration(seconds: float) -> str:
    """'4.2 s', '48 s', '3 min 05 s'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def listing(parts: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def task_title(task: str, own: str = "own data") -> str:
    """A task as people call it, own data as `own`: their name opens them and is told to nobody."""
    if task.startswith(OWN_PREFIX):
        return own
    return ALL_TASKS[task].title if task in ALL_TASKS else task


def backbone_in_words(name: str) -> str:
    """A backbone's name and, of a model of a package, what it is: 'smollm2 (SmolLM2-135M-Instruct, 30 blocks; ...)'."""
    return f"{name} ({PACKAGED[name].title})" if name in PACKAGED else name
