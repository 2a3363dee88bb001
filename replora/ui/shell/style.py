"""Where styles, scripts and prose are, and prose on a page."""

from __future__ import annotations

import streamlit as st

from replora.catalog import ASSETS
from replora.ui.shell.menu import PAGES, path_of

STYLE = ASSETS / "style"


def prose(name: str, **made: str) -> None:
    """A text of `assets/style/`, with formulas; made: what stands in the place of {{name}} in it.

    A page's title in italics becomes a link to it.
    """
    text = (STYLE / f"{name}.md").read_text(encoding="utf-8")
    for place, sentence in made.items():
        text = text.replace(f"{{{{{place}}}}}", sentence)
    st.markdown(linked(text))


def linked(text: str) -> str:
    """The text with each page's title that it has in italics as a link to that page."""
    for name, title in PAGES.items():
        text = text.replace(f"*{title}*", f"[{title}]({path_of(name)})")
    return text
