"""Where styles, scripts and prose are, and prose on a page."""

from __future__ import annotations

import streamlit as st

from replora.catalog import ASSETS

STYLE = ASSETS / "style"


def prose(name: str, **made: str) -> None:
    """A text of `assets/style/`, with formulas; made: what stands in the place of {{name}} in it."""
    text = (STYLE / f"{name}.md").read_text(encoding="utf-8")
    for place, sentence in made.items():
        text = text.replace(f"{{{{{place}}}}}", sentence)
    st.markdown(text)
