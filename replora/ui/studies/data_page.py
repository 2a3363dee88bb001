"""The Data efficiency page: accuracy against data fraction, with one rate for all or one tuned per method."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from replora.figures.figure import Figure
from replora.figures.studies.by_norm import norm_figure
from replora.figures.studies.data import data_figures
from replora.options import nearest
from replora.studies.base import of_kind
from replora.studies.events import StudyEvent
from replora.studies.races.by_norm import norm_sentence
from replora.studies.races.summary import StudySummary, compared, summarize_study
from replora.studies.races.text import study_csv
from replora.studies.races.tuning import SameTarget, same_target
from replora.studies.selection import one_rate, spec_of
from replora.studies.spec import DataStudy, RaceStudy, Study
from replora.ui.live.form import Form
from replora.ui.studies.beside import races_beside
from replora.ui.studies.cards import data_cards
from replora.ui.studies.form import StudyForm
from replora.ui.studies.page import StudyPage, figures_and_fairness, study_page, verdict_html
from replora.ui.studies.pictures import ShownRaceStudy, missing_pair, plotted_data_study, plotted_norms
from replora.ui.studies.session import StudySession
from replora.ui.studies.state import Selection, Selector, narrowed, recorded_races

FORM = StudyForm(
    "data_efficiency",
    DataStudy,
    first=("task", "methods", "tuned", "learning_rate", "equal", "seeds"),
    more=("fractions", "rates", "rank", "lora_rank"),
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
            selector=Selector(select_data, _key, summarize_study, recorded_races),
            draw=_draw,
            csv=study_csv,
        )
    )


def select_data(events: Sequence[StudyEvent], wanted: Study) -> Selection:
    """A data study with the form's methods; with one rate for all where the form asks for that and there is a grid."""
    spec, wanted = of_kind(spec_of(events), DataStudy), of_kind(wanted, DataStudy)
    wider, met = narrowed(events, wanted)
    notes = []
    part: Sequence[StudyEvent] = wider
    if spec.tuned:
        met += ["tuned", "learning_rate"]
    if spec.tuned and not wanted.tuned:
        rate = nearest(spec.rates, wanted.learning_rate)
        part = one_rate(wider, rate)
        if rate != wanted.learning_rate:
            notes.append(f"Rate {wanted.learning_rate:g} is not in this study's grid; {rate:g}, the nearest, is shown.")
    return Selection(part, wider, notes, met)


def _key(wanted: Study) -> str:
    wanted = of_kind(wanted, DataStudy)
    rate = "tuned" if wanted.tuned else f"{wanted.learning_rate:g}"
    return f"data {rate} {','.join(wanted.methods)}"


def _draw(shown: ShownRaceStudy, wanted: Form[Study]) -> Sequence[Figure]:
    spec, summary = of_kind(shown.spec, DataStudy), shown.summary
    items = summary.fairness if summary else ()
    st.html(data_cards(spec, summary))
    headline, rest = _sentences(spec, summary)
    tuning = _tuning(shown, spec)
    if tuning and summary and summary.data_needed[0].value is not None and summary.data_needed[0].excludes_some:
        headline = f"{headline.removesuffix('.')}; {tuning.headline()}."
    details = " ".join(filter(None, [tuning.sentence() if tuning else "", rest]))
    st.html(verdict_html(headline, details, items, beside=races_beside(summary, shown.beside)))
    figures = [*data_figures(plotted_data_study(shown)), norm_figure(plotted_norms(shown))]
    figures_and_fairness(FORM, figures, items, wanted)
    pair = compared(spec)
    if pair and (said := norm_sentence(shown.selected.selection.wider, spec.all_fractions[-1], pair)):
        st.html(f'<p class="footnote">{escape(said)}</p>')
    return figures


def _tuning(shown: ShownRaceStudy, spec: DataStudy) -> SameTarget | None:
    """What tuning alone saves, where one rate is shown of a study that has them all."""
    wider = shown.selected.selection.wider
    whole = spec_of(wider)
    if spec.tuned or whole is None or not whole.is_tuned:
        return None
    return same_target(wider, spec.learning_rate)


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
