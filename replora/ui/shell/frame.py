"""The frame of every page: title, style, navigation, and the guard with which each page begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from replora.catalog import ASSETS
from replora.ui.shell.embed import begin_figures, embedded, end_figures
from replora.ui.shell.link import ROOM, VIEW
from replora.ui.shell.menu import MENU, NEXT, NO_SIDEBAR, PAGES, heading_of
from replora.ui.shell.projector import projector
from replora.ui.visitor.own_data import hold_own
from replora.ui.visitor.owner import take_key

PAGE_FILES = ASSETS.parent / "pages"
NAME = "RepLoRA playground"
PAPER = "https://arxiv.org/abs/2502.03044"
FRAMED = "frame.framed"


ALONE = (ROOM, VIEW)  # of a link: a learner's seat and a room on the projector, from which nothing leads away


Around = Callable[[str], None]  # draws something around a page, by the page's name


def _nothing(name: str) -> None:
    """Where there is nothing around a page."""


def frame(begin: Around = _nothing, before: Around = _nothing, *end: Around) -> None:
    """Draw what all pages share, then the page that is asked for.

    begin: what comes before all else. before: what stands in front of a page, unless it stands alone. end: what comes
    after all else.
    """
    st.session_state[FRAMED] = True
    page = _navigation()
    name = _name_of(page)
    st.set_page_config(
        page_title=f"{page.title} · {NAME}",
        layout="wide",
        menu_items={
            "About": f"{NAME}: LoRA and RepLoRA ([arXiv 2502.03044]({PAPER})) side by side, on the same model and data."
        },
    )
    alone = embedded() or any(word in st.query_params for word in ALONE)
    begin_figures(name)
    if name not in NO_SIDEBAR and not embedded():
        st.sidebar.empty()
    projector(switch=not alone)
    heading = heading_of(name)
    if heading and not alone:
        st.html(f"<style>{_mark(heading)}</style>")
        st.html(f"<p class='where'>{heading}</p>")  # for screens on which the menu folds away
    hold_own()
    take_key()
    begin(name)
    if not alone:
        before(name)
    page.run()
    if not alone:
        _next(name)
    for each in end:
        each(name)
    end_figures(name)


def guard() -> None:
    """The first call of every page.

    A cold server runs the page of a deep link by itself, because there is a folder `pages/`. Declaring the navigation
    ends that mode; one rerun then begins with app.py.
    """
    if FRAMED not in st.session_state:
        st.session_state[FRAMED] = True
        _navigation()
        st.rerun()


def page_of(name: str) -> Any:
    """A page as Streamlit's links and switches take it; the first one lands."""
    return st.Page(PAGE_FILES / f"{name}.py", title=PAGES[name], default=name == next(iter(PAGES)))


def _navigation() -> Any:
    """The page that is asked for, of all of the menu."""
    pages = {heading: [page_of(name) for name in titles] for heading, titles in MENU.items()}
    return st.navigation(pages, position="top")


def _name_of(page: Any) -> str:
    """The name of a page's file; that which lands has no path."""
    return page.url_path or next(iter(PAGES))


def _mark(heading: str) -> str:
    """A line under the heading of the page that is open: Streamlit marks a page only where it stands alone."""
    alone = len(MENU[""])
    place = alone + [each for each in MENU if each].index(heading) + 1
    return (
        f"[data-testid='stTopNav'] > .rc-overflow-item:nth-child({place}) button"
        "{box-shadow: inset 0 -2px currentColor; font-weight: 600; border-radius: 0}"
    )


def _next(name: str) -> None:
    """The way on, at the end of each page."""
    following, why = NEXT[name]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="frame.next"):
        st.page_link(page_of(following), label=f"Next: **{PAGES[following]}**", icon=":material/arrow_forward:")
        st.html(f"<p class='footnote'>{why}</p>", width="content")
