"""The Guided tour page: all stations, which of them are done, and what is wrong with a file that cannot be one."""

from __future__ import annotations

from html import escape

import streamlit as st

from replora.presets import Preset, Presets
from replora.ui.parts.text import plain
from replora.ui.shell.menu import PAGES
from replora.ui.shell.style import STYLE
from replora.ui.tour.progress import begin_anew, is_done, link_of, take_link
from replora.ui.tour.stations import presets
from replora.wording import counted

DONE = "\u2713"


def tour_page() -> None:
    """The list; each station is a link."""
    known = presets()
    take_link(known)
    st.html(STYLE / "tour.css")
    st.html(
        f"<header class='page'><h1>Guided tour</h1><p>{counted(len(known.presets), 'station')} on recorded results. "
        "Each sets everything: do what stands beside the page, then answer.</p></header>"
    )
    for problem in known.problems:
        st.warning(plain(problem))
    done = sum(is_done(each.name) for each in known.presets)
    st.html(f'<p class="footnote">{done} of {len(known.presets)} done. The link keeps that; so does a reload.</p>')
    st.html(f'<ol class="stations">{"".join(_row(each, known) for each in known.presets)}</ol>')
    st.button("Begin anew", key="tour.anew", icon=":material/replay:", disabled=not done, on_click=begin_anew)


def _row(preset: Preset, known: Presets) -> str:
    mark = f'<b role="img" aria-label="done">{DONE}</b>' if is_done(preset.name) else ""
    return (
        f'<li><a href="{escape(link_of(preset, known))}" target="_self">{escape(preset.station.title)}</a> {mark}'
        f"<span>{escape(PAGES[preset.station.page])}</span></li>"
    )
