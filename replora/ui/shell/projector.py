"""The projector view of every page: type and lines for the last row, the sidebar away, and a way out of it.

It is on in the link and stays on from page to page, until somebody leaves it.
"""

from __future__ import annotations

import streamlit as st

from replora.ui.shell.link import PROJECTOR
from replora.ui.shell.style import STYLE

TRUE = "true"  # in the query string
ON, LINKED = "projector.on", "projector.linked"  # of the session: whether it is on, and what the link said last
SWITCH = "frame.projector"


def projecting() -> bool:
    """Whether this session shows its pages to a room."""
    return bool(st.session_state.get(ON, st.query_params.get(PROJECTOR) == TRUE))


def projector_query() -> dict[str, str]:
    """What the link says of it."""
    return {PROJECTOR: TRUE} if projecting() else {}


def projector(*, switch: bool) -> None:
    """Take in what the link says, and draw the switch, or only the way out of the view where it is on."""
    wrong = _take_link()
    on = projecting()
    if on:
        st.query_params[PROJECTOR] = TRUE
        st.html(STYLE / "projector.css")
    if on or (switch and not st.context.is_embedded):
        st.session_state[SWITCH] = on
        with st.container(key="frame-projector"):
            st.toggle("Projector view", key=SWITCH, on_change=_turn)
    if wrong:
        st.warning(wrong)


def _take_link() -> str:
    """A sentence about a value that there is not; that leaves the address.

    Only what is new is taken in: a page that ticks may still send the link of before the switch was turned.
    """
    asked = st.query_params.get(PROJECTOR)
    before, st.session_state[LINKED] = st.session_state.get(LINKED), asked
    if asked is None or asked == before:
        return ""
    if asked == TRUE:
        st.session_state[ON] = True
        return ""
    del st.query_params[PROJECTOR]
    return f"{PROJECTOR} must be {TRUE}, got {asked[:40]!r}."


def _turn() -> None:
    st.session_state[ON] = st.session_state[SWITCH]
    if not st.session_state[ON]:
        st.query_params.pop(PROJECTOR, None)
