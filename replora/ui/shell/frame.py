"""The frame of every page: title, style, navigation, and the guard with which each page begins."""

from __future__ import annotations

from typing import Any

import streamlit as st

from replora.catalog import ASSETS
from replora.ui.shell.link import link_to_here
from replora.ui.shell.menu import MENU, PAGES
from replora.ui.shell.style import STYLE
from replora.ui.visitor.own_data import hold_own
from replora.ui.visitor.owner import take_key

PAGE_FILES = ASSETS.parent / "pages"
NAME = "RepLoRA playground"
PAPER = "https://arxiv.org/abs/2502.03044"
FRAMED = "frame.framed"


def frame() -> None:
    """Draw what all pages share, then the page that is asked for."""
    st.session_state[FRAMED] = True
    page = _navigation()
    st.set_page_config(
        page_title=f"{page.title} · {NAME}",
        layout="wide",
        menu_items={
            "About": f"{NAME}: LoRA and RepLoRA ([arXiv 2502.03044]({PAPER})) side by side, on the same model and data."
        },
    )
    st.html(STYLE / "app.css")
    hold_own()
    take_key()
    page.run()
    link_to_here()


def guard() -> None:
    """The first call of every page.

    A cold server runs the page of a deep link by itself, because there is a folder `pages/`. Declaring the navigation
    ends that mode; one rerun then begins with app.py.
    """
    if FRAMED not in st.session_state:
        st.session_state[FRAMED] = True
        _navigation()
        st.rerun()


def _navigation() -> Any:
    """All pages; the landing page under its own name too, where a link by file name would look for it."""
    landing = next(iter(PAGES))
    home = st.Page(PAGE_FILES / f"{landing}.py", title=PAGES[landing], url_path="home", default=True)
    pages: dict[str, list[Any]] = {
        heading: [
            st.Page(PAGE_FILES / f"{name}.py", title=title, visibility="hidden" if name == landing else "visible")
            for name, title in titles.items()
        ]
        for heading, titles in MENU.items()
    }
    pages[""].insert(0, home)
    return st.navigation(pages, position="top")
