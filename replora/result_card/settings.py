"""Settings in words, for cards."""

from __future__ import annotations

from collections.abc import Collection

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
