"""How often a page asks its engine for news of the job that it shows."""

from __future__ import annotations

from typing import Any

from replora.jobs.engine import JobState
from replora.ui.live.session import JobSession

IDLE_SECONDS = 1.0  # paused, or for each job before it in the queue
FAR_SECONDS = 4.0  # the most: a class that waits must not take the processor from the race that is on
NEXT_SECONDS = 0.5  # next in line
CROWD_SECONDS = 0.2  # for each job that is on: what all pages are redrawn for together costs the same however many


def poll_seconds(session: JobSession[Any, Any]) -> float | None:
    """Seconds between two looks; None where no news can come."""
    status = session.status
    if status is None or status.state.final:
        return None
    if status.state is JobState.PAUSED or status.position:
        return min(IDLE_SECONDS * max(status.position, 1), FAR_SECONDS)
    if status.state is JobState.QUEUED:
        return NEXT_SECONDS
    return max(session.running_seconds(), min(CROWD_SECONDS * (1 + status.company), FAR_SECONDS))
