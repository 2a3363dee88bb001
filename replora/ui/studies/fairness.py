"""The fairness of a study: a badge, and the list behind it with a button on each item that the form can set right."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from replora.memory.parameters import equal_rank
from replora.options import SpecError, format_value
from replora.studies.fairness import FairnessItem
from replora.studies.spec import Study
from replora.ui.live.form import Form
from replora.ui.studies.form import StudyForm, ask_for

MET, UNMET = "\u2713", "\u2717"


def badge(items: Sequence[FairnessItem], hidden: bool = False) -> str:
    """One line: fair only if every item is met, blank without any; `hidden`: not told for now."""
    if hidden:
        return '<p class="badge unmet"><b>One rate out of a sweep:</b> what the others say is hidden.</p>'
    if not items:
        return '<p class="badge">Fairness: nothing has run yet.</p>'
    red = [each.name for each in items if not each.met]
    if not red:
        return f'<p class="badge met"><b>{MET} Fair:</b> all {len(items)} conditions are met.</p>'
    return f'<p class="badge unmet"><b>{UNMET} Not a fair comparison yet:</b> {escape("; ".join(red))}.</p>'


def fairness_list(form: StudyForm, items: Sequence[FairnessItem], wanted: Form[Study], hidden: bool = False) -> None:
    """All items, each with what was found; `hidden`: not told for now."""
    items = () if hidden else items
    with st.container(key=f"{form.page}.fairness", gap="small"):
        st.html('<h2 class="figure">Is it a fair comparison?<span>green only if all are</span></h2>')
        if not items:
            when = "the sweep is revealed" if hidden else "a study has begun"
            st.html(f'<p class="fair">The list is told once {when}.</p>')
        for place, item in enumerate(items):
            _row(form, item, place, wanted)


def _row(form: StudyForm, item: FairnessItem, place: int, wanted: Form[Study]) -> None:
    change = _offered(item.offer, wanted.options) if item.met else item.change
    fixed = _fixed(wanted.options, change) if change else None
    waiting = fixed is not None and fixed == wanted.options
    more = " <b>Set in the form: Run live runs it.</b>" if waiting else ""
    sign, kind = (MET, "met") if item.met else (UNMET, "unmet")
    text = f'<p class="fair {kind}"><i>{sign}</i><span><b>{escape(item.name)}.</b> {escape(item.text)}{more}</span></p>'
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{form.page}.fairness.{place}"):
        st.html(text, width="stretch")
        if fixed is None or waiting:
            return
        pressed = st.button(
            "Equal parameters" if item.met else "Fix it",
            key=f"{form.page}.{'offer' if item.met else 'fix'}.{place}",
            help=f"Set {_said(change)}.",
            disabled=not wanted.valid,
            on_click=ask_for,
            args=(form, change),
        )
        if pressed:
            st.rerun()


def _offered(offer: Mapping[str, Any], spec: Study) -> dict[str, Any]:
    """An offer for the form, whose knobs may be others than those of the study that is shown."""
    rank = equal_rank(spec) if "lora_rank" in offer else 0
    return {**offer, **({"lora_rank": rank} if rank else {})}


def _fixed(spec: Study, change: Mapping[str, Any]) -> Study | None:
    """The form's study with an item's change, None where it cannot have it."""
    try:
        return dataclasses.replace(spec, **change)
    except (SpecError, TypeError):
        return None


def _said(change: Any) -> str:
    parts: Sequence[str] = [f"{name.replace('_', ' ')} to {format_value(value)}" for name, value in change.items()]
    return ", ".join(parts)
