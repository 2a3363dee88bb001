"""The buttons of a page that runs its form: Run live, Stop, and back to the recording."""

from __future__ import annotations

from typing import Any

import streamlit as st

from replora.options import Spec
from replora.ui.live.engine import WatchedEngine
from replora.ui.live.session import JobSession
from replora.ui.live.standing import LEAVE, WATCHED


def run_buttons(
    page: str,
    session: JobSession[Any, Any],
    engine: WatchedEngine,
    spec: Spec | None,
    *,
    recorded: tuple[str, str],
    size: str = "",
) -> None:
    """Each enabled only where it would do something; `spec` is None where there is nothing to run.

    recorded: the label of the way back to the recording, and its help. size: how much Run live would run.
    """
    label, about = recorded
    watched = session.active and not session.steered
    with st.container(horizontal=True, key=f"{page}.buttons", gap="small", vertical_alignment="center"):
        st.button(
            "Run live",
            key=f"{page}.run",
            icon=":material/play_arrow:",
            type="primary",
            disabled=spec is None or (session.steered and session.spec == spec),
            on_click=session.run,
            args=(engine, spec),
        )
        st.button(
            "Stop",
            key=f"{page}.stop",
            icon=":material/stop:",
            disabled=not session.steered,
            on_click=session.cancel,
            args=(engine,),
            help=WATCHED if watched else "What is finished stays.",
        )
        st.button(
            label,
            key=f"{page}.reset",
            icon=":material/history:",
            disabled=session.job is None,
            on_click=session.reset,
            args=(engine,),
            help=f"{LEAVE} {about}" if watched else about,
        )
        if size:
            st.html(f'<p class="size">{size}</p>', width="content")
