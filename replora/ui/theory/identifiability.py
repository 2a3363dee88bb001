"""The Identifiability page: one slider opens a split of an expert; everything below follows it as it moves."""

from __future__ import annotations

import dataclasses
import math
from html import escape
from typing import Any

import streamlit as st

from replora.figures.style import SHARING_METHODS, SHARING_NAMES
from replora.figures.theory.splits import SplitCurves, split_figures
from replora.figures.theory.valleys import valley_surfaces
from replora.options import SpecError
from replora.simulation.specs import Split, Tied
from replora.simulation.splits import WIDEST, Moment, landscape, moment, samples_along, valley
from replora.ui.components.live_slider import live_slider
from replora.ui.forms.spec_form import open_spec, place_controls
from replora.ui.parts.address import write_query
from replora.ui.parts.cards import card, row_of
from replora.ui.parts.figure import show_figure
from replora.ui.parts.numbers import plot_numbers
from replora.ui.parts.once import Once
from replora.ui.parts.surface import show_surface, surface_numbers
from replora.ui.parts.text import plain
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE
from replora.wording import count, scientific

PAGE = "identifiability"
DELTA = f"{PAGE}.delta"  # kept apart from the widget, so that it outlives a visit to another page
STEP = 0.01
CURVES = Once[SplitCurves](64)
HEADER = (
    "<header class='page'><h1>Identifiability</h1>"
    "<p>Split one expert in two. Does the function notice? An exact answer, in our stylised model.</p></header>"
)
SURFACES_LEAD = (
    "<h2 class='section'>Every direction at once</h2>"
    "<p class='figure-note'>The two halves move by +δu and −δu; height and colour are the excess loss, on one scale "
    "for both. Drag to turn.</p>"
)
FORMULAS = (
    r"**Plain.** $\textcolor{blue}{b_V} \to \textcolor{blue}{b_V} \pm \delta u$, gates untouched: "
    r"$\;f_\delta = f^*$ for every $\delta$.",
    r"**Shared.** $\textcolor{orange}{b} \to \textcolor{orange}{b} \pm \delta u$ moves the gates too: "
    r"$\;\lVert f_\delta - f^* \rVert = \textcolor{orange}{\kappa}\,\delta^2 + \dots$",
)


def identifiability_page() -> None:
    """Controls on the left; the part that moves is a fragment of its own."""
    opened, problems = open_spec(Split, st.query_params, PAGE)
    st.html(STYLE / "theory.css")
    st.html(HEADER)
    values: dict[str, Any] = {}
    with controls():
        problem = place_controls(Split, ("angle", "tied", "noise"), opened, PAGE, values)
    for sentence in [*problems, problem]:
        if sentence:
            st.warning(plain(sentence))
    try:
        still = Split(**{**dataclasses.asdict(opened), **values})
    except SpecError as error:
        st.warning(plain(str(error)))
        still = opened
    st.fragment(_moving, key=f"{PAGE}.moving")(still)
    _all_directions(still)


def _all_directions(still: Split) -> None:
    """The same loss in every direction, as two surfaces; outside of what moves, since they do not depend on delta."""
    st.html(SURFACES_LEAD)
    curves = curves_of(still.tied, still.direction, still.noise)
    surfaces = valley_surfaces(valley(still.tied), curves, still.direction)
    for column, surface in zip(st.columns(2, gap="medium"), surfaces, strict=True):
        with column:
            show_surface(surface, PAGE)
    surface_numbers(surfaces, PAGE)


def _moving(still: Split) -> None:
    """Everything that follows the slider."""
    start: float = st.session_state.setdefault(DELTA, still.delta)
    with st.container(key=f"{PAGE}.bar"):
        slid = live_slider("Split \u03b4 =", start, 0.0, WIDEST, STEP, name="split \u03b4", key=f"{PAGE}.slider")
    split = dataclasses.replace(still, delta=slid.moving)
    if slid.settled == slid.moving:
        st.session_state[DELTA] = slid.settled
        write_query(split.to_query())
    curves, now = curves_of(split.tied, split.direction, split.noise), moment(split)
    st.html(_cards(curves, now))
    for column, formula in zip(st.columns(2, gap="medium"), FORMULAS, strict=True):
        column.markdown(formula)
    figures = split_figures(curves, now)
    for row in zip(figures[::2], figures[1::2], strict=True):
        for column, figure in zip(st.columns(2, gap="medium"), row, strict=True):
            with column:
                show_figure(figure, PAGE)
    st.html(f'<p class="figure-note">{escape(seen(now))}</p>')
    plot_numbers(figures, PAGE)


def seen(now: Moment) -> str:
    """What is seen at this split, a side after the other: whether the function has moved, and how many data tell."""
    if now.delta == 0:
        return "At \u03b4 = 0 the halves lie together: there is nothing to notice."
    said = []
    for side, loss in now.loss.items():
        samples, told = now.samples[side], "does not move, so that no amount of data tells the halves apart"
        if math.isfinite(samples):
            told = f"moves by {_loss(loss)} in excess loss, and n = {_count(samples)} tells the halves apart"
        said.append(f"{SHARING_NAMES[side].lower()} {told}")
    return f"At \u03b4 = {now.delta:.2f} the function of {'; that of '.join(said)}."


def curves_of(tied: Tied, direction: tuple[float, float], noise: float) -> SplitCurves:
    """The curves that stand still while the slider moves."""
    return CURVES((tied, direction, noise), lambda: _curves(tied, direction, noise))


def _curves(tied: Tied, direction: tuple[float, float], noise: float) -> SplitCurves:
    shape = landscape(tied, direction)
    eigenvalues = {
        side: tuple(tuple(value / noise**2 for value in row) for row in rows)
        for side, rows in shape.eigenvalues.items()
    }
    samples = {name: samples_along(losses, noise) for name, losses in shape.losses.items()}
    return SplitCurves(**{**vars(shape), "eigenvalues": eigenvalues, "samples": samples})


def _cards(curves: SplitCurves, now: Moment) -> str:
    """A card a side."""
    tied = curves.tied
    cards = [
        _card("plain", now, "plain LoRA, query and value free"),
        _card(tied, now, f"{SHARING_NAMES[tied].lower()}: query and value tied"),
    ]
    return row_of(cards, "two")


FISHER = (
    "Excess loss: how much worse than the truth the split model predicts. n: how many observations tell the two "
    "apart with 5 % of errors either way. A Fisher eigenvalue says how fast the loss rises along a direction of "
    "the parameters; where it is zero, the loss is flat to second order."
)


def _card(side: str, now: Moment, caption: str) -> str:
    zeros = now.zeros[side]
    fisher = "no zero Fisher eigenvalue" if not zeros else f"<b>{zeros} zero Fisher eigenvalues</b>"
    samples = now.samples[side]
    told = "<b>no finite n tells the halves apart</b>"
    if math.isfinite(samples):
        told = f"n = {_count(samples)} tells the halves apart"
    return card(
        SHARING_METHODS[side],
        f'<i class="swatch"></i>{SHARING_NAMES[side]}',
        _loss(now.loss[side]),
        f"excess loss at \u03b4 = {now.delta:.2f}",
        [f"{told}; {fisher}", caption],
        about=FISHER,
    )


def _loss(value: float) -> str:
    """Three figures; what is but rounding as a power of ten."""
    if value == 0:
        return "0"
    if value >= 1e-3:
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return scientific(value, 0)


def _count(samples: float) -> str:
    return count(math.ceil(samples)) if samples < 1e6 else scientific(samples)
