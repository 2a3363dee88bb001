"""What a seat may change: the knobs of how A and B arise, with those that are fixed, and whatever else is free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from replora.classroom.room import Room, Seat
from replora.classroom.setup import read_own
from replora.config import Race, RaceOptions
from replora.methods import idle_knobs
from replora.options import SpecError
from replora.ui.classroom.pulse import PAGE
from replora.ui.forms.controls import control
from replora.ui.forms.knobs import KNOBS, knob_controls
from replora.ui.parts.settings import value_text
from replora.ui.parts.text import plain

FIXED = "Fixed by the instructor."
HEAD = '<h2 class="figure">How A and B arise<span>{}</span></h2>'


def seat_form(
    room: Room, seat: Seat, opened: Mapping[str, Any], place: Any, *, disabled: bool
) -> dict[str, Any] | None:
    """What the controls hold that is not as the room has it; None where it cannot be had, which is said.

    opened: what they hold at first. place: where the knobs stand. disabled: while the seat's race is on.
    """
    setup = room.setup
    pushed = hashlib.sha256(json.dumps(setup.to_dict()).encode()).hexdigest()[:8]  # a push begins with what it sets
    key = f"{PAGE}.own.{room.id}.{pushed}"
    first = setup.options_of(opened)
    values: dict[str, Any] = {}
    problems: list[str] = []
    free = [name for name in KNOBS if name in setup.free]
    if free:
        methods = tuple(run.method.name for run in setup.race_of(seat.number, {}).runs)
        fixed = [name for name in KNOBS if name not in free]
        with place:
            st.html(HEAD.format("Grey ones are fixed by the instructor" if fixed else "As you like"))
            problems += knob_controls(
                key, first, values, KNOBS if disabled else idle_knobs(methods), dict.fromkeys(fixed, FIXED)
            )
    others = [name for name in setup.free if name not in KNOBS]
    if others:
        with st.expander("What you may change", expanded=True):
            for name in others:
                try:
                    values[name] = _control(name, getattr(first, name), f"{key}.{name}", disabled)
                except SpecError as error:
                    problems.append(str(error))
    for problem in problems:
        st.warning(plain(problem))
    return None if problems else setup.chosen_otherwise(read_own({name: values[name] for name in [*free, *others]}))


def race_of(room: Room, seat: Seat, own: Mapping[str, Any]) -> Race | None:
    """The race of a seat with what its controls hold; None where there is none, which is said."""
    try:
        return room.setup.race_of(seat.number, own)
    except SpecError as error:
        st.warning(plain(str(error)))
        return None


def _control(name: str, opened: Any, key: str, disabled: bool) -> Any:
    return control(RaceOptions, name, key=key, opened=opened, show=partial(value_text, name), disabled=disabled)
