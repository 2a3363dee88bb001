"""Settings in words, for cards."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from replora.catalog import OWN_PREFIX, TASKS
from replora.options import Linked, format_value, options

OWN_NOTE = (
    "The task is data of your own: the command finds them in this app's data folder, by a name that opens them to "
    "anybody who has it."
)
SAID_APART = (
    *("task", "methods", "students", "seeds", "backbone", "device", "precision"),
    *("test_examples", "validation_examples"),
)


def named_settings(spec: Linked, always: Collection[str], without: Collection[str] = ()) -> dict[str, str]:
    """By label: the settings named in `always`, and all others that are not defaults, those in `without` left out."""
    default = type(spec)()
    return {
        _label(facts.label): _text(name, getattr(spec, name), facts.unit)
        for name, facts in options(spec).items()
        if name not in (*SAID_APART, *without) and (name in always or getattr(spec, name) != getattr(default, name))
    }


def task_title(task: str) -> str:
    """A task as people call it; the name of own data opens them and is not told."""
    if task.startswith(OWN_PREFIX):
        return "own data"
    return TASKS[task].title if task in TASKS else task


def together(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _label(label: str) -> str:
    """A label within a sentence."""
    return label if label.startswith(("MLP", "LoRA")) else label[:1].lower() + label[1:]


def _text(name: str, value: object, unit: str) -> str:
    if name == "data_fraction" and isinstance(value, float):
        return f"{100 * value:g} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = format_value(value).replace(",", ", ") if isinstance(value, tuple) else format_value(value)
    return f"{text} {unit}" if unit else text
