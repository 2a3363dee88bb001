"""Settings in words, as the forms show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from replora.config import METHOD_TITLES, Race, RaceOptions, Run, Training
from replora.options import Option, format_value, options
from replora.tasks import TaskError, task_card
from replora.wording import listing, task_title


def kept_task_title(name: str) -> str:
    """The title of a task, of own data the one they were given; they may be gone while a run on them is still shown."""
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
    if isinstance(value, bool):
        return "on" if value else "off"
    return format_value(value).replace(",", ", ")


def settings(race: Race) -> dict[str, Any]:
    """A race whose runs differ in method and seed only, as the flat values of a form; sharing is RepLoRA's."""
    first = race.telling_run
    values = {each.name: getattr(race, each.name) for each in fields(Training)}
    values |= {name: getattr(first.method, name) for name in options(first.method) if name != "name"}
    values |= {name: getattr(first, name) for name in options(Run) if name != "seed"}
    values["methods"] = tuple(dict.fromkeys(run.method.name for run in race.runs))
    values["seeds"] = tuple(dict.fromkeys(run.seed for run in race.runs))
    return values


def unlike(shown: Race, form: Race, *, without: Sequence[str] = ()) -> list[str]:
    """The settings of `shown` that `form` has otherwise: 'rank 4', 'learning rate 0.001'."""
    wanted = settings(form)
    facts = options(RaceOptions)
    return [
        named(name, facts[name], value)
        for name, value in settings(shown).items()
        if name in facts and name not in without and value != wanted[name]
    ]


def named(name: str, facts: Option, value: Any) -> str:
    """'rank 4': an option and its value within a sentence."""
    label = facts.label if facts.label.isupper() else facts.label[:1].lower() + facts.label[1:]
    label = facts.label if facts.label.startswith("MLP") else label
    return f"{label} {value_text(name, value)}"
