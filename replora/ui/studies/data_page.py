"""The Data efficiency page: accuracy against data fraction, with one rate for all or one tuned per method."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from replora.figures.figure import Figure
from replora.figures.studies.data import data_figures
from replora.studies.events import StudyEvent
from replora.studies.selection import nearest, one_rate, only_methods, spec_of
from replora.studies.spec import DataStudy, RaceStudy, Study
from replora.studies.summary import StudySummary, compared, study_csv, summarize_study
from replora.ui.live.form import Form
from replora.ui.studies.cards import data_cards
from replora.ui.studies.form import StudyForm
from replora.ui.studies.page import StudyPage, figures_and_fairness, study_page, verdict_html
from replora.ui.studies.pictures import ShownRaceStudy, data_picture, missing_pair
from replora.ui.studies.session import StudySession
from replora.ui.studies.state import Selection, Selector

FORM = StudyForm(
    "data_efficiency",
    DataStudy,
    first=("task", "methods", "tuned", "learning_rate", "fractions", "seeds"),
    more=("rates", "rank", "lora_rank"),
)


class DataSession(StudySession):
    """The data study that is shown."""

    noun = "a study of data efficiency"
    study = DataStudy.name


def data_page() -> None:
    """The whole page."""
    study_page(
        StudyPage(
            title="Data efficiency",
            lead="The same training examples, fewer and fewer of them. Which method needs less?",
            session=DataSession,
            form=FORM,
            selector=Selector(select_data, _key, summarize_study, lambda wanted: f"study_{wanted.task}"),
            draw=_draw,
            csv=study_csv,
        )
    )


def select_data(events: Sequence[StudyEvent], wanted: Study) -> Selection:
    """A data study with the form's methods; with one rate for all where the form asks for that and there is a grid."""
    spec = spec_of(events)
    assert isinstance(spec, DataStudy)
    assert isinstance(wanted, DataStudy)
    wider = narrowed(events, wanted)
    notes, met = [], ["methods"] if set(wanted.methods) <= set(spec.methods) else []
    part: Sequence[StudyEvent] = wider
    if spec.tuned:
        met += ["tuned", "learning_rate"]
    if spec.tuned and not wanted.tuned:
        rate = nearest(spec.rates, wanted.learning_rate)
        part = one_rate(wider, rate)
        if rate != wanted.learning_rate:
            notes.append(f"Rate {wanted.learning_rate:g} is not in this study's grid; {rate:g}, the nearest, is shown.")
    return Selection(part, wider, notes, met)


def narrowed(events: Sequence[StudyEvent], wanted: RaceStudy) -> Sequence[StudyEvent]:
    """The study with the form's methods only, or with all of its own where it has none of them."""
    spec = spec_of(events)
    assert isinstance(spec, RaceStudy)
    kept = set(spec.methods) & set(wanted.methods)
    return only_methods(events, wanted.methods) if kept and kept != set(spec.methods) else events


def _key(wanted: Study) -> str:
    assert isinstance(wanted, DataStudy)
    rate = "tuned" if wanted.tuned else f"{wanted.learning_rate:g}"
    return f"data {rate} {','.join(wanted.methods)}"


def _draw(shown: ShownRaceStudy, wanted: Form[Study]) -> Sequence[Figure]:
    spec, summary = shown.spec, shown.summary
    assert isinstance(spec, DataStudy)
    items = summary.fairness if summary else ()
    st.html(data_cards(spec, summary))
    st.html(verdict_html(*_sentences(spec, summary), items))
    figures = data_figures(data_picture(shown))
    figures_and_fairness(FORM, figures, items, wanted)
    return figures


def _sentences(spec: RaceStudy, summary: StudySummary | None) -> tuple[str, str]:
    """The data needed as the headline, where there is one; the rest of the verdict."""
    if compared(spec) is None:
        return missing_pair(spec), ""
    if summary is None or not summary.cells:
        return "No verdict before the first results.", ""
    if not summary.data_needed:
        return summary.verdict, ""
    first, *others = (each.sentence() for each in summary.data_needed)
    rest = summary.verdict.replace(first, "")
    if summary.data_needed[0].target is not None:
        return first, " ".join(rest.split())
    for each in others:
        rest = rest.replace(each, "")
    lead = (
        "No seed of both methods finished at every fraction, so no data needed can be read off."
        if summary.finished
        else "The data needed is read off once both have a finished run at every fraction."
    )
    return lead, " ".join(rest.split())
