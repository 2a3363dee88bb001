"""What the link to a room says."""

from __future__ import annotations

from urllib.parse import urlencode

from replora.classroom.room import Room
from replora.ui.shell.link import ROOM

SEAT = "seat"  # the one view there is beside the desk


def link_of(room: Room, page: str = "", **more: str) -> str:
    """The link to a room, from a page's address, or from the page at hand."""
    return f"{page}?{urlencode({ROOM: room.code, **more})}"
