"""Controls of a page from its spec, opened from the link and written back to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import streamlit as st

from replora.options import Linked, SpecError, format_value
from replora.ui.forms.controls import control

Chosen = TypeVar("Chosen", bound=Linked)


def open_spec(
    spec: type[Chosen],
    query: Mapping[str, str],
    page: str,
    *,
    check: Callable[[Chosen, Sequence[str]], tuple[Chosen, list[str]]] = lambda opened, problems: (opened, [*problems]),
    instead: Chosen | None = None,
) -> tuple[Chosen, list[str]]:
    """What this session's first link asked for, and the sentences about what it could not have.

    check: what of it can be had here. instead: what is opened in place of what the link says.
    """
    key = f"{page}.opened"
    if key not in st.session_state:
        asked, problems = spec.from_query(query)
        st.session_state[key] = check(asked if instead is None else instead, problems)
    opened: tuple[Chosen, list[str]] = st.session_state[key]
    return opened


def place_controls(
    spec: type[Linked],
    names: Sequence[str],
    opened: Linked,
    page: str,
    values: dict[str, Any],
    *,
    show: Callable[[str, Any], str] = lambda name, value: format_value(value),
    idle: Collection[str] = (),
    more: Mapping[str, Sequence[str]] = MappingProxyType({}),
    without: Container[str] = (),
    marks: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> str:
    """Draws the controls and notes their values; the first sentence about a text that cannot be read, or ''.

    show: a value as its control shows it. idle: those that would change nothing. more: names beside the choices.
    without: tasks that are not offered. marks: stops of sliders in place of the options' own.
    """
    problem = ""
    for name in names:
        try:
            values[name] = control(
                spec,
                name,
                key=f"{page}.{name}",
                opened=getattr(opened, name),
                show=partial(show, name),
                disabled=name in idle,
                more=more.get(name, ()),
                without=without if name == "task" else (),
                marks=marks.get(name, ()),
            )
        except SpecError as error:
            problem = problem or str(error)
    return problem
