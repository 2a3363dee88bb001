"""Settings in words, as the forms show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from replora.catalog import PRIVATE_TASKS
from replora.config import METHOD_TITLES, Race, RaceOptions
from replora.options import Option, format_value, options
from replora.tasks import TaskError, task_card
from replora.wording import listing, task_title

ZEROS = {"lora_rank": "that of the others", "clip_norm": "off"}  # what a zero stands for that is no amount


def kept_task_title(name: str) -> str:
    """The title of a task, of own data the one they were given; they may be gone while a run on them is still shown."""
    if name in PRIVATE_TASKS:
        return "Private data"
    try:
        return task_card(name).title
    except TaskError:
        return task_title(name, own="Yours: no longer kept")


def value_text(name: str, value: Any) -> str:
    """A setting's value as the form shows it."""
    if name == "task":
        return kept_task_title(value)
    if name == "methods":
        return listing([METHOD_TITLES[each] for each in value])
    if name == "projections":
        return listing(value)
    if name == "data_fraction":
        return f"{100 * value:g} %"
    if name == "fractions":
        return ", ".join(f"{100 * each:g}" for each in value) + " %"
    if name in ZEROS and not value:
        return ZEROS[name]
    if isinstance(value, bool):
        return "on" if value else "off"
    return format_value(value).replace(",", ", ")


def unlike(shown: Race, form: Race, *, without: Sequence[str] = ()) -> list[str]:
    """The settings of `shown` that `form` has otherwise: 'rank 4', 'learning rate 0.001'."""
    told, wanted = RaceOptions.nearest(shown), RaceOptions.nearest(form)
    return [
        named(name, facts, getattr(told, name))
        for name, facts in options(RaceOptions).items()
        if name not in without and getattr(told, name) != getattr(wanted, name)
    ]


def instead_of(now: Race, before: Race, *, without: Sequence[str] = ()) -> list[str]:
    """What has changed that makes a difference: 'rank 8 instead of 4', 'sharing tied instead of trunk'."""
    told, earlier = RaceOptions.nearest(now), RaceOptions.nearest(before)
    idle = now.telling_run.method.idle | before.telling_run.method.idle
    return [
        f"{named(name, facts, getattr(told, name))} instead of {value_text(name, getattr(earlier, name))}"
        for name, facts in options(RaceOptions).items()
        if name not in {*idle, *without} and getattr(told, name) != getattr(earlier, name)
    ]


def named(name: str, facts: Option, value: Any) -> str:
    """'rank 4': an option and its value within a sentence."""
    label = facts.label if _is_proper(facts.label) else facts.label[:1].lower() + facts.label[1:]
    return f"{label} {value_text(name, value)}"


def _is_proper(label: str) -> bool:
    """Whether a label begins with a name or an abbreviation, which keeps its capitals: 'LoRA's rank', 'MLP width'."""
    return any(letter.isupper() for letter in label.split()[0][1:])
