"""What all pages of studies have in common: form on the left, buttons and live view on the right, and the URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic

import streamlit as st

from replora.catalog import PRIVATE_TASKS
from replora.figures.figure import Figure
from replora.own_data.private import PRIVATE, nameless_line
from replora.studies.events import StudyEvent
from replora.studies.fairness import FairnessItem
from replora.studies.lines import to_line
from replora.studies.spec import Study
from replora.ui.live.buttons import run_buttons
from replora.ui.live.engine import WatchedEngine, engine
from replora.ui.live.form import Form
from replora.ui.live.page import follow, live_part, page_session
from replora.ui.live.standing import show_standing
from replora.ui.parts.adapters import study_adapters
from replora.ui.parts.cards import sentence_html
from replora.ui.parts.figure import show_figure
from replora.ui.parts.numbers import Download, plot_numbers
from replora.ui.parts.text import NO_BREAK, file_word, plain
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE
from replora.ui.studies.fairness import badge, fairness_list
from replora.ui.studies.form import StudyForm, open_study, study_form
from replora.ui.studies.result_card import study_result
from replora.ui.studies.session import StudySession, count_of
from replora.ui.studies.state import Selector, ShownStudy, SummaryOf, shown_study
from replora.wording import counted

RECORDED = ("Recorded study", "Back to the full-size study that comes with the app.")


@dataclass(frozen=True)
class StudyPage(Generic[SummaryOf]):
    """A page of studies: its form, what it takes out of a study, and what it draws of that.

    session: of which studies. draw: everything between the standing and the
    footnote, given what is shown and the form; returns the figures. csv: one row a run.
    """

    title: str
    lead: str
    session: type[StudySession]
    form: StudyForm
    selector: Selector[SummaryOf]
    draw: Callable[[ShownStudy[SummaryOf], Form[Study]], Sequence[Figure]]
    csv: Callable[[Sequence[StudyEvent]], str]


def study_page(page: StudyPage[SummaryOf]) -> None:
    """Controls, buttons, view; the URL follows them."""
    fields = page.form
    session, jobs = page_session(fields.page, page.session), engine()
    opened, problems = open_study(fields, st.query_params, session.spec)
    st.html(STYLE / "study.css")
    st.html(f"<header class='page'><h1>{escape(page.title)}</h1><p>{escape(page.lead)}</p></header>")
    with controls():
        form = study_form(fields, opened)
    follow(fields.page, session, form, problems)
    size = _size(form.chosen) if form.chosen else ""
    run_buttons(fields.page, session, jobs, form.chosen, recorded=RECORDED, size=size)
    live_part(fields.page, session, lambda: _view(page, session, jobs, form))


def _size(spec: Study) -> str:
    runs = count_of(spec)
    return f"Live: {counted(runs, 'run')} of {spec.steps_in_words}"


def _view(page: StudyPage[SummaryOf], session: StudySession, jobs: WatchedEngine, form: Form[Study]) -> None:
    """Everything below the buttons."""
    shown = shown_study(session, jobs.ready, form, page.selector)
    show_standing(shown.standing, "study", session.status)
    private = shown.spec.task in PRIVATE_TASKS
    if private:
        st.info(plain(PRIVATE))
    figures = page.draw(shown, form)
    st.html(f'<p class="footnote">{shown.label or "&nbsp;"}</p>')
    downloads = _downloads(page, shown)
    plot_numbers(figures, page.form.page, downloads)
    if private:
        return
    job = session.job if session.job and not shown.recorded else ""
    adapters = study_adapters(jobs, job, shown.whole) if job and not session.active else ()
    study_result(shown, job, figures, downloads, page.form.page, adapters)


def figures_and_fairness(
    form: StudyForm,
    figures: Sequence[Figure],
    items: Sequence[FairnessItem],
    wanted: Form[Study],
    *,
    hidden: bool = False,
) -> None:
    """The pictures two by two where there is room, then the fairness list, in the last cell or a row of its own.

    hidden: without the list's items.
    """
    for place in range(0, len(figures), 2):
        pair = figures[place : place + 2]
        for at, column in enumerate(st.columns(2, gap="medium")):
            with column:
                if at < len(pair):
                    show_figure(pair[at], form.page)
                else:
                    fairness_list(form, items, wanted, hidden)
    if len(figures) % 2 == 0:
        fairness_list(form, items, wanted, hidden)


NOT_COUNTED = " not counted: "  # as `lost_sentence` of replora.statistics.verdict goes on to name runs


def verdict_html(
    headline: str, details: str, items: Sequence[FairnessItem], *, beside: str = "", hidden: bool = False
) -> str:
    """The sentence of the study, what it leaves out, the recorded study beside it, and the badge."""
    more = f'<p class="beside">{escape(beside)}</p>' if beside else ""
    headline, lost = _without_names(headline)
    details, others = _without_names(details)
    which = "".join(
        f'<details class="which"><summary>Which runs diverged</summary><p>{escape(names)}</p></details>'
        for names in dict.fromkeys(filter(None, (lost, others)))
    )
    return (
        f"{sentence_html(headline)}{sentence_html(details or NO_BREAK, 'details')}{which}{more}{badge(items, hidden)}"
    )


def _without_names(text: str) -> tuple[str, str]:
    """A text that may end with a list of the runs that diverged: it without the list, and the list."""
    lead, found, names = text.partition(NOT_COUNTED)
    return (f"{lead}{NOT_COUNTED[:-2]}.", names) if found else (text, "")


def _downloads(page: StudyPage[SummaryOf], shown: ShownStudy[SummaryOf]) -> list[Download]:
    """The results of all runs, as they are shown and as they were told."""
    name = f"{page.form.page}_{file_word(shown.spec.task)}"
    return [
        Download("All runs as CSV", lambda: page.csv(shown.events), f"{name}.csv", "text/csv"),
        Download(
            "Events as JSON lines",
            lambda: "".join(nameless_line(to_line(each)) + "\n" for each in shown.whole),
            f"{name}.jsonl",
            "application/jsonl",
        ),
    ]
