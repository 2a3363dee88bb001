"""The Race page put together: form on the left, buttons and live view on the right."""

from __future__ import annotations

import streamlit as st

from replora.ui.forms.spec_form import open_spec
from replora.ui.live.engine import engine
from replora.ui.live.page import follow, live_parts, page_session
from replora.ui.parts.text import plain
from replora.ui.race.buttons import offer, transport
from replora.ui.race.form import PAGE, open_race, race_form, rate_asked, task_asked
from replora.ui.race.session import BEFORE, RaceSession
from replora.ui.race.state import last_race, recorded_race, shown_race
from replora.ui.race.view import RaceView, axis_switch, race_parts
from replora.ui.shell.embed import controls, embedded

RECALLED = f"{PAGE}.recalled"

HEADER = (
    "<header class='page'><h1>Race</h1>"
    "<p>One frozen model, the same batches, two ways to make A and B. Which of them learns faster?</p></header>"
)
ARISE_SHORT = '<h2 class="figure">How A and B arise</h2>'
ARISE = ARISE_SHORT.replace("</h2>", "<span>RepLoRA\u2019s MLPs; projections of both</span></h2>")


def race_page() -> None:
    """Controls, buttons, view; the URL follows them."""
    session, jobs = _session(), engine()
    looked, unknown = open_spec(RaceView, st.query_params, f"{PAGE}.view")
    opened, problems = open_race(st.query_params, session.spec)
    with st.container(
        horizontal=True, key="race.title", vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.html(HEADER, width="content")
        view = axis_switch(looked)
    with st.container(key="race.top"):
        result, knobs = st.columns([3, 2], gap="medium")
    with knobs, st.container(key="race.arise"):
        head = st.container(horizontal=True, key="race.arise.head", vertical_alignment="center", gap="small")
        group = controls() if embedded() else st.container()
    form = race_form(opened, lambda: session.set_rate(jobs, rate_asked()), group)
    with result:
        follow(PAGE, session, form, problems, view.to_query())
        for each in unknown:
            st.warning(plain(each))
        race, task = form.chosen.race() if form.chosen else None, task_asked()
        last = last_race(session, race, shown_race(session, jobs.ready, race, task).race)
        transport(session, jobs, race, last is not None)
    with head:
        st.html(ARISE if last is None else ARISE_SHORT, width="content")
        offer(session, jobs, race, last)
    standing, *pictures = race_parts(session, jobs, race, task)
    live_parts(PAGE, session, [standing, *pictures], {standing.name: result})


def _session() -> RaceSession:
    """This visitor's; at its beginning it takes up the races behind the one of the link."""
    begun = RECALLED in st.session_state
    session = page_session(PAGE, RaceSession)
    if not begun:
        st.session_state[RECALLED] = True
        jobs = [job for job in st.query_params.get(BEFORE, "").split(",") if job]
        session.recall(engine(), jobs, recorded_race)
    return session
