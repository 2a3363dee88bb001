"""What every page with a job does: take up the run of its link, follow the form, and redraw while the job is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from replora.ui.live.engine import engine, watch
from replora.ui.live.form import Form
from replora.ui.live.polling import PollingKey, poll_seconds, polling_key
from replora.ui.live.session import JobSession
from replora.ui.parts.address import write_query
from replora.ui.parts.text import plain

RUN = "run"  # the key of the run id in the query string

SessionOf = TypeVar("SessionOf", bound=JobSession[Any, Any])


def page_session(page: str, make: Callable[[], SessionOf]) -> SessionOf:
    """This visitor's session of a page; at its beginning it takes up the run of the URL."""
    key, run = f"{page}.session", st.query_params.get(RUN)
    if key not in st.session_state:
        st.session_state[key] = make()
        if run:
            st.session_state[key].attach(engine(), run)
        st.session_state[_linked(page)] = st.session_state[key].job
    session: SessionOf = st.session_state[key]
    return session


def follow(page: str, session: JobSession[Any, Any], form: Form[Any], problems: list[str]) -> None:
    """Take in the job's news, keep the URL a link to what is on the screen, and say what could not be had.

    problems: what the link asked for in vain; they go once the form says otherwise, or another run is shown.
    """
    session.poll(engine())
    if form.chosen is not None:
        write_query({**form.chosen.to_query(), **({RUN: session.job} if session.job else {})})
    if session.job != st.session_state[_linked(page)] or form.chosen != form.opened:
        problems.clear()
    for problem in (*problems, session.problem, form.problem):
        if problem:
            st.warning(plain(problem))


def live_part(page: str, session: JobSession[Any, Any], draw: Callable[[], None]) -> None:
    """Everything below the buttons, drawn by `draw`: again and again while the job is on."""
    fragment = st.fragment(_redraw, run_every=poll_seconds(session), key=f"{page}.live")
    fragment(session, polling_key(session), draw)


def _redraw(session: JobSession[Any, Any], drawn: PollingKey, draw: Callable[[], None]) -> None:
    """`drawn` is the key the buttons were drawn with, which must not lag behind."""
    session.poll(engine())
    if polling_key(session) != drawn:
        st.rerun()
    watch().show(session.job if session.active else None)
    draw()


def _linked(page: str) -> str:
    """Where the run is kept that the link asked for, if it could be had."""
    return f"{page}.linked"
