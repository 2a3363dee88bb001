"""The live part of the Race page: its standing, numbers and pictures. Redrawn in place while a job runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from replora.config import Race
from replora.events import Event, EventError, Started, Step, to_line
from replora.figures.chart import Figure
from replora.figures.race.figures import Picture, format_rate, race_figures
from replora.figures.race.table import number_rows, to_csv
from replora.jobs.engine import JobState
from replora.summary import summarize
from replora.ui.live.engine import WatchedEngine, watch
from replora.ui.live.recordings import recorded_race
from replora.ui.parts.adapters import adapter_downloads
from replora.ui.parts.figure import show_figure
from replora.ui.parts.look_inside import inside_links
from replora.ui.parts.settings import unlike
from replora.ui.parts.text import plain
from replora.ui.race.card import race_result
from replora.ui.race.cards import board, machine_line, verdict_line
from replora.ui.race.session import RaceSession
from replora.wording import count, duration, listing

POLL_FIRST_SECONDS = 0.2  # until the first step, for which people wait
POLL_SECONDS = 0.5
POLL_IDLE_SECONDS = 1.0  # in the queue, or paused
PACE_STEPS = 20


@dataclass(frozen=True)
class Shown:
    """What is on the screen: a picture, where it stands in words, how far it is, and a warning."""

    picture: Picture
    standing: str
    done: float
    hint: str = ""
    failure: str = ""
    moving: bool = False


def poll_seconds(session: RaceSession) -> float | None:
    """How often to ask for news; None where none can come."""
    if not session.active:
        return None
    if session.state is JobState.PAUSED or (session.status and session.status.position):
        return POLL_IDLE_SECONDS
    begun = any(isinstance(each, Step) for each in session.events)
    return POLL_SECONDS if begun or session.state is JobState.QUEUED else POLL_FIRST_SECONDS


def pulse(session: RaceSession) -> tuple[JobState | None, float | None]:
    """What buttons and polling depend on: when it changes, the whole page runs again."""
    return session.state, poll_seconds(session)


def race_view(session: RaceSession, engine: WatchedEngine, form: Race | None, drawn: object) -> None:
    """Everything below the buttons; `drawn` is the pulse they were drawn with, which must not lag behind."""
    session.poll(engine)
    if pulse(session) != drawn:
        st.rerun()
    watch().show(session.job if session.active else None)
    shown = choose(session, engine.ready, form)
    st.html(_standing(shown))
    if shown.failure:
        st.error(plain(shown.failure))
    if session.status and session.status.notice:
        st.warning(plain(session.status.notice))
    picture = shown.picture
    st.html(board(picture.spec, picture.events))
    st.html(f'<p class="verdict">{escape(verdict_line(picture.events))}</p>')
    figures = race_figures(picture)
    _figures(figures)
    st.html(f'<p class="footnote">{escape(_footnote(picture))}</p>')
    _numbers(picture)
    own = session.job if session.job and not picture.recorded else ""
    inside_links(picture.spec.task, own, page="race")
    adapters = adapter_downloads(engine, own, picture.spec) if own else ()
    race_result(picture, figures, own, adapters)


def choose(session: RaceSession, ready: bool, form: Race | None) -> Shown:
    """The session's race, or the recorded one where there is none, or where another task has been chosen since."""
    spec = session.spec
    elsewhere = spec is not None and not session.active and form is not None and form.task != spec.task
    if spec is None or elsewhere:
        return _recorded(form or spec or Race())
    return _live(session, spec, ready, form)


def _recorded(form: Race) -> Shown:
    try:
        events = recorded_race(form.task)
    except EventError as error:
        return Shown(Picture(form, message="Press Play"), "No recorded run", 0.0, hint=str(error))
    spec = next(each.spec for each in events if isinstance(each, Started))
    summary = summarize(events)
    seconds = f" in {duration(summary.seconds)}" if summary else ""
    others = unlike(spec, form, without=("device", "precision"))
    hint = f"Recorded with: {listing(others)}. Play runs your settings." if others else "Press Play to run it yourself."
    standing = f"Recorded run: {spec.steps} steps{seconds}"
    return Shown(Picture(spec, events, recorded=True), standing, 1.0, hint)


def _live(session: RaceSession, spec: Race, ready: bool, form: Race | None) -> Shown:
    events, status = session.events, session.status
    summary = summarize(events)
    step = summary.step if summary else 0
    at = f"step {count(step)} of {count(spec.steps)}"
    failure, message = "", "Starting"
    match session.state:
        case JobState.QUEUED if not ready:
            standing = "Loading the models, a few seconds the first time"
        case JobState.QUEUED:
            standing, message = f"Waiting: {_in_line(status.position if status else 0)}", "Waiting"
        case JobState.RUNNING:
            left = seconds_left(events, spec.steps)
            message = f"First evaluation after step {min(spec.evaluate_every, spec.steps)}"
            standing = f"Running: {at}" + (f", about {duration(left)} left" if left is not None else "")
        case JobState.PAUSED:
            standing = f"Paused at {at}"
        case JobState.FINISHED:
            standing = f"Finished: {count(step)} steps" + (f" in {duration(summary.seconds)}" if summary else "")
        case JobState.CANCELLED:
            standing, message = f"Cancelled at {at}", "Cancelled"
        case _:
            standing, message = f"Failed at {at}" if step else "Failed", "Failed"
            failure = status.message if status else ""
    picture = Picture(spec, events, tuple(session.earlier), message=message)
    return Shown(picture, standing, step / spec.steps, _live_hint(session, spec, form), failure, session.active)


def _in_line(position: int) -> str:
    """The place in the queue; the job that is on is not part of it."""
    if position == 0:
        return "next in line, after the race that is on"
    return f"{position} in line before this one"


def seconds_left(events: Sequence[Event], steps: int) -> float | None:
    """Time for the steps to come at the pace of the last ones; None before there is a pace."""
    recent = [each for each in events[-3 * PACE_STEPS :] if isinstance(each, Step)][-PACE_STEPS:]
    if len(recent) < 2:
        return None
    first, last = recent[0], recent[-1]
    return (steps - last.step) * (last.seconds - first.seconds) / (last.step - first.step)


def _live_hint(session: RaceSession, spec: Race, form: Race | None) -> str:
    """Why the job was ended, or how the race on the screen differs from what the form now says."""
    if session.state is JobState.CANCELLED and session.status and session.status.message:
        return session.status.message
    if form is None:
        return ""
    others = unlike(spec, form, without=("learning_rate",))
    rate, wanted = session.rate(), form.runs[0].learning_rate
    if rate is not None and format_rate(rate) != format_rate(wanted):
        others.append(f"learning rate {format_rate(rate)}")
    if others:
        return f"This run: {listing(others)}. Play starts a new one with your settings."
    return _grey(session.earlier, spec)


def _grey(earlier: Sequence[Sequence[Event]], spec: Race) -> str:
    """What the grey curves are, the latest first, by what they have otherwise than `spec`."""
    specs = [each.spec for events in earlier for each in events if isinstance(each, Started)]
    names = [listing(unlike(each, spec)) or "the same settings at the start" for each in specs]
    return f"Grey: {'; '.join(names)}" if names else ""


def _standing(shown: Shown) -> str:
    share = f"{100 * shown.done:.1f}"
    rest = "" if shown.moving else " rest"
    return (
        f'<div class="standing{rest}"><p><b>{escape(shown.standing)}</b><span>{escape(shown.hint)}</span></p>'
        f'<div class="track" role="progressbar" aria-label="Progress of the race" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}"><div style="width:{share}%"></div></div></div>'
    )


def _figures(figures: Sequence[Figure]) -> None:
    """Two by two, side by side where there is room."""
    for row in (figures[:2], figures[2:]):
        for column, figure in zip(st.columns(2, gap="medium"), row, strict=True):
            with column:
                show_figure(figure, "race")


def _footnote(picture: Picture) -> str:
    machine = machine_line(picture.events)
    label = "Recorded run" if picture.recorded else "This run"
    parts = [f"{label}: {machine}."] if machine else []
    if picture.earlier:
        parts.append(f"{_grey(picture.earlier, picture.spec)}.")
    return " ".join(parts) or "\u00a0"


def _numbers(picture: Picture) -> None:
    events: Sequence[Event] = picture.events
    with st.expander("Show numbers", on_change="rerun", key="race.numbers") as box:
        if not box.open:
            return
        rows = number_rows(events, evaluations_only=True)
        if not rows:
            st.caption("Nothing has been measured yet.")
            return
        st.dataframe(rows, hide_index=True)
        with st.container(horizontal=True):
            task = picture.spec.task
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
