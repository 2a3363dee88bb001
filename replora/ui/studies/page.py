"""What all pages of studies have in common: form on the left, buttons and live view on the right, and the URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic

import streamlit as st

from replora.figures.chart import Figure
from replora.studies.events import StudyEvent
from replora.studies.fairness import FairnessItem
from replora.studies.lines import to_line
from replora.ui.forms.spec_form import write_query
from replora.ui.live.engine import WatchedEngine, engine, watch
from replora.ui.parts.adapters import study_adapters
from replora.ui.parts.figure import show_figure
from replora.ui.parts.numbers import Download, plot_numbers
from replora.ui.parts.text import plain
from replora.ui.shell.style import STYLE
from replora.ui.studies.buttons import study_buttons
from replora.ui.studies.card import study_result
from replora.ui.studies.fairness import badge, fairness_list
from replora.ui.studies.form import StudyForm, open_study, study_form
from replora.ui.studies.screen import Shown, SummaryOf, Viewer, Wanted, choose, standing_html
from replora.ui.studies.session import StudySession, poll_seconds, pulse

RUN = "run"  # the key of the run id in the query string


@dataclass(frozen=True)
class StudyPage(Generic[SummaryOf]):
    """A page of studies: its form, how it looks at a study, and what it draws of it.

    session: of which studies. draw: everything between the standing and the
    footnote, given what is shown and the form; returns the figures. csv: one row a run.
    """

    title: str
    lead: str
    session: type[StudySession]
    form: StudyForm
    viewer: Viewer[SummaryOf]
    draw: Callable[[Shown[SummaryOf], Wanted], Sequence[Figure]]
    csv: Callable[[Sequence[StudyEvent]], str]


def study_page(page: StudyPage[SummaryOf]) -> None:
    """Controls, buttons, view; the URL follows them."""
    form = page.form
    opened, problems = open_study(form, st.query_params)
    session, jobs = _session(page, st.query_params.get(RUN)), engine()
    st.html(STYLE / "study.css")
    st.html(f"<header class='page'><h1>{escape(page.title)}</h1><p>{escape(page.lead)}</p></header>")
    with st.sidebar:
        chosen, problem = study_form(form, opened)
    session.poll(jobs)
    if chosen is not None:
        write_query({**chosen.to_query(), **({RUN: session.job} if session.job else {})})
    if session.job or chosen != opened:
        problems.clear()  # the link has had its say
    for each in (*problems, session.problem, problem):
        if each:
            st.warning(plain(each))
    study_buttons(form.page, session, jobs, chosen)
    wanted = Wanted(chosen or opened, chosen is not None)
    live = st.fragment(_view, run_every=poll_seconds(session), key=f"{form.page}.live")
    live(page, session, jobs, wanted, pulse(session))


def _session(page: StudyPage[SummaryOf], run: str | None) -> StudySession:
    """This visitor's session; at its beginning it takes up the run of the URL."""
    key = page.form.key("session")
    if key not in st.session_state:
        st.session_state[key] = page.session()
        if run:
            st.session_state[key].attach(engine(), run)
    session: StudySession = st.session_state[key]
    return session


def _view(
    page: StudyPage[SummaryOf], session: StudySession, jobs: WatchedEngine, wanted: Wanted, drawn: object
) -> None:
    """Everything below the buttons; `drawn` is the pulse they were drawn with, which must not lag behind."""
    session.poll(jobs)
    if pulse(session) != drawn:
        st.rerun()
    watch().show(session.job if session.active else None)
    shown = choose(session, jobs.ready, wanted, page.viewer)
    st.html(standing_html(shown))
    if shown.failure:
        st.error(plain(shown.failure))
    if session.status and session.status.notice:
        st.warning(plain(session.status.notice))
    figures = page.draw(shown, wanted)
    st.html(f'<p class="footnote">{shown.label or "&nbsp;"}</p>')
    downloads = _downloads(page, shown)
    plot_numbers(figures, page.form.page, downloads)
    job = session.job if session.job and not shown.recorded else ""
    adapters = study_adapters(jobs, job, shown.whole) if job and not session.active else ()
    study_result(shown, job, figures, downloads, page.form.page, adapters)


def figures_and_fairness(
    form: StudyForm,
    figures: Sequence[Figure],
    items: Sequence[FairnessItem],
    wanted: Wanted,
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


def verdict_html(headline: str, details: str, items: Sequence[FairnessItem], *, hidden: bool = False) -> str:
    """The sentence of the study, what it leaves out, and the badge."""
    return (
        f'<p class="verdict">{escape(headline)}</p><p class="details">{escape(details) or "&nbsp;"}</p>'
        f"{badge(items, hidden)}"
    )


def _downloads(page: StudyPage[SummaryOf], shown: Shown[SummaryOf]) -> list[Download]:
    """The results of all runs, as they are shown and as they were told."""
    name = f"{page.form.page}_{shown.spec.task}"
    return [
        Download("All runs as CSV", lambda: page.csv(shown.events), f"{name}.csv", "text/csv"),
        Download(
            "Events as JSON lines",
            lambda: "".join(to_line(each) + "\n" for each in shown.whole),
            f"{name}.jsonl",
            "application/jsonl",
        ),
    ]
