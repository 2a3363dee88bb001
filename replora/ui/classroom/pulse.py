"""The clock of a room's page: looks whether anything is new, and has only that drawn again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from replora.classroom.room import Phase, Room, RoomError
from replora.ui.classroom.server import conductor, rooms
from replora.ui.components.ticker import ticker
from replora.ui.live.page import Part, draw_parts, redraw

PAGE = "classroom"
CLOCK = f"{PAGE}.news"
SECONDS = 0.7  # so that a push is seen within one


def pulse(
    room: Room, parts: Sequence[Part], *, changed: Callable[[], bool], seconds: Callable[[], float] = lambda: SECONDS
) -> None:
    """Draws the parts, and each again once what it shows is new.

    changed: takes in what is new, and says whether all of the page must be drawn anew.
    """
    draw_parts(PAGE, parts)
    if room.phase is not Phase.CLOSED:
        st.fragment(_ask, key=CLOCK)(room.id, parts, changed, seconds)


def _ask(room: str, parts: Sequence[Part], changed: Callable[[], bool], seconds: Callable[[], float]) -> None:
    ticker(seconds(), key=f"{PAGE}.ticker", on_tick=lambda: _look(room, parts, changed))


def _look(room: str, parts: Sequence[Part], changed: Callable[[], bool]) -> None:
    try:
        conductor().tend(room)
        is_open = rooms().marks(room)[2]
    except RoomError:
        is_open = False  # the page, drawn anew, says why
    if not is_open or changed():
        st.rerun()
    redraw(PAGE, parts, CLOCK)
