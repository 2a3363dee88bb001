"""What texts of stations may have computed, by the name in double braces: sentences made of the recorded studies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from replora.config import Run
from replora.events import EventError, started_of
from replora.methods import ABLATION, METHOD_TITLES, OURS, REFERENCE
from replora.simulation.specs import Split
from replora.simulation.splits import moment
from replora.statistics.verdict import lost_count
from replora.studies.events import StudyEvent
from replora.studies.races.cells import Comparison
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.races.tuning import same_target
from replora.studies.selection import one_rate, sweep
from replora.studies.teachers.summary import summarize_teacher
from replora.summary import race_verdict, summarize
from replora.ui.live.recorded_claims import MISSING, measured, small_data, tuned
from replora.ui.live.recordings import RACES, STUDIES, made_once
from replora.ui.studies.make_it_lie import winner
from replora.ui.studies.pictures import at_shared_rates, shared_rate
from replora.wording import count, listing

TASK, STUDY, ALL = "digits", "study_digits", 1.0
TOPICS = "wordnet_topics"  # where validation has chosen another rate for each
PLAIN, SHARED = "plain", "shared"
ROUNDING = 1e-12


def _first_race() -> str:
    """The recorded race that the Race page shows first."""
    summary = summarize(RACES.events(f"race_{TASK}"))
    return race_verdict(summary) if summary else MISSING


def _parameters() -> str:
    """What is trained and what is kept, in that race."""
    started = started_of(RACES.events(f"race_{TASK}"))
    assert started, "Recordings have a start."
    parts = [
        f"{METHOD_TITLES[run.method.name]} trains {count(facts.trained_parameters)} parameters and keeps "
        f"{count(facts.deployed_parameters)}"
        for run, facts in zip(started.spec.runs, started.facts, strict=True)
    ]
    return f"{listing(parts)}."


def _same_rate() -> str:
    """With all data and the default rate."""
    rate: float = Run().learning_rate
    found = _at_rate(rate)
    return f"At {rate:g} and with all data: {found.verdict}" if found else MISSING


def _rates(task: str) -> str:
    """At every rate of the grid, with all data: who is ahead."""
    summary = _sweep(task)
    leads: dict[str, list[str]] = {OURS: [], REFERENCE: [], "": []}
    for found in at_shared_rates(summary) if summary else []:
        leads[winner(found) or ""].append(f"{shared_rate(found):g}")
    parts = [f"{METHOD_TITLES[name]} is ahead at {listing(rates)}" for name, rates in leads.items() if name and rates]
    parts += [f"it cannot be told at {listing(leads[''])}"] if leads[""] else []
    cells = [cell for cell in summary.cells if cell.method in (OURS, REFERENCE)] if summary else []
    lost, runs = sum(cell.diverged for cell in cells), sum(cell.n + cell.diverged for cell in cells)
    more = f"; {lost_count(lost, runs)}" if lost else ""
    return f"{'; '.join(parts)} (each rate by itself{more})." if parts else MISSING


def _tuned(task: str) -> str:
    """With all data, each at the rate that validation has chosen."""
    summary = _sweep(task)
    if not summary or not summary.main_comparisons:
        return MISSING
    found = summary.main_comparisons[0]
    rates = " and ".join(f"{METHOD_TITLES[name]} at {found.rates[name]:g}" for name in (REFERENCE, OURS))
    return f"{rates}: {found.verdict}"


def _epochs() -> str:
    """With the least data and with all, at equal steps and at equal epochs."""
    rate: float = Run().learning_rate
    parts = []
    for equal, name in (("steps", STUDY), ("epochs", f"{STUDY}_epochs")):
        summary = _summary(name, "one rate", lambda events: one_rate(events, rate))
        ends = [summary.main_comparisons[at] for at in (0, -1)] if summary else []
        told = [f"{100 * each.fraction:g} % of the data: {_short(each)}" for each in ends]
        parts.append(f"Equal {equal}: {'; '.join(told)}.")
    return f"Digits, {rate:g} for both. {' '.join(parts)}"


def _short(found: Comparison) -> str:
    return found.verdict.split(" over ")[0]


def _data_at_one_rate() -> str:
    """The data that RepLoRA needs to reach LoRA with all, one rate for both, and what tuning LoRA's alone saves."""
    rate: float = Run().learning_rate
    single = _summary(STUDY, "one rate", lambda events: one_rate(events, rate))
    target = same_target(STUDIES.events(STUDY), rate)
    if not single or not single.data_needed or target is None:
        return MISSING
    return f"{single.data_needed[0].sentence()} {target.sentence()}"


def _data_needed() -> str:
    """The data that each needs with rates tuned for each."""
    summary = _summary(STUDY, "all", lambda events: events)
    return " ".join(each.sentence() for each in summary.data_needed) if summary and summary.data_needed else MISSING


def _teacher(world: str) -> str:
    """Tying alone, without the MLPs, with the fewest examples and with the most."""
    name = f"teacher_{world}"
    summary = made_once(name, "tour", lambda: summarize_teacher(STUDIES.events(name)))
    if summary is None:
        return MISSING
    own = sorted((each for each in summary.ratios if each.student == ABLATION[1]), key=lambda each: each.examples)
    return " ".join(f"With {each.examples} images: {each.verdict}" for each in (own[0], own[-1]))


def _split() -> str:
    """Computed, not recorded: both excess losses at the page's first split."""
    at = Split()
    now = moment(at)
    plain, shared = (f"{loss:.2g}" if loss > ROUNDING else "0" for loss in (now.loss[PLAIN], now.loss[SHARED]))
    return (
        f"At δ = {at.delta:g} the excess loss is {plain} for plain and {shared} for shared, which "
        f"{now.samples[SHARED]:.0f} observations notice."
    )


def _at_rate(rate: float) -> Comparison | None:
    summary = _sweep()
    return next((each for each in at_shared_rates(summary) if shared_rate(each) == rate), None) if summary else None


def _sweep(task: str = TASK) -> StudySummary | None:
    return _summary(f"study_{task}", "sweep", lambda events: sweep(events, ALL))


def _summary(name: str, key: str, part: Callable[[Sequence[StudyEvent]], Sequence[StudyEvent]]) -> StudySummary | None:
    found: StudySummary | None = made_once(name, f"tour {key}", lambda: summarize_study(part(STUDIES.events(name))))
    return found


def _said(make: Callable[[], str]) -> Callable[[], str]:
    def told() -> str:
        try:
            return make()
        except EventError:
            return MISSING

    return told


MADE: dict[str, Callable[[], str]] = {
    name: _said(make)
    for name, make in {
        "measured": measured,
        "small_data": small_data,
        "who_leads_tuned": tuned,
        "first_race": _first_race,
        "parameters": _parameters,
        "same_rate": _same_rate,
        "each_rate_topics": lambda: _rates(TOPICS),
        "tuned_topics": lambda: _tuned(TOPICS),
        "epochs": _epochs,
        "data_at_one_rate": _data_at_one_rate,
        "data_needed": _data_needed,
        "teacher_tied": lambda: _teacher("tied"),
        "teacher_untied": lambda: _teacher("untied"),
        "split": _split,
    }.items()
}
