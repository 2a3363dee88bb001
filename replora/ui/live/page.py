"""What every page with a job does: take up the run of its link, follow the form, and redraw while the job is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import streamlit as st

from replora.jobs.engine import JobState
from replora.ui.components.ticker import ticker
from replora.ui.live.engine import engine, watch
from replora.ui.live.form import Form
from replora.ui.live.polling import poll_seconds
from replora.ui.live.session import JobSession
from replora.ui.parts.address import write_query
from replora.ui.parts.text import plain
from replora.ui.visitor.own_data import present

RUN = "run"  # the key of the run id in the query string
TASK = "task"  # that of the task

SessionOf = TypeVar("SessionOf", bound=JobSession[Any, Any])


def page_session(page: str, make: Callable[[], SessionOf]) -> SessionOf:
    """This visitor's session of a page; at its beginning it takes up the run of the URL."""
    key, run = f"{page}.session", st.query_params.get(RUN)
    if key not in st.session_state:
        st.session_state[key] = make()
        present(st.query_params.get(TASK, ""))  # a run on own data opens to who names the data
        if run:
            st.session_state[key].attach(engine(), run)
        st.session_state[_linked(page)] = st.session_state[key].job
    session: SessionOf = st.session_state[key]
    return session


def follow(
    page: str,
    session: JobSession[Any, Any],
    form: Form[Any],
    problems: list[str],
    view: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Take in the job's news, keep the URL a link to what is on the screen, and say what could not be had.

    problems: what the link asked for in vain; they go once the form says otherwise, or another run is shown. view: what
    the link carries beside.
    """
    session.poll(engine())
    if form.chosen is not None:
        run = {RUN: session.job, **session.beside()} if session.job else {}
        write_query({**form.chosen.to_query(), **run, **view})
    if session.job != st.session_state[_linked(page)] or form.chosen != form.opened:
        problems.clear()
    for problem in (*problems, session.problem, form.problem):
        if problem:
            st.warning(plain(problem))


@dataclass(frozen=True)
class Part:
    """A piece of a live page that is drawn by itself, anew once what it `shows` has changed.

    picture: a large one; a look draws one of them, that which has waited longest, so that none sends much.
    """

    name: str
    draw: Callable[[], None]
    shows: Callable[[], object]
    picture: bool = False


def live_part(page: str, session: JobSession[Any, Any], draw: Callable[[], None]) -> None:
    """Everything below the buttons, drawn by `draw`: again whenever the job has something new to tell."""
    live_parts(page, session, [Part("live", draw, lambda: news(session))])


def live_parts(
    page: str, session: JobSession[Any, Any], parts: Sequence[Part], places: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Everything below the buttons, piece by piece; places: the containers of those that stand elsewhere, by name."""
    watch().show(session.job if session.active else None)
    draw_parts(page, parts, places)
    if session.active:
        st.fragment(_ask, key=_asking(page))(page, session, parts, session.state)


def draw_parts(page: str, parts: Sequence[Part], places: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Each of them, where it stands on the page."""
    for part in parts:
        with places.get(part.name, nullcontext()):
            st.fragment(_show, key=f"{page}.{part.name}")(page, part)


def redraw(page: str, parts: Sequence[Part], clock: str) -> None:
    """Has those drawn again that show something new, and the `clock` that asks; ends this run where there are any."""
    if late := stale(parts, _shown(page)):
        st.rerun([*(f"{page}.{part.name}" for part in late), clock])


def news(session: JobSession[Any, Any]) -> tuple[object, ...]:
    """All that a job tells and can change by itself."""
    return session.status, len(session.events), engine().ready


def stale(parts: Sequence[Part], shown: Mapping[str, object]) -> list[Part]:
    """Those to draw now. shown: what each part showed when it was last drawn, in that order."""
    changed = [part for part in parts if part.name not in shown or shown[part.name] != part.shows()]
    order = list(shown)
    pictures = [part for part in changed if part.picture]
    pictures.sort(key=lambda part: order.index(part.name) if part.name in order else -1)
    return [part for part in changed if not part.picture or part is pictures[0]]


def _show(page: str, part: Part) -> None:
    """What was begun and not drawn to its end, since another run came between, is drawn again."""
    shown, shows = _shown(page), part.shows()
    shown.pop(part.name, None)
    part.draw()
    shown[part.name] = shows


def _ask(page: str, session: JobSession[Any, Any], parts: Sequence[Part], drawn: JobState | None) -> None:
    """Nothing but the clock, so that little is sent while nothing is new. `drawn` is the state of the buttons."""
    seconds = poll_seconds(session)
    if seconds is not None:
        ticker(seconds, key=f"{page}.ticker", on_tick=lambda: _look(page, session, parts, drawn))


def _look(page: str, session: JobSession[Any, Any], parts: Sequence[Part], drawn: JobState | None) -> None:
    """Take in what is new, and have what shows it drawn again: all where the buttons change."""
    session.poll(engine())
    watch().show(session.job if session.active else None)
    if session.state != drawn:
        st.rerun()
    redraw(page, parts, _asking(page))


def _asking(page: str) -> str:
    return f"{page}.news"


def _shown(page: str) -> dict[str, object]:
    """What each part showed when it was last drawn, the latest last."""
    shown: dict[str, object] = st.session_state.setdefault(f"{page}.shown", {})
    return shown


def _linked(page: str) -> str:
    """Where the run is kept that the link asked for, if it could be had."""
    return f"{page}.linked"
