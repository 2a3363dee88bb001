"""A page in a frame of somebody's own page: by `?embed=true` it shows one figure and its controls.

Streamlit takes that name of the link for itself, hides its header for it, and tells no more than that it is there.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import streamlit as st

from replora.ui.shell.link import FIGURE, shared
from replora.ui.shell.menu import PAGES, path_of
from replora.ui.shell.style import STYLE
from replora.ui.shell.whole_link import whole_link

EMBED, OPTIONS = "embed", "embed_options"  # Streamlit keeps both from the app
FIGURES, WANTED, SIDE = "embed.figures", "embed.wanted", "embed.side"  # of the session
WITHOUT = ("tour", "generation", "dial", "classroom", "your_data", "runs")  # pages that may have no figure
NONE = "No figure of this page is here to be shown."
KEPT = (  # what a frame shows, as selectors of containers and widgets by their keys
    *(f"[class*='{part}']" for part in ("-figure-", "st-key-embed-", "-buttons")),
    "[class*='-surface-']:not([class*='-surface-numbers'])",
    *(
        f".st-key-{key}"
        for key in (
            "race-transport", "race-against", "experts-example-box", "experts-bar", "inside-tensor", "inside-bench",
            "identifiability-bar", "recover_update-at-examples", "rates-at-n", "home-moving",
        )
    ),
)  # fmt: skip
SAID = (".stAlert", ".standing")


def embedded() -> bool:
    """Whether this session shows one figure in a frame."""
    return bool(st.context.is_embedded)


def begin_figures(page: str) -> None:
    """Forget which figures the page had, before it runs; in a frame, hide all but one and its controls."""
    st.session_state[FIGURES] = {}
    st.session_state.pop(SIDE, None)
    if embedded():
        if _wanted()[0] != page:
            st.session_state[WANTED] = (page, st.query_params.get(FIGURE, ""))
        st.html(STYLE / "embed.css")
        st.html(f"<style>{_hidden()}</style>")
        st.session_state[SIDE] = st.container(key="embed-side")


def offered(key: str, title: str) -> bool:
    """Note a figure of the page; whether it is to be drawn: in a frame the one that is wanted, else the first."""
    figures().setdefault(key, title)
    if not embedded():
        return True
    page, wanted = _wanted()
    st.session_state[WANTED] = (page, wanted or key)
    return (wanted or key) == key


def figures() -> dict[str, str]:
    """The titles of the figures that the page has drawn in this run, by key."""
    found: dict[str, str] = st.session_state.setdefault(FIGURES, {})
    return found


def controls() -> Any:
    """Where a page's controls stand: in the sidebar; in a frame, above the figure, behind a press."""
    if not embedded():
        return st.sidebar
    if not isinstance(st.session_state.get(SIDE), dict):
        place = st.session_state.get(SIDE) or st.container(key="embed-side")
        st.session_state[SIDE] = {"box": place.expander("Settings", icon=":material/tune:", key="embed.settings")}
    return st.session_state[SIDE]["box"]


def _wanted() -> tuple[str, str]:
    """The page, and which of its figures; '' for none yet."""
    wanted: tuple[str, str] = st.session_state.get(WANTED, ("", ""))
    return wanted


def _hidden() -> str:
    """The rules by which all is hidden that a frame does not show, whatever a page has."""
    kept, said = ", ".join(KEPT), ", ".join(SAID)
    return (
        f".stMain .stElementContainer:not({kept}, :is({kept}) *, :has({said})) {{ display: none; }}"
        f".stMain .stExpander:not(:is({kept}) *) {{ display: none; }}"
        f".stMain .stColumn:not(:is({kept}) *, :has({kept}, {said})) {{ display: none; }}"
    )


def missing_figure() -> str:
    """The wanted figure where the page has drawn others, but not that; the first of them is wanted from now on."""
    page, wanted = _wanted()
    if not embedded() or not wanted or wanted in figures() or not figures():
        return ""
    st.session_state[WANTED] = (page, next(iter(figures())))
    return wanted


def end_figures(page: str) -> None:
    """In a frame, the way to the whole app, in a tab of its own."""
    if not embedded():
        return
    if page in WITHOUT and not figures():
        st.info(NONE)
    query = urlencode(shared(st.query_params.to_dict()), safe=",")
    link = f"{path_of(page)}?{query}" if query else path_of(page)
    with st.container(key="embed-whole"):
        title = f"{PAGES[page]} in the RepLoRA playground"
        whole_link(title, path_of(page), link, without=(EMBED, OPTIONS), key="embed.whole.link")
