"""The Race page put together: form on the left, buttons and live view on the right."""

from __future__ import annotations

import streamlit as st

from replora.ui.live.engine import engine
from replora.ui.live.page import follow, live_parts, page_session
from replora.ui.race.buttons import transport
from replora.ui.race.form import PAGE, open_race, race_form, rate_asked
from replora.ui.race.session import RaceSession
from replora.ui.race.view import axis_switch, race_parts

HEADER = (
    "<header class='page'><h1>Race</h1><p>One frozen model, the same batches, two ways to make A and B.</p></header>"
)


def race_page() -> None:
    """Controls, buttons, view; the URL follows them."""
    session, jobs = page_session(PAGE, RaceSession), engine()
    opened, problems = open_race(st.query_params, session.spec)
    title, switch = st.columns([3, 1], vertical_alignment="bottom")
    with title:
        st.html(HEADER)
    with switch:
        axis_switch()
    with st.sidebar:
        form = race_form(opened, lambda: session.set_rate(jobs, rate_asked()))
    follow(PAGE, session, form, problems)
    race = form.chosen.race() if form.chosen else None
    transport(session, jobs, race)
    live_parts(PAGE, session, race_parts(session, jobs, race))
