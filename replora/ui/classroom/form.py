"""What an instructor sets for all seats, as controls."""

from __future__ import annotations

import dataclasses
from typing import Any

import streamlit as st

from replora.classroom.setup import FREE, Setup
from replora.config import RaceOptions
from replora.memory.admission import check_race
from replora.options import UserError, options
from replora.ui.classroom.pulse import PAGE
from replora.ui.forms.controls import control
from replora.ui.parts.settings import value_text

SHOWN = ("task", "data_fraction", "learning_rate", "rank", "mlp_width", "sharing")
MORE = (  # what has no control is as the room was opened
    "mlp_depth",
    "activation",
    "layer_sharing",
    "residual",
    "latent",
    "projections",
    "alpha",
    "alpha_over",
    "lora_rank",
    "b_rate_ratio",
    "optimizer",
    "steps",
    "batch_size",
    "evaluate_every",
    "test_examples",
)


def setup_form(opened: Setup, place: str) -> tuple[Setup | None, str]:
    """What the controls hold, and a sentence where that cannot be set. place: part of their keys."""
    values: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    key = f"{PAGE}.{place}"
    try:
        for name in SHOWN:
            values[name] = _control(RaceOptions, name, getattr(opened.race, name), key)
        with st.expander("More"):
            for name in MORE:
                values[name] = _control(RaceOptions, name, getattr(opened.race, name), key)
            rest = _of_the_room(opened, key)
        return _checked(dataclasses.replace(opened.race, **values), rest)
    except UserError as error:
        return None, str(error)


def _of_the_room(opened: Setup, key: str) -> dict[str, Any]:
    """What is not an option of the race: what is free, what each seat trains, what comes before Play."""
    facts = options(RaceOptions)
    free = st.pills(
        "Seats may change",
        FREE,
        selection_mode="multi",
        default=list(opened.free),
        format_func=lambda name: facts[name].label,
        key=f"{key}.free",
        persist_state="session",
        help="All else is fixed for everyone. Seats that chose otherwise are pooled apart.",
    )
    each = _control(Setup, "each", opened.each, key)
    grid = each == "cell"
    found = {name: _control(Setup, name, getattr(opened, name), key, disabled=not grid) for name in ("seeds", "rates")}
    found |= {name: _control(Setup, name, getattr(opened, name), key) for name in ("expect", "play")}
    return {**found, "each": each, "free": tuple(free or ())}


def _checked(race: RaceOptions, rest: dict[str, Any]) -> tuple[Setup | None, str]:
    setup = Setup(race=race, **rest)
    check_race(setup.race_of(1, {}))
    return setup, ""


def _control(spec: type, name: str, opened: Any, key: str, *, disabled: bool = False) -> Any:
    return control(
        spec,
        name,
        key=f"{key}.{name}",
        opened=opened,
        show=lambda value: value_text(name, value),
        disabled=disabled,
    )
