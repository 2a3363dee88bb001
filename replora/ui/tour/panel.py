"""The panel of a station beside its page: steps, a question whose answer is hidden, and the way to the next one."""

from __future__ import annotations

from html import escape

import streamlit as st

from replora.presets import Preset, Presets, with_made
from replora.ui.shell.style import STYLE, linked
from replora.ui.tour.progress import current, leave, link_of, list_link, note_done, take_link
from replora.ui.tour.records import MADE
from replora.ui.tour.stations import presets

PAGE = "tour"


def tour(page: str) -> None:
    """Take in what the link says of the tour; in front of the page of the station that is on, its panel."""
    known = presets()
    take_link(known)
    here = current(known, page)
    if here is not None:
        _panel(here, known)


def _panel(here: Preset, known: Presets) -> None:
    st.html(STYLE / "tour.css")
    place = known.presets.index(here) + 1
    station = here.station
    with (
        st.container(key="tour-panel"),
        st.expander(f"**{place} of {len(known.presets)}: {station.title}**", expanded=True, key=f"{PAGE}.{here.name}"),
    ):
        st.markdown("\n".join(f"{at}. {_said(step)}" for at, step in enumerate(station.steps, 1)))
        st.markdown(f"**{_said(station.question)}**")
        shown = st.toggle("Show the answer", key=f"{PAGE}.answer.{here.name}", on_change=note_done, args=(here.name,))
        if shown:
            st.markdown(_said(station.answer))
        _ways(here, known)


def _ways(here: Preset, known: Presets) -> None:
    """On, and out. A station's link is loaded anew, so that it sets everything whatever was set before."""
    following = known.after(here.name)
    on = [(link_of(here, known), "Set it up again", "")]
    if following is not None:
        on = [(link_of(following, known, here.name), f"Next station: {following.station.title}", "on"), *on]
    links = "".join(
        f'<a class="{kind}" href="{escape(link)}" target="_self">{escape(label)}</a>' for link, label, kind in on
    )
    links += f'<a href="{escape(list_link(known))}" target="_self">All stations</a>'
    st.html(f'<nav class="stations" aria-label="Tour">{links}</nav>')
    st.button("Leave the tour", key=f"{PAGE}.leave", type="tertiary", icon=":material/close:", on_click=leave)


def _said(text: str) -> str:
    return linked(with_made(text, MADE))
