"""The buttons of a study: Run live, Stop, Recorded study."""

from __future__ import annotations

import streamlit as st

from replora.studies.spec import Study
from replora.ui.live.engine import WatchedEngine
from replora.ui.studies.session import StudySession, count_of
from replora.wording import count


def study_buttons(page: str, session: StudySession, engine: WatchedEngine, wanted: Study | None) -> None:
    """Each enabled only where it would do something; `wanted` is None where there is nothing to run."""
    with st.container(horizontal=True, key=f"{page}.buttons", gap="small", vertical_alignment="center"):
        st.button(
            "Run live",
            key=f"{page}.run",
            icon=":material/play_arrow:",
            type="primary",
            disabled=wanted is None or (session.active and session.spec == wanted),
            on_click=session.run,
            args=(engine, wanted),
        )
        st.button(
            "Stop",
            key=f"{page}.stop",
            icon=":material/stop:",
            disabled=not session.active,
            on_click=session.cancel,
            args=(engine,),
            help="What is finished stays.",
        )
        st.button(
            "Recorded study",
            key=f"{page}.reset",
            icon=":material/history:",
            disabled=session.job is None,
            on_click=session.reset,
            args=(engine,),
            help="Back to the full-size study that comes with the app.",
        )
        if wanted is not None:
            st.html(f'<p class="size">{_size(wanted)}</p>', width="content")


def _size(spec: Study) -> str:
    runs = count_of(spec)
    return f"Live: {count(runs)} run{'s' if runs != 1 else ''} of {count(spec.steps)} steps"
