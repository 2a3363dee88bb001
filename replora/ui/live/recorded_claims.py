"""Sentences of the guides that are made of the recorded studies, so that they are true of whatever is recorded."""

from __future__ import annotations

from replora.catalog import TASKS
from replora.config import Run
from replora.events import EventError
from replora.studies.races.leads import Leads
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.selection import one_rate
from replora.ui.live.recordings import STUDIES, made_once

MISSING = "(The recorded studies are not all there to say it.)"


def small_data() -> str:
    """What the recorded studies say of the paper's claim on small data."""
    rate: float = Run().learning_rate
    leads = _leads(rate)
    return leads.at_one_rate(rate) if leads else MISSING


def tuned() -> str:
    """Who is ahead with rates tuned for each."""
    leads = _leads(None)
    return leads.when_tuned() if leads else MISSING


def _leads(rate: float | None) -> Leads | None:
    try:
        summaries = [_summary(f"study_{task}", rate) for task in TASKS]
    except EventError:
        return None
    return Leads.of(summaries)


def _summary(name: str, rate: float | None) -> StudySummary:
    events = STUDIES.events(name)
    found: StudySummary = made_once(
        name, f"claim {rate}", lambda: summarize_study(events if rate is None else one_rate(events, rate))
    )
    return found
