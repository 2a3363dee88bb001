"""The page 'Adapter dial': an update stronger, weaker or turned around, alone or mixed with another one."""

from __future__ import annotations

from collections import OrderedDict
from html import escape

import streamlit as st

from replora.lens.questions import LEAST_WEIGHT, MOST_WEIGHT
from replora.ui.components.live_slider import live_slider
from replora.ui.forms.spec_form import open_spec
from replora.ui.inside.dial.asking import Dials, Weights
from replora.ui.inside.dial.form import PAGE, Dialled, DialOptions, dial_form
from replora.ui.inside.dial.sentences import dial_sentence, shares_html_rows, titles_of
from replora.ui.inside.generation.view import legend_html, texts_html
from replora.ui.live.engine import engine
from replora.ui.parts.address import write_query
from replora.ui.parts.cards import card, row_of
from replora.ui.parts.text import plain
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE

HEADER = (
    "<header class='page'><h1>Adapter dial</h1>"
    "<p>What does a model write if its update is stronger, weaker, turned around, or mixed with another?</p></header>"
)
DIALS = f"{PAGE}.dials"
KEPT = 8  # choices of a session
STEP = 0.25
SECONDS = 0.7  # between two questions, of which each takes less: others ask too
PARTS = (
    "The change of a head\u2019s output has two parts: routing, other gates over the same experts, and experts, other "
    "values under the new gates. Root mean squares over the prompt\u2019s tokens, as shares of the output without the "
    "update, a mean over all adapted heads."
)


def dial_page() -> None:
    """Controls on the left; dials and texts are one fragment, which goes on asking while any text is missing."""
    opened, problems = open_spec(DialOptions, st.query_params, PAGE)
    st.html(STYLE / "texts.css")
    st.html(HEADER)
    for each in problems:
        st.warning(plain(each))
    place = st.container()
    with controls():
        dialled = dial_form(engine(), opened, place)
    if dialled is None:
        return
    dials = _dials(dialled)
    weights: Weights | None = st.session_state.get(_key(dialled))
    busy = not dials.stuck and (weights is None or dials.lacks(weights))
    st.fragment(_turning, run_every=SECONDS if busy else None, key=f"{PAGE}.turning")(dials, opened, busy)


def _key(dialled: Dialled) -> str:
    return f"{PAGE}.at.{dialled.update.source.key}.{dialled.mixed is not None}"


def _dials(dialled: Dialled) -> Dials:
    """What this session has of a choice; the latest few are kept."""
    kept: OrderedDict[object, Dials] = st.session_state.setdefault(DIALS, OrderedDict())
    races = [(each.source.key, each.run) for each in (dialled.update, dialled.mixed) if each is not None]
    key = (*races, dialled.prompts, dialled.temperature, dialled.seed)
    dials = kept.setdefault(key, Dials(dialled))
    kept.move_to_end(key)
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return dials


def _turning(dials: Dials, opened: DialOptions, busy: bool) -> None:
    """The dials and what is written where they rest; asks for it, a moment's worth."""
    dialled = dials.dialled
    weights = _weights(dialled, opened)
    st.session_state[_key(dialled)] = weights
    if dials.lacks(weights) and not dials.stuck:
        if engine().ready or not engine().healthy:
            dials.ask(engine(), weights)
        else:
            st.caption("Loading the models, a few seconds the first time.")
    if dials.problem:
        st.warning(plain(dials.problem))
    if dials.stuck:
        st.button("Try again", key=f"{PAGE}.again", icon=":material/refresh:", on_click=dials.unstick)
    answer = dials.answers.get(weights)
    if answer is not None:
        titles = titles_of(dialled, weights)
        st.html(legend_html())
        st.html(texts_html(dialled.prompts, titles, answer.models, "after the last step"))
        cards = [
            card("pace", escape(title), f"{100 * routing:.1f} %", "routing", [f"experts {100 * expert:.1f} %"], PARTS)
            for title, routing, expert in shares_html_rows(titles, answer)
        ]
        st.html(row_of(cards))
        said = escape(dial_sentence(dialled.prompts, weights, answer))
        st.html(f'<p class="verdict" role="status" dir="auto">{said}</p>')
        other = {} if dialled.mixed is None else {"other": weights[1]}
        way = {"temperature": dialled.temperature, "seed": dialled.seed}
        shown = DialOptions(weight=weights[0], place=dialled.place, **other, **way)  # type: ignore[arg-type]
        write_query({**dialled.update.source.link, **shown.to_query()})
    if (not dials.stuck and dials.lacks(weights)) != busy:
        st.rerun()


def _weights(dialled: Dialled, opened: DialOptions) -> Weights:
    """Where the dials rest: of the update, and of the one mixed in."""
    asked = [(dialled.update, opened.weight), *([(dialled.mixed, opened.other)] if dialled.mixed else [])]
    found = []
    for place, ((update, weight), column) in enumerate(zip(asked, st.columns(len(asked), gap="medium"), strict=True)):
        with column, st.container(key=f"{PAGE}.bar.{place}"):
            slid = live_slider(
                "Weight" if len(asked) == 1 else update.title,
                weight,
                LEAST_WEIGHT,
                MOST_WEIGHT,
                STEP,
                name=f"weight of {update.title}",
                key=f"{PAGE}.weight.{update.source.key}.{update.run}.{place}",
            )
        found.append(round(slid.settled / STEP) * STEP)
    return tuple(found)
