"""What is below the buttons of the Race page: standing, numbers and figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from replora.config import Race
from replora.events import Event, to_line
from replora.figures.figure import Figure
from replora.figures.race.figures import PlottedRace, race_figures
from replora.figures.race.table import number_rows, to_csv
from replora.ui.live.engine import WatchedEngine
from replora.ui.live.standing import show_standing
from replora.ui.parts.adapters import adapter_downloads
from replora.ui.parts.figure import show_figure
from replora.ui.parts.look_inside import inside_links
from replora.ui.race.cards import machine_line, race_cards, verdict_line
from replora.ui.race.result_card import race_result
from replora.ui.race.session import RaceSession
from replora.ui.race.state import grey_curves, shown_race


def race_view(session: RaceSession, engine: WatchedEngine, form: Race | None) -> None:
    """All of it; `form` is None while its controls hold nonsense."""
    shown = shown_race(session, engine.ready, form)
    show_standing(shown.standing, "race", session.status)
    race = shown.race
    st.html(race_cards(race.spec, race.events))
    st.html(f'<p class="verdict">{escape(verdict_line(race.events))}</p>')
    figures = race_figures(race)
    _figures(figures)
    st.html(f'<p class="footnote">{escape(_footnote(race))}</p>')
    _numbers(race)
    own = session.job if session.job and not race.recorded else ""
    inside_links(race.spec.task, own, page="race")
    adapters = adapter_downloads(engine, own, race.spec) if own else ()
    race_result(race, figures, own, adapters)


def _figures(figures: Sequence[Figure]) -> None:
    """Two by two, side by side where there is room."""
    for row in (figures[:2], figures[2:]):
        for column, figure in zip(st.columns(2, gap="medium"), row, strict=True):
            with column:
                show_figure(figure, "race")


def _footnote(race: PlottedRace) -> str:
    machine = machine_line(race.events)
    label = "Recorded run" if race.recorded else "This run"
    parts = [f"{label}: {machine}."] if machine else []
    if race.earlier:
        parts.append(f"{grey_curves(race.earlier, race.spec)}.")
    return " ".join(parts) or "\u00a0"


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
                lambda: to_csv(number_rows(events)),
                f"race_{task}.csv",
                "text/csv",
                on_click="ignore",
                key="race.csv",
            )
            st.download_button(
                "Events as JSON lines",
                lambda: "".join(to_line(each) + "\n" for each in events),
                f"race_{task}.jsonl",
                "application/jsonl",
                on_click="ignore",
                key="race.jsonl",
            )
