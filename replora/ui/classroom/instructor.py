"""The instructor's desk: the way in for others, what all train, and who has come how far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import streamlit as st

from replora.classroom.codes import shown_code
from replora.classroom.desk import Desk
from replora.classroom.room import Phase, Room, RoomError, Seat
from replora.classroom.setup import Setup
from replora.ui.classroom.address import link_of
from replora.ui.classroom.entrance import KEY
from replora.ui.classroom.form import setup_form
from replora.ui.classroom.pooled import show_downloads, show_earlier, show_pool
from replora.ui.classroom.pulse import PAGE, pulse
from replora.ui.classroom.server import conductor, me, rooms
from replora.ui.classroom.words import STATES, changes_told, settings_told, standing_told, state_of
from replora.ui.live.page import Part
from replora.ui.parts.text import plain
from replora.ui.share.address import ALONE, addresses, qr_html
from replora.ui.shell.link import DESK, PROJECTOR
from replora.ui.shell.projector import TRUE

SAID = f"{PAGE}.said"  # what the room did not allow


def instructor_view(room: Room) -> None:
    """Way in and settings on the left, the class on the right."""
    if SAID in st.session_state:
        st.warning(plain(st.session_state.pop(SAID)))
    with st.sidebar:
        _way_in(room)
        setup, problem = setup_form(room.setup, f"desk.{room.id}")
        if problem:
            st.warning(plain(problem))
    _buttons(room, setup)

    def marks() -> object:
        return rooms().marks(room.id)

    parts = [
        Part("standing", lambda: _standing(*_now(room.id)), marks),
        Part("pool", lambda: show_pool(*_now(room.id)), marks, picture=True),
        Part("seats", lambda: _seats(*_now(room.id)), marks),
    ]
    version = room.version
    pulse(room, parts, changed=lambda: rooms().marks(room.id)[0] != version)
    show_earlier(room)
    show_downloads(room)


def _now(room: str) -> tuple[Room, Sequence[Seat]]:
    found = rooms().get(room)
    return found, rooms().seats(found)


def _way_in(room: Room) -> None:
    """Code, address and QR code; the instructor's own link, where this session knows it."""
    pages = addresses()
    st.html(f'<p class="code" aria-label="Code of the room">{shown_code(room.code)}</p>')
    if not pages:
        st.caption(ALONE)
    else:
        page = pages[0]
        if len(pages) > 1:
            page = st.selectbox("Address that the class can reach", pages, key=f"{PAGE}.address") or pages[0]
        st.html(qr_html(link_of(room, page)))
        st.code(link_of(room, page), language=None, wrap_lines=True)
    with st.container(horizontal=True, gap="small"):
        st.link_button("Projector", link_of(room, **{PROJECTOR: TRUE}), icon=":material/present_to_all:")
        opened, key = st.session_state.get(KEY, ("", ""))
        if opened == room.id:
            with st.popover("Your key", icon=":material/key:"):
                st.caption("This link makes any browser the instructor's. It is kept nowhere: copy it now.")
                link = link_of(room, pages[0] if pages else "", **{DESK: key})
                st.code(link, language=None, wrap_lines=True)


def _buttons(room: Room, setup: Setup | None) -> None:
    """Each enabled only where it would do something."""
    desk = Desk(rooms(), room.id, me())
    over = room.phase is Phase.CLOSED
    pushed = setup is not None and setup != room.setup
    with st.container(horizontal=True, gap="small", key=f"{PAGE}.desk"):
        _button("Push to all", "push", "cast", over or not pushed, room, desk.push, setup, primary=pushed)
        start = "Go on" if room.phase is Phase.PAUSED else "Start everyone"
        started = room.phase is Phase.RUNNING
        _button(start, "start", "play_arrow", over or started, room, desk.start, primary=not pushed)
        _button("Pause", "pause", "pause", over or room.phase is Phase.PAUSED, room, desk.pause)
        _button("Reset", "reset", "replay", over, room, desk.reset)
        _button("Close", "close", "close", over, room, desk.close)
    if pushed and setup is not None:
        told = changes_told(room.setup, setup) or "who may do what"
        st.caption(plain(f"Not pushed yet: {told}. A push begins a new round; where all race, they race anew."))


def _button(
    label: str, name: str, icon: str, disabled: bool, room: Room, act: Callable[..., None], *values: Any,
    primary: bool = False,
) -> None:  # fmt: skip
    st.button(
        label,
        key=f"{PAGE}.{name}",
        icon=f":material/{icon}:",
        type="primary" if primary else "secondary",
        disabled=disabled,
        on_click=_act,
        args=(room.id, act, *values),
    )


def _act(room: str, act: Callable[..., None], *values: Any) -> None:
    try:
        act(*values)
        conductor().tend(room)
    except RoomError as error:
        st.session_state[SAID] = str(error)


def _standing(room: Room, seats: Sequence[Seat]) -> None:
    st.html(
        f'<div class="standing rest"><p><b>{escape(standing_told(room, seats))}</b>'
        f"<span>Round {room.round}</span></p></div><p class='footnote'>{escape(settings_told(room.setup))}</p>"
    )


def _seats(room: Room, seats: Sequence[Seat]) -> None:
    """A tile a seat, by its number: nobody's name, nobody's face."""
    tiles = [_tile(seat) for seat in seats]
    legend = " · ".join(f'<i class="{state}"></i>{escape(told)}' for state, told in STATES.items())
    messages = sorted({seat.message for seat in seats if seat.message})
    st.html(
        f'<h2 class="figure">Seats<span>{len(seats)}</span></h2><div role="list" class="seats">{"".join(tiles)}</div>'
        f'<p class="legend">{legend}</p>'
    )
    for message in messages[:3]:
        st.warning(plain(message))


def _tile(seat: Seat) -> str:
    state = state_of(seat)
    title = escape(seat.message or STATES[state])
    hidden = f'<span class="hidden"> {STATES[state]}</span>'
    return f'<span role="listitem" class="{state}" title="{title}">{seat.number}{hidden}</span>'
