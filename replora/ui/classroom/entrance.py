"""Before anybody is in a room: a code to enter, or a room to open."""

from __future__ import annotations

import dataclasses
from functools import partial

import streamlit as st

from replora.catalog import LANGUAGE
from replora.classroom.room import RoomError
from replora.classroom.setup import STEPS, Setup
from replora.config import RaceOptions
from replora.options import SpecError
from replora.ui.classroom.pulse import PAGE
from replora.ui.classroom.server import me, rooms
from replora.ui.classroom.words import settings_told
from replora.ui.forms.controls import control
from replora.ui.forms.links import labelled
from replora.ui.forms.spec_form import open_spec
from replora.ui.parts.settings import value_text
from replora.ui.parts.text import plain
from replora.ui.shell.link import ROOM

KEY = f"{PAGE}.key"  # of the room that this session has opened, told to nobody else
WRONG = f"{PAGE}.wrong"  # what was wrong with the code at hand


def entrance() -> None:
    """Two ways in, side by side."""
    if WRONG in st.session_state:
        st.warning(plain(st.session_state.pop(WRONG)))
    join, teach = st.columns(2, gap="large")
    with join:
        st.subheader("Join a room")
        with st.form(f"{PAGE}.join", border=False):
            code = st.text_input("Code", key=f"{PAGE}.code", max_chars=20, placeholder="BCD FGH", autocomplete="off")
            if st.form_submit_button("Enter", type="primary", key=f"{PAGE}.enter"):
                _enter(code)
        st.caption("Six letters on the screen in front of you. No name, no account: you get a seat with a number.")
    with teach:
        st.subheader("Teach")
        st.caption(
            "Open a room: everybody joins by its code, each seat trains a race of its own, and what all found together "
            "is drawn while they press Play. It closes by itself."
        )
        linked = {"steps": str(STEPS), **st.query_params.to_dict()}
        opened, problems = open_spec(RaceOptions, linked, PAGE, check=labelled)
        for problem in problems:
            st.warning(plain(problem))
        show = partial(value_text, "task")
        task = control(RaceOptions, "task", key=f"{PAGE}.task", opened=opened.task, show=show, without=LANGUAGE)
        setup, problem = _setup(dataclasses.replace(opened, task=task))
        told = f"{settings_told(setup)}. All of it can be changed in the room, for all at once." if setup else problem
        st.caption(plain(told))
        st.button(
            "Open a room",
            type="primary",
            icon=":material/co_present:",
            key=f"{PAGE}.open",
            disabled=setup is None,
            on_click=_open,
            args=(setup,),
        )


def _setup(race: RaceOptions) -> tuple[Setup | None, str]:
    """What a room trains at first, or why it cannot."""
    try:
        return Setup(race=race), ""
    except SpecError as error:
        return None, str(error)


def _enter(code: str) -> None:
    try:
        room = rooms().find(code, me())
    except RoomError as error:
        st.warning(plain(str(error)))
        return
    st.query_params[ROOM] = room.code
    st.rerun()


def _open(setup: Setup) -> None:
    try:
        room, key = rooms().open(setup, me())
    except (RoomError, SpecError) as error:
        st.session_state[WRONG] = str(error)
        return
    st.session_state[KEY] = (room.id, key)
    st.query_params.from_dict({ROOM: room.code})
