"""The Classroom page put together: which of its views a visitor has."""

from __future__ import annotations

import streamlit as st

from replora.classroom.room import Room, RoomError
from replora.ui.classroom.address import SEAT
from replora.ui.classroom.entrance import WRONG, entrance
from replora.ui.classroom.instructor import instructor_view
from replora.ui.classroom.learner import learner_view
from replora.ui.classroom.projector import projector_view
from replora.ui.classroom.pulse import PAGE
from replora.ui.classroom.server import me, rooms
from replora.ui.parts.text import plain
from replora.ui.shell.embed import embedded
from replora.ui.shell.link import DESK, ROOM, VIEW
from replora.ui.shell.projector import projecting
from replora.ui.shell.style import STYLE

HEADER = "<header class='page'><h1>Classroom</h1><p>{}</p></header>"
ABOUT = "Each seat trains a race of its own; what all find together is the result."
FOUND = f"{PAGE}.found"  # the room of this session, by its code


def classroom_page() -> None:
    """A room's desk, a seat in it or its projector; else the ways to one."""
    st.html(STYLE / "classroom.css")
    view = _view()
    room = _room()
    if room is None:
        st.html(HEADER.format(ABOUT))
        entrance()
        return
    if projecting() or embedded():
        projector_view(room)
    elif view != SEAT and rooms().instructs(room, me()):
        st.html(HEADER.format("You teach this room."))
        instructor_view(room)
    else:
        st.html(HEADER.format(ABOUT))
        learner_view(room)


def _view() -> str:
    """The view of the link, '' without one; what is none is said and leaves the address."""
    view = st.query_params.get(VIEW, "")
    if view in ("", SEAT):
        return view
    st.warning(plain(f"{VIEW} must be {SEAT}, got {view[:40]!r}."))
    del st.query_params[VIEW]
    return ""


def _room() -> Room | None:
    """The room of the link. A code that opens none leaves the address, so that it is not asked for again and again; a
    key leaves it too, lest it is passed on or projected."""
    text, key = st.query_params.get(ROOM), st.query_params.get(DESK)
    if not text:
        return None
    try:
        code, name = st.session_state.get(FOUND, ("", ""))
        room = rooms().get(name) if code == text else rooms().find(text, me())
    except RoomError as error:
        st.session_state.pop(FOUND, None)
        st.session_state[WRONG] = str(error)
        st.query_params.clear()
        return None
    st.session_state[FOUND] = (text, room.id)
    if key is not None:
        del st.query_params[DESK]
        try:
            rooms().take_desk(room, key, me())
        except RoomError as error:
            st.warning(plain(str(error)))
    return room
