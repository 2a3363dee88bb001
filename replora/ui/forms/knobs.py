"""The group of knobs that say how A and B arise, small enough to stand in sight of what they make."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import streamlit as st

from replora.config import RaceOptions
from replora.options import SpecError
from replora.ui.forms.controls import segments
from replora.ui.parts.settings import value_text

# what decides whether another one matters stands before it
KNOBS = ("projections", "sharing", "mlp_depth", "mlp_width", "activation", "layer_sharing", "residual")


def knob_controls(
    page: str,
    opened: RaceOptions,
    values: dict[str, Any],
    idle: Collection[str],
    fixed: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """The group; notes the values, and returns a sentence for each that cannot be had.

    idle: those that change none of the methods at hand; of the others, those that another one makes idle are too.
    fixed: why some cannot be changed.
    """
    problems = []
    with st.container(key=f"{page}.knobs"):
        for name in KNOBS:
            try:
                values[name] = segments(
                    RaceOptions,
                    name,
                    key=f"{page}.{name}",
                    opened=getattr(opened, name),
                    show=partial(value_text, name),
                    disabled=name in {*idle, *_beside(values)},
                    fixed=fixed.get(name, ""),
                )
            except SpecError as error:
                problems.append(str(error))
    return problems


def _beside(values: dict[str, Any]) -> set[str]:
    """The knobs that make no difference beside those that stand before them."""
    idle = {"sharing"} if len(values.get("projections", "ab")) == 1 else set()
    return idle | ({"mlp_width", "activation"} if values.get("mlp_depth") == 0 else set())
