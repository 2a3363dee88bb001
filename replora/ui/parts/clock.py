"""When something began, by the clock of who looks."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st


def local(told: str, zone: str | None) -> tuple[str, str]:
    """A time of the history, UTC to the second, as '2026-01-01 01:00' and the name of its zone, 'CET'.

    zone: as a browser calls its own; UTC where it tells none, or one that nobody here knows.
    """
    here: tzinfo = UTC
    if zone:
        try:
            here = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            here = UTC
    try:
        then = datetime.fromisoformat(told[:19]).replace(tzinfo=UTC).astimezone(here)
    except (ValueError, OverflowError):
        return told[:16].replace("T", " "), "UTC"
    return f"{then:%Y-%m-%d %H:%M}", then.tzname() or "UTC"


def started(told: str) -> tuple[str, str]:
    """The same by the clock of this visitor."""
    return local(told, st.context.timezone)
