"""The Rates page put together: form on the left, buttons and live view on the right."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import streamlit as st

from replora.options import SpecError, kind_of, options, parse_value
from replora.simulation.specs import QUANTITY_TITLES, SHARING_TITLES, RatesOptions
from replora.ui.forms.spec_form import open_spec, place_controls
from replora.ui.live.buttons import run_buttons
from replora.ui.live.engine import engine
from replora.ui.live.form import Form
from replora.ui.live.page import follow, live_part, page_session
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE
from replora.ui.theory.rates.session import RatesSession
from replora.ui.theory.rates.view import WISH, rates_view

PAGE = "rates"
RECORDED = ("Recorded run", "100 replicates, n up to one hundred million.")
FIRST = ("atoms", "eta", "replicates")
MORE = ("noise", "box", "max_steps", "seed")
HEADER = (
    "<header class='page'><h1>Rates</h1>"
    "<p>Fit the same data with and without sharing, again and again. How fast does the error fall with n?</p></header>"
)


def rates_page() -> None:
    """Controls, buttons, view; the URL follows them."""
    session, jobs = page_session(PAGE, RatesSession), engine()
    opened, problems = open_spec(RatesOptions, st.query_params, PAGE)
    st.html(STYLE / "theory.css")
    st.html(HEADER)
    with controls():
        form = _form(opened)
    follow(PAGE, session, form, problems)
    run_buttons(PAGE, session, jobs, form.chosen.monte_carlo if form.chosen else None, recorded=RECORDED)
    live_part(PAGE, session, lambda: rates_view(session, jobs, form))


def _form(opened: RatesOptions) -> Form[RatesOptions]:
    """The controls, and the options that they hold."""
    values: dict[str, Any] = {"sharings": _sharings(opened.sharings)}
    values["shown_n"] = st.session_state.get(WISH, opened.shown_n)
    problem = place_controls(RatesOptions, FIRST, opened, PAGE, values)
    try:
        values["n_grid"] = _n_grid(opened.n_grid)
    except SpecError as error:
        problem = problem or str(error)
    values["quantity"] = _quantity(opened.quantity)
    with st.expander("More"):
        problem = place_controls(RatesOptions, MORE, opened, PAGE, values) or problem
    if problem:
        return Form(opened, problem=problem)
    try:
        return Form(opened, dataclasses.replace(opened, **values))
    except SpecError as error:
        return Form(opened, problem=str(error))


def _sharings(opened: Sequence[str]) -> tuple[str, ...]:
    chosen = st.segmented_control(
        "Fits",
        list(SHARING_TITLES),
        default=list(opened),
        selection_mode="multi",
        format_func=lambda name: {"tanh": "tanh"}.get(name, SHARING_TITLES[name]),
        key=f"{PAGE}.sharings",
        help="Plain: b_Q and b_V free. Shared: b_Q = b_V = b. tanh: shared through b = s tanh(β / s): a smooth "
        "bijection, so the same estimates. All see the same data.",
        persist_state="session",
        width="stretch",
    )
    return tuple(chosen)


def _n_grid(opened: Sequence[int]) -> Any:
    """Sample sizes as a text, in powers of ten where they are: 1e4, 1e5. `SpecError` where it cannot be read."""
    facts = options(RatesOptions)["n_grid"]
    text = st.text_input(
        facts.label, ", ".join(map(_short, opened)), help=facts.help, key=f"{PAGE}.n_grid", persist_state="session"
    )
    return parse_value("n_grid", text or "", kind_of(RatesOptions, "n_grid"), facts)


def _short(n: int) -> str:
    digits = str(n)
    zeros = len(digits) - len(digits.rstrip("0"))
    return f"{digits[:-zeros]}e{zeros}" if zeros >= 4 else digits


def _quantity(opened: str) -> str:
    names = [name for name in QUANTITY_TITLES if name != "prediction"]
    chosen: str = st.selectbox(
        "Parameter error",
        names,
        names.index(opened) if opened in names else 0,
        format_func=lambda name: QUANTITY_TITLES[name],
        key=f"{PAGE}.quantity",
        help="The doubled cell is that of the expert which several fitted ones share; exactly specified there is none, "
        "and all cells together are shown.",
        persist_state="session",
    )
    return chosen
