"""What the whole class sees: the way in, who has come how far, and what all found; large, and without controls."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from replora.classroom.codes import shown_code
from replora.classroom.room import Phase, Room, Seat
from replora.ui.classroom.address import link_of
from replora.ui.classroom.pooled import show_pool
from replora.ui.classroom.pulse import pulse
from replora.ui.classroom.server import rooms
from replora.ui.classroom.words import changes_told, settings_told, standing_told
from replora.ui.live.page import Part
from replora.ui.share.address import addresses, qr_html
from replora.ui.shell.style import STYLE


def projector_view(room: Room) -> None:
    """Nothing to press but the way out, nothing to scroll past."""
    st.html(STYLE / "room.css")

    def marks() -> object:
        return rooms().marks(room.id)

    parts = [
        Part("banner", lambda: _banner(*_now(room.id)), marks),
        Part("pool", lambda: show_pool(*_now(room.id), large=True), marks, picture=True),
    ]
    pulse(room, parts, changed=lambda: False)


def _now(room: str) -> tuple[Room, Sequence[Seat]]:
    found = rooms().get(room)
    return found, rooms().seats(found)


def _banner(room: Room, seats: Sequence[Seat]) -> None:
    before = dict(rooms().rounds(room)).get(room.round - 1)
    change = changes_told(before, room.setup) if before else ""
    pages = addresses()
    way = ""
    if room.phase is not Phase.CLOSED:
        link = link_of(room, pages[0]) if pages else ""
        shown = escape(pages[0].partition("//")[2]) if pages else ""
        way = f'{qr_html(link) if link else ""}<div><p class="code">{shown_code(room.code)}</p><p>{shown}</p></div>'
    pushed = f'<p class="push">Now everyone: {escape(change)}</p>' if change else ""
    st.html(
        f'<div class="banner">{way}<div class="told">{pushed}<p>{escape(settings_told(room.setup))}</p>'
        f"<p><b>{escape(standing_told(room, seats))}</b></p></div></div>"
    )
