"""A clock in the browser that asks for news: seldom while nobody sees the page, and never before the last answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st

from replora.ui.shell.style import STYLE

NAME = "replora.ticker"
HIDDEN_SECONDS = 10.0  # between two questions of a page that nobody sees
LOST_SECONDS = 10.0  # after which a question without an answer is asked again


@cache
def _script() -> str:
    return (STYLE / "ticker.js").read_text(encoding="utf-8")


def ticker(seconds: float, *, key: str, on_tick: Callable[[], None]) -> None:
    """Calls `on_tick` so many seconds after the fragment it stands in was last drawn, then draws that again.

    `on_tick` may ask for another run in place of that one, of which this must be a part.
    """
    answer: int = st.session_state.get(f"{key}.answer", 0) + 1
    st.session_state[f"{key}.answer"] = answer
    component: Any = st.components.v2.component(NAME, js=_script())
    data = {"seconds": seconds, "hidden": HIDDEN_SECONDS, "lost": LOST_SECONDS, "answer": answer}
    component(key=key, data=data, on_tick_change=on_tick)
