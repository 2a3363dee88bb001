"""What is below the buttons of the Race page: standing, numbers and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape

import streamlit as st

from replora.catalog import PRIVATE_TASKS
from replora.config import Race
from replora.csv_text import rows_csv
from replora.events import Diverged, Evaluated, Event, EventError, RateChanged, Started, Step, to_line
from replora.figures.figure import Figure
from replora.figures.race.by_norm import equal_norm_sentences, figures_by_norm
from replora.figures.race.figures import PlottedRace, step_figures, tested_figures
from replora.figures.race.table import number_rows
from replora.options import Linked, option
from replora.own_data.private import PRIVATE, nameless_line, own_task
from replora.ui.live.engine import WatchedEngine
from replora.ui.live.page import Part, news
from replora.ui.live.standing import show_standing
from replora.ui.parts.adapters import adapter_downloads
from replora.ui.parts.cards import sentence_html
from replora.ui.parts.figure import Sheet, sheet_of, show_figure
from replora.ui.parts.look_inside import inside_links
from replora.ui.parts.once import Once
from replora.ui.parts.text import file_word, plain
from replora.ui.race.cards import change_line, machine_line, race_cards, verdict_line
from replora.ui.race.change import change_told, unlike_recorded
from replora.ui.race.looks import looks_sentence
from replora.ui.race.result_card import race_result
from replora.ui.race.session import RaceSession
from replora.ui.race.state import ShownRace, grey_curves, recorded_race, shown_race

Drawn = Callable[[PlottedRace], Sequence[Figure]]
AXES = {"steps": "Steps", "norm": "Norm of the update"}
AXIS = "race.axis"
MARKS = (RateChanged, Diverged)
SHEETS: Once[list[Sheet]] = Once(64)  # some 60 kB each


def race_parts(session: RaceSession, engine: WatchedEngine, form: Race | None, task: str = "") -> list[Part]:
    """All of it, what is told at each step apart from the rest; `form` is None while its controls hold nonsense.

    task: the one of the form, even then; '' whatever is shown.
    """

    def shown() -> ShownRace:
        return shown_race(session, engine.ready, form, task)

    def told(*kinds: type[Event]) -> tuple[object, ...]:
        return session.state, engine.ready, sum(isinstance(event, kinds) for event in session.events)

    return [
        Part("standing", lambda: _standing(session, shown()), lambda: news(session)),
        Part("tests", lambda: _tests(session, shown().race), lambda: told(Evaluated, *MARKS), picture=True),
        Part("steps", lambda: _figures(session, shown().race, step_figures), lambda: told(Step, *MARKS), picture=True),
        Part("rest", lambda: _rest(session, engine, shown().race), lambda: told(Evaluated, Started)),
    ]


def _standing(session: RaceSession, shown: ShownRace) -> None:
    show_standing(shown.standing, "race", session.status)
    race = shown.race
    if race.spec.task in PRIVATE_TASKS:
        st.info(plain(PRIVATE))
    st.html(race_cards(race.spec, race.events))
    st.html(sentence_html(verdict_line(race.events)))
    if race.earlier:
        told, made = change_told(race.events, race.earlier[0], race.spec)
        looks = looks_sentence([race.events, *race.earlier], session.passed, more=session.cut)
        st.html(change_line(told, " ".join(filter(None, [made, looks]))))


@dataclass(frozen=True, kw_only=True)
class RaceView(Linked):
    """How a race is looked at: what a link to it carries beside its options."""

    axis: str = option("steps", "Horizontal axis", "Of the first two pictures.", choices=tuple(AXES))


def axis_switch(opened: RaceView) -> RaceView:
    """What stands along the horizontal axis of the first two pictures."""
    chosen = st.segmented_control(
        "Horizontal axis",
        list(AXES),
        default=opened.axis,
        required=True,
        format_func=AXES.__getitem__,
        key=AXIS,
        label_visibility="collapsed",
        help="Over the norm of delta_weight one sees whether a method is only further along the same road.",
        persist_state="session",
    )
    return RaceView(axis=chosen or opened.axis)


def _tests(session: RaceSession, race: PlottedRace) -> None:
    """What the runs are judged by and what is beside it, over the steps or over the norm of the update."""
    if st.session_state.get(AXIS) != "norm":
        _figures(session, race, tested_figures)
        return
    _figures(session, race, figures_by_norm)
    said = " ".join(equal_norm_sentences(race.events))
    if said:
        st.html(f'<p class="footnote">{escape(said)}</p>')


def _figures(session: RaceSession, race: PlottedRace, drawn: Drawn) -> None:
    """Side by side where there is room."""
    sheets = _sheets(session, race, drawn)
    for column, sheet in zip(st.columns(len(sheets), gap="medium"), sheets, strict=True):
        with column:
            show_figure(sheet, "race")


def _sheets(session: RaceSession, race: PlottedRace, drawn: Drawn) -> list[Sheet]:
    """The figures, drawn once for all who look at a run, unless they are on own data or beside one's earlier races."""

    def draw() -> list[Sheet]:
        return [sheet_of(figure) for figure in drawn(race)]

    task = race.spec.task
    if race.recorded or race.earlier or task in PRIVATE_TASKS or own_task({"task": task}):
        return draw()
    return SHEETS((session.job, drawn, len(race.events), race.moving, race.message), draw)


def _rest(session: RaceSession, engine: WatchedEngine, race: PlottedRace) -> None:
    """What is below the figures."""
    st.html(f'<p class="footnote">{escape(_footnote(session, race))}</p>')
    _numbers(race)
    if race.spec.task in PRIVATE_TASKS:
        return
    own = session.job if session.job and not race.recorded else ""
    inside_links(race.spec.task, own, page="race")
    adapters = adapter_downloads(engine, own, race.spec) if own else ()
    race_result(race, own, adapters)


def _footnote(session: RaceSession, race: PlottedRace) -> str:
    machine = machine_line(race.events)
    label = "Recorded run" if race.recorded else "This run"
    parts = [f"{label}: {machine}."] if machine else []
    if race.earlier:
        parts.append(f"{grey_curves(session.earlier, race.spec)}.")
    elif not race.recorded:
        with suppress(EventError):  # nothing recorded: nothing to differ from
            parts.append(unlike_recorded(race.events, recorded_race(race.spec.task)))
    return " ".join(filter(None, parts)) or "\u00a0"


def _numbers(race: PlottedRace) -> None:
    events: Sequence[Event] = race.events
    with st.expander("Show numbers", on_change="rerun", key="race.numbers") as box:
        if not box.open:
            return
        rows = number_rows(events, evaluations_only=True)
        if not rows:
            st.caption("Nothing has been measured yet.")
            return
        st.dataframe(rows, hide_index=True)
        with st.container(horizontal=True):
            task = race.spec.task
            st.download_button(
                "All steps as CSV",
                lambda: rows_csv(number_rows(events)),
                f"race_{file_word(task)}.csv",
                "text/csv",
                on_click="ignore",
                key="race.csv",
            )
            st.download_button(
                "Events as JSON lines",
                lambda: "".join(nameless_line(to_line(each)) + "\n" for each in events),
                f"race_{file_word(task)}.jsonl",
                "application/jsonl",
                on_click="ignore",
                key="race.jsonl",
            )
