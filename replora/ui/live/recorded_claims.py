"""Sentences of the guides that are made of the recorded studies, so that they are true of whatever is recorded."""

from __future__ import annotations

from replora.catalog import TASKS
from replora.config import Run
from replora.events import EventError
from replora.methods import METHOD_TITLES, OURS, REFERENCE
from replora.statistics.intervals import named_by
from replora.studies.races.leads import Leads
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.selection import one_rate, spec_of
from replora.studies.spec import command
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


def measured() -> str:
    """What the recorded studies say at one rate for both and with rates tuned for each, with all data and the least."""
    rate: float = Run().learning_rate
    shared, chosen = _leads(rate), _leads(None)
    if not shared or not chosen:
        return MISSING
    ours, theirs = METHOD_TITLES[OURS], METHOD_TITLES[REFERENCE]
    least, most = shared.fractions[0], shared.fractions[-1]
    p_values = [found.p for task in TASKS for found in _summary(f"study_{task}", None).main_comparisons[-1:]]
    _, corrected = named_by([p for p in p_values if p is not None])
    return (
        f"With equal steps, each task by itself: at one small rate for both, {rate:g}, and with all data {ours} is "
        f"ahead on {shared.ahead[most]} of {shared.tasks} tasks; with {100 * least:g} % of the data on "
        f"{shared.ahead[least] or 'none'}, behind on "
        f"{shared.behind[least] or 'none'}. Once each has its own tuned rate, with all data {ours} is ahead on "
        f"{chosen.ahead[most] or 'none'} and {theirs} on {chosen.behind[most] or 'none'}; corrected for "
        f"{chosen.tasks} tasks (Holm), {corrected or 'none'} of these {'is' if corrected == 1 else 'are'} left."
    )


def commands() -> list[str]:
    """The commands of the studies that these sentences are made of, those that are recorded."""
    specs = [spec_of(STUDIES.events(f"study_{task}")) for task in TASKS if STUDIES.has(f"study_{task}")]
    return [command(spec) for spec in specs if spec is not None]


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
