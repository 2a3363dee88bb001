"""The Learning rate page: a sweep for each method, where the race stands in it, and one rate taken for the truth."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from replora.config import Run
from replora.figures.figure import Figure
from replora.figures.studies.rate import rate_figures
from replora.options import nearest
from replora.statistics.verdict import verdict
from replora.studies.base import of_kind
from replora.studies.events import StudyEvent
from replora.studies.races.cells import Comparison
from replora.studies.races.summary import StudySummary, at_the_end, compared, summarize_study
from replora.studies.races.text import study_csv
from replora.studies.selection import spec_of, sweep
from replora.studies.spec import DataStudy, RaceStudy, RateStudy, Study
from replora.ui.live.form import Form
from replora.ui.race.form import key_of
from replora.ui.studies.beside import races_beside
from replora.ui.studies.cards import rate_cards, single_rate_cards
from replora.ui.studies.form import StudyForm
from replora.ui.studies.make_it_lie import Lie, lie_panel
from replora.ui.studies.page import StudyPage, figures_and_fairness, study_page, verdict_html
from replora.ui.studies.pictures import (
    ShownRaceStudy,
    at_shared_rates,
    missing_pair,
    plotted_sweep,
    shared_rate,
)
from replora.ui.studies.session import StudySession
from replora.ui.studies.state import Selection, Selector, narrowed, recorded_races

FORM = StudyForm(
    "learning_rate",
    RateStudy,
    first=("task", "methods", "data_fraction", "rates", "seeds", "rank"),
    more=("lora_rank",),
)


class RateSession(StudySession):
    """The sweep that is shown."""

    noun = "a sweep of learning rates"
    study = RateStudy.name


def rate_page() -> None:
    """The whole page."""
    study_page(
        StudyPage(
            title="Learning rate",
            lead="Who is ahead at one rate says little. Who is once each has its best? Sweep it for both.",
            session=RateSession,
            form=FORM,
            selector=Selector(select_rate, _key, summarize_study, recorded_races),
            draw=_draw,
            csv=study_csv,
        )
    )


def select_rate(events: Sequence[StudyEvent], wanted: Study) -> Selection:
    """A sweep with the form's methods; out of a study of several fractions the one nearest to the form's."""
    spec, wanted = of_kind(spec_of(events), RaceStudy), of_kind(wanted, RateStudy)
    part, met = narrowed(events, wanted)
    notes = []
    if isinstance(spec, DataStudy):
        met.append("data_fraction")
        fraction = nearest(spec.fractions, wanted.data_fraction)
        part = sweep(part, fraction)
        if fraction != wanted.data_fraction:
            asked, found = (f"{100 * each:g} %" for each in (wanted.data_fraction, fraction))
            notes.append(f"{asked} of the data is not in this study's grid; {found}, the nearest, is shown.")
    return Selection(part, part, notes, met)


def race_rate() -> float:
    """Where the race stands: the learning rate of the Race page's form, or its default."""
    default: float = Run().learning_rate
    rate: float = st.session_state.get(key_of("learning_rate"), default)
    return rate


def _key(wanted: Study) -> str:
    wanted = of_kind(wanted, RateStudy)
    return f"rate {wanted.data_fraction:g} {','.join(wanted.methods)}"


def _draw(shown: ShownRaceStudy, wanted: Form[Study]) -> Sequence[Figure]:
    spec, summary, race = of_kind(shown.spec, RateStudy), shown.summary, race_rate()
    items = summary.fairness if summary else ()
    at_cards, at_verdict = st.container(), st.container()
    lie = lie_panel(FORM.page, summary)
    hidden = lie.only is not None
    with at_cards:
        if summary is not None and lie.only is not None:
            st.html(single_rate_cards(spec, summary, lie.only))
        else:
            st.html(rate_cards(spec, summary, race))
    with at_verdict:
        beside = "" if hidden else races_beside(summary, shown.beside)
        st.html(verdict_html(*_sentences(spec, summary, lie, race), items, beside=beside, hidden=hidden))
    marks = {} if hidden else {f"the race: {race:g}": race}
    if lie.pick is not None and not hidden:
        marks[f"your pick: {lie.pick:g}"] = lie.pick
    figures = rate_figures(plotted_sweep(shown, marks=marks, only=lie.only))
    figures_and_fairness(FORM, figures, items, wanted, hidden=hidden)
    return figures


def _sentences(spec: RaceStudy, summary: StudySummary | None, lie: Lie, race: float) -> tuple[str, str]:
    """The verdict with each method at its tuned rate, or with one rate as if it were the whole truth; the rest."""
    if compared(spec) is None:
        return missing_pair(spec), ""
    if summary is None or not summary.comparisons:
        return "No verdict before the first results.", ""
    if lie.only is not None:
        return lie.claim, "This is what a comparison at one shared rate would report."
    headline, rest = "", []
    for comparison in summary.main_comparisons[:1]:
        tuned = f"Each at its tuned rate{at_the_end(spec, comparison)}"
        lead = tuned if summary.spec.is_tuned else f"At the one rate {shared_rate(comparison):g}"
        headline = f"{lead}: {_said(comparison)}"
    at_race = next((each for each in at_shared_rates(summary) if shared_rate(each) == race), None)
    if at_race and summary.spec.is_tuned:
        rest.append(f"At the race's rate, {race:g}: {_said(at_race)}")
    if lie.pick is not None:
        rest.append(f"Your pick alone: {lie.claim}")
    rest += [summary.verdict[summary.verdict.index(each) :] for each in _lost_part(summary)]
    if summary.runs_done < summary.started.runs:
        headline = f"After {summary.runs_done} of {summary.started.runs} runs. {headline}"
    return headline, " ".join(rest)


def _lost_part(summary: StudySummary) -> list[str]:
    """Where the sentence on diverged runs begins in the verdict."""
    return [f"{summary.diverged} of {summary.runs_done} runs diverged"] if summary.diverged else []


def _said(comparison: Comparison) -> str:
    return verdict(
        list(comparison.differences.values()), comparison.method, comparison.reference, metric=comparison.metric
    )
