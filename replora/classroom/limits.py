"""What the environment says of rooms: how many, how large, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from replora.options import option
from replora.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RoomLimits(Settings):
    """How many rooms are open, of all, of one visitor, from one address; their seats, bytes and hours."""

    max_rooms: int = option(50, "Rooms", "How many are open.", low=1, high=1000)
    max_visitor_rooms: int = option(3, "Rooms of one visitor", "How many one opened.", low=1, high=1000)
    max_address_rooms: int = option(10, "Rooms of one address", "How many from one.", low=1, high=1000)
    max_seats: int = option(60, "Seats", "How many a room has.", low=1, high=500)
    max_rooms_mb: float = option(50.0, "Size of rooms", "All rooms together.", unit="MB", low=1, high=1e5)
    room_hours: float = option(8.0, "Time of a room", "After which it closes.", unit="h", low=0.1, high=1000)
