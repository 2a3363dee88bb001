"""Form controls made from the options that specs declare: label, help, unit, bounds, marks and names."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Literal, get_args, get_origin

import streamlit as st

from replora.options import Option, SpecError, check_value, default_of, format_value, kind_of, options, parse_value


def control(
    spec: type,
    name: str,
    *,
    key: str,
    opened: Any,
    show: Callable[[Any], str] = format_value,
    on_change: Callable[[], None] | None = None,
    disabled: bool = False,
    more: Sequence[str] = (),
    without: Container[str] = (),
    marks: Sequence[Any] = (),
) -> Any:
    """The control of one option, at first with the value `opened`, which need not be one of its marks.

    marks: stops of a slider in place of the option's.
    more: names beside the option's choices; without: those of them that are not offered; where `opened` is among
    neither, the option's default comes first.
    Returns a value of the option's kind. Raises `SpecError` where a text cannot be read.
    """
    facts, kind = options(spec)[name], kind_of(spec, name)
    label = f"{facts.label} ({facts.unit})" if facts.unit else facts.label
    common: dict[str, Any] = {"key": key, "help": facts.help, "on_change": on_change, "disabled": disabled}
    common["persist_state"] = "session"
    if get_origin(kind) is tuple:
        if facts.in_order:  # a choice of declared names
            declared = get_args(get_args(kind)[0])
            picked = st.pills(label, declared, selection_mode="multi", default=list(opened), **common)
            return check_value(name, list(picked), kind, facts)
        text = st.text_input(label, format_value(opened).replace(",", ", "), **common)
        return parse_value(name, text or "", kind, facts)
    if kind is bool:
        return st.toggle(label, opened, **common)
    declared = get_args(kind) if get_origin(kind) is Literal else facts.choices
    names = [*(name for name in declared if name not in without), *more]
    if names:
        opened = opened if opened in names else default_of(spec, name)
        return st.selectbox(label, names, names.index(opened), format_func=show, **common)
    if facts.marks:
        stops = sorted({*(marks or facts.marks), opened})
        return st.select_slider(label, stops, opened, format_func=show, **common)
    return _number(label, facts, kind, opened, common)


def segments(
    spec: type,
    name: str,
    *,
    key: str,
    opened: Any,
    show: Callable[[Any], str] = format_value,
    disabled: bool = False,
    fixed: str = "",
) -> Any:
    """One of few values, or some of few names, side by side: a press chooses. Otherwise as `control`.

    fixed: why it cannot be changed, if it cannot.
    """
    facts, kind = options(spec)[name], kind_of(spec, name)
    about = f"{fixed} {facts.help}" if fixed else facts.help
    common: dict[str, Any] = {"key": key, "help": about, "disabled": disabled or bool(fixed)}
    common["persist_state"] = "session"
    if get_origin(kind) is tuple:
        declared = get_args(get_args(kind)[0])
        several = st.segmented_control(facts.label, declared, selection_mode="multi", default=list(opened), **common)
        return check_value(name, list(several), kind, facts)
    choices = [False, True] if kind is bool else get_args(kind) or sorted({*facts.marks, opened})
    chosen = st.segmented_control(facts.label, choices, default=opened, required=True, format_func=show, **common)
    return opened if chosen is None else chosen


def _number(label: str, facts: Option, kind: Any, opened: Any, common: dict[str, Any]) -> Any:
    if facts.low is None or facts.high is None:
        raise SpecError(f"{label} has neither marks nor bounds to make a control from.")
    step = 1 if kind is int else 0.05 if facts.high <= 1 else 0.1
    shape = None if kind is int else "%g"
    return st.number_input(label, kind(facts.low), kind(facts.high), opened, kind(step), shape, **common)
