"""The frame of every page: title, style, navigation, and the guard with which each page begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from replora.ui.own_session import hold_own

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "assets" / "style"
NAME = "RepLoRA playground"
PAPER = "https://arxiv.org/abs/2502.03044"
FRAMED = "frame.framed"

MENU: dict[str, dict[str, str]] = {  # by heading: file in pages/ without its suffix, and title; the first one lands
    "": {"race": "Race"},
    "Studies": {
        "data_efficiency": "Data efficiency",
        "learning_rate": "Learning rate",
        "recover_update": "Recover a known update",
    },
    "Look inside": {"experts": "Attention as experts", "inside": "Inside the reparameterization"},
    "Theory": {"identifiability": "Identifiability", "rates": "Rates"},
    "Yours": {"your_data": "Your data", "runs": "Runs"},
}
PAGES: dict[str, str] = {name: title for pages in MENU.values() for name, title in pages.items()}


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
    page.run()


def guard() -> None:
    """The first call of every page.

    A cold server runs the page of a deep link by itself, because there is a folder `pages/`. Declaring the navigation
    ends that mode; one rerun then begins with app.py.
    """
    if FRAMED not in st.session_state:
        st.session_state[FRAMED] = True
        _navigation()
        st.rerun()


def prose(name: str) -> None:
    """A text of `assets/style/`, with formulas."""
    st.markdown((STYLE / f"{name}.md").read_text(encoding="utf-8"))


def _navigation() -> Any:
    """All pages; the landing page under its own name too, where a link by file name would look for it."""
    folder = ROOT / "pages"
    landing = next(iter(PAGES))
    home = st.Page(folder / f"{landing}.py", title=PAGES[landing], url_path="home", default=True)
    pages: dict[str, list[Any]] = {
        heading: [
            st.Page(folder / f"{name}.py", title=title, visibility="hidden" if name == landing else "visible")
            for name, title in titles.items()
        ]
        for heading, titles in MENU.items()
    }
    pages[""].insert(0, home)
    return st.navigation(pages, position="top")
