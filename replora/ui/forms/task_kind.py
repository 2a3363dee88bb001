"""What a form holds once its task is of another kind: steps of a language model are not those of a classifier."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, cast

import streamlit as st

from replora.catalog import RACES, STUDIES, is_corpus
from replora.options import Linked, SpecError, format_value

Opened = TypeVar("Opened", bound=Linked)  # with `on`, which says what it has on a task


def follow_task(page: str, opened: Opened) -> Opened:
    """What the controls are opened with for the task that is chosen: `opened`, or of a task of the other kind what a
    race of that kind has unless somebody asks.

    Called before the controls are drawn; those that mean something else there are set anew when the kind changes.
    """
    asked = cast(Any, opened)
    task: str = st.session_state.get(f"{page}.task") or asked.task
    before: str = st.session_state.get(f"{page}.kind") or asked.task
    try:
        unasked = asked.on(task)
    except SpecError:  # which its own control will say
        task, unasked = asked.task, asked.on(asked.task)
    st.session_state[f"{page}.kind"] = task
    other = {name: getattr(unasked, name) for name in _differing() if hasattr(opened, name)}
    if is_corpus(task) != is_corpus(before):
        for name, value in other.items():
            is_text = isinstance(value, tuple)  # a list is written in one line
            st.session_state[f"{page}.{name}"] = format_value(value).replace(",", ", ") if is_text else value
    if is_corpus(task) == is_corpus(asked.task):
        return opened
    return cast(Opened, dataclasses.replace(asked, task=task, backbone=unasked.backbone, **other))


def _differing() -> set[str]:
    """The options whose defaults hang on the kind of the task."""
    return {name for kinds in (RACES, STUDIES) for defaults in kinds.values() for name in defaults}
