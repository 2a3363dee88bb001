"""Where styles, scripts and prose are, and prose on a page."""

from __future__ import annotations

import streamlit as st

from replora.catalog import ASSETS

STYLE = ASSETS / "style"


def prose(name: str) -> None:
    """A text of `assets/style/`, with formulas."""
    st.markdown((STYLE / f"{name}.md").read_text(encoding="utf-8"))
