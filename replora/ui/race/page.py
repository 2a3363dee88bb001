"""The Race page put together: form on the left, buttons and live view on the right."""

from __future__ import annotations

import streamlit as st

from replora.ui.live.engine import engine
from replora.ui.parts.text import plain
from replora.ui.race.buttons import transport
from replora.ui.race.form import PROBLEMS, RUN, open_form, race_form, rate_asked, write_link
from replora.ui.race.session import RaceSession
from replora.ui.race.view import poll_seconds, pulse, race_view

SESSION = "race.session"
LINKED = "race.linked"  # the run that the link asked for, if it could be had
HEADER = (
    "<header class='page'><h1>Race</h1><p>One frozen model, the same batches, two ways to make A and B.</p></header>"
)


def race_page() -> None:
    """Controls, buttons, view; the URL follows them."""
    session = _session(st.query_params.get(RUN))
    opened = open_form(st.query_params, session.spec)
    jobs = engine()

    st.html(HEADER)
    with st.sidebar:
        form = race_form(opened, lambda: session.set_rate(jobs, rate_asked()))
    session.poll(jobs)
    write_link(form.chosen, session.job)

    if session.job != st.session_state[LINKED] or form.chosen != opened:
        st.session_state[PROBLEMS] = []  # the link has had its say
    for problem in [*st.session_state[PROBLEMS], session.problem, form.problem]:
        if problem:
            st.warning(plain(problem))
    transport(session, jobs, form.race)
    live = st.fragment(race_view, run_every=poll_seconds(session), key="race.live")
    live(session, jobs, form.race, pulse(session))


def _session(run: str | None) -> RaceSession:
    """This visitor's session; at its beginning it takes up the run of the URL."""
    if SESSION not in st.session_state:
        st.session_state[SESSION] = RaceSession()
        if run:
            st.session_state[SESSION].attach(engine(), run)
        st.session_state[LINKED] = st.session_state[SESSION].job
    session: RaceSession = st.session_state[SESSION]
    return session
