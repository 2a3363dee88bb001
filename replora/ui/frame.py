"""The frame of every page: title, style, navigation, and the guard with which each page begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "assets" / "style"
NAME = "RepLoRA playground"
PAPER = "https://arxiv.org/abs/2502.03044"
FRAMED = "frame.framed"

PAGES: dict[str, str] = {  # file in pages/ without its suffix, and title; the first is the landing page
    "race": "Race",
    "data_efficiency": "Data efficiency",
    "learning_rate": "Learning rate",
    "recover_update": "Recover a known update",
    "identifiability": "Identifiability",
    "rates": "Rates",
}


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
    landing, *others = PAGES
    home = st.Page(folder / f"{landing}.py", title=PAGES[landing], url_path="home", default=True)
    named = st.Page(folder / f"{landing}.py", title=PAGES[landing], visibility="hidden")
    rest = [st.Page(folder / f"{name}.py", title=PAGES[name]) for name in others]
    return st.navigation([home, named, *rest], position="top")
