"""How often a page asks its engine for news of the job that it shows."""

from __future__ import annotations

from typing import Any

from replora.jobs.engine import JobState
from replora.ui.live.session import JobSession

IDLE_SECONDS = 1.0  # paused, or with others before it in the queue
NEXT_SECONDS = 0.5  # next in line

PollingKey = tuple[JobState | None, float | None]


def poll_seconds(session: JobSession[Any, Any]) -> float | None:
    """Seconds between two looks; None where no news can come."""
    status = session.status
    if status is None or status.state.final:
        return None
    if status.state is JobState.PAUSED or status.position:
        return IDLE_SECONDS
    return NEXT_SECONDS if status.state is JobState.QUEUED else session.running_seconds()


def polling_key(session: JobSession[Any, Any]) -> PollingKey:
    """What buttons and polling depend on: when it changes, the whole page runs again."""
    return session.state, poll_seconds(session)
