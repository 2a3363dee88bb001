"""The live part of the Rates page: standing, slopes at a glance, four pictures, and what to bear in mind."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from replora.figures.figure import Figure
from replora.figures.style import SHARING_METHODS, SHARING_NAMES
from replora.figures.theory.rates import rates_figures, slope_text, theory_text
from replora.options import nearest
from replora.simulation.events import Band, started_of
from replora.simulation.specs import QUANTITY_TITLES, RatesOptions
from replora.simulation.verdict import latest, rates_verdict
from replora.ui.live.engine import WatchedEngine
from replora.ui.live.form import Form
from replora.ui.live.standing import show_standing
from replora.ui.parts.cards import BLANK, card, row_of, sentence_html
from replora.ui.parts.figure import show_figure
from replora.ui.parts.numbers import plot_numbers
from replora.ui.theory.rates.notes import notes
from replora.ui.theory.rates.pictures import plotted_rates, quantity_for, sizes, theory_slope
from replora.ui.theory.rates.session import RatesSession
from replora.ui.theory.rates.state import ShownRates, shown_rates
from replora.wording import short_count

PAGE = "rates"
WISH = f"{PAGE}.shown_n"


def rates_view(session: RatesSession, engine: WatchedEngine, form: Form[RatesOptions]) -> None:
    """Everything below the buttons."""
    shown = shown_rates(session, engine.ready, form)
    show_standing(shown.standing, "Monte Carlo", session.status)
    quantity = quantity_for(form.options.quantity, shown.events)
    st.html(_cards(shown, quantity))
    said = rates_verdict(shown.events) or "No verdict before two sample sizes are done."
    st.html(sentence_html(said))
    errors, between, clouds = st.container(), st.container(), st.container()
    with between:
        at = _shown_n(shown, form.options.shown_n)
    figures = rates_figures(
        plotted_rates(shown.spec, shown.events, quantity, at, recorded=shown.recorded, message=shown.standing.message)
    )
    on_parameters, on_predictions = notes(shown.spec, quantity)
    with errors:
        _figures(figures[:2], (on_parameters, [on_predictions]))
    with clouds:
        _figures(figures[2:], ([], []))
    st.html(f'<p class="footnote">{escape(_footnote(shown))}</p>')
    plot_numbers(figures, PAGE)


def _shown_n(shown: ShownRates, opened: int) -> int:
    """The n of histogram and plane, chosen between the pictures among those that are done, the nearest to the wish."""
    done = sizes(shown.events)
    if len(done) < 2:
        return done[0] if done else opened
    key = f"{PAGE}.at.n"
    st.session_state[key] = nearest(done, st.session_state.get(WISH, opened))
    chosen: int = st.select_slider(
        "Histogram and plane at n", done, format_func=short_count, key=key, on_change=_wish, args=(key,), width=440
    )
    return chosen


def _wish(key: str) -> None:
    """Noted apart from the slider, whose stops come one by one as a run goes on."""
    st.session_state[WISH] = st.session_state[key]


def _figures(figures: Sequence[Figure], asides: Sequence[Sequence[str]]) -> None:
    """Two side by side where there is room, each with what to bear in mind."""
    for column, figure, lines in zip(st.columns(2, gap="medium"), figures, asides, strict=True):
        with column:
            show_figure(figure, PAGE)
            if lines:
                st.html("".join(f'<p class="figure-note">{line}</p>' for line in lines))


SLOPE = (
    "How fast the error falls as the sample size n grows: the slope of a line through the logarithms of both. At "
    "\u22120.5 half the error takes 4 times the sample, at \u22120.25 it takes 16 times. The doubled cell is the true "
    "expert that several fitted ones share. Far: fits with an expert farther than 1 from every true one. "
    "Prediction: the error of what is predicted, not of the parameters."
)


def _cards(shown: ShownRates, quantity: str) -> str:
    """A card a way of sharing: the slope and its interval, beside theory's and that of the prediction."""
    found, started = latest(shown.events), started_of(shown.events)
    cards = []
    for sharing in shown.spec.sharings:
        last = found.get(sharing)
        slope = last.slopes.get(quantity) if last else None
        theory = theory_slope(shown.spec, started, sharing, quantity)
        value = slope_text(slope[0]) if slope else BLANK
        lines = [
            f"95 %: {_interval(slope)}" + (f"; theory {theory_text(theory)}" if theory is not None else ""),
            f"prediction {_with_interval(last.slopes.get('prediction') if last else None)}",
            f"<b>{100 * last.far_fraction:.0f} % far</b> at n = {short_count(last.n)}" if last else "&nbsp;",
        ]
        caption = f"slope, {QUANTITY_TITLES[quantity]}"
        title = f'<i class="swatch"></i>{SHARING_NAMES[sharing]}'
        cards.append(card(f"{SHARING_METHODS[sharing]} {sharing}", title, value, caption, lines, about=SLOPE))
    return row_of(cards, "three")


def _interval(band: Band | None) -> str:
    return f"{slope_text(band[1])} to {slope_text(band[2])}" if band else "\u2013"


def _with_interval(band: Band | None) -> str:
    return f"{slope_text(band[0])} ({_interval(band)})" if band else "\u2013"


def _footnote(shown: ShownRates) -> str:
    spec = shown.spec
    sizes_text = f"{len(spec.n_grid)} sample sizes from {short_count(spec.n_grid[0])} to {short_count(spec.n_grid[-1])}"
    unfinished = max((each.unfinished for each in latest(shown.events).values()), default=0.0)
    late = f"; {100 * unfinished:.0f} % of the fits at the largest n were cut off" if unfinished else ""
    return (
        f"{'Recorded' if shown.recorded else 'This run'}: {spec.replicates} replicates, {sizes_text}, 2 true experts, "
        f"{spec.atoms} fitted, \u03b7 = {spec.eta:g}, \u03c3 = {spec.noise:g}, |b| \u2264 {spec.box:g}, "
        f"at most {spec.max_steps} steps, seed {spec.seed}{late}. "
        "Far: some fitted expert lies more than 1 from every true one, in the distance of the Voronoi cells."
    )
