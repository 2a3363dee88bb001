"""The live part of the Rates page: standing, slopes at a glance, four pictures, and what to bear in mind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import streamlit as st

from replora.catalog import ASSETS
from replora.events import EventError
from replora.figures.chart import Figure
from replora.figures.theory.rates import rates_figures, slope_text, theory_text
from replora.figures.theory_style import SHARING_NAMES
from replora.jobs.engine import JobState
from replora.options import options
from replora.simulation.events import (
    Band,
    Estimated,
    MonteCarloFinished,
    MonteCarloStarted,
    TheoryEvent,
    read_theory_events,
)
from replora.simulation.specs import QUANTITY_TITLES, MonteCarlo, RatesOptions
from replora.ui.live.engine import WatchedEngine
from replora.ui.parts.figure import show_figure
from replora.ui.parts.numbers import plot_numbers
from replora.ui.parts.text import plain
from replora.ui.theory.rates.notes import notes
from replora.ui.theory.rates.pictures import latest, nearest, picture_of, quantity_for, sizes, started_of, theory_slope
from replora.ui.theory.rates.session import RatesSession
from replora.wording import duration, short_count

PAGE = "rates"
WISH = f"{PAGE}.shown_n"
FOLDER = ASSETS / "recorded"
COMMAND = "python -m scripts.record_theory"
POLL_SECONDS = 0.25
POLL_QUEUED_SECONDS = 1.0
BLANK = '<b class="blank">\u2013</b>'


@dataclass(frozen=True)
class Wanted:
    """What the form asks for; `valid` is False while it cannot be had and the last options stand in."""

    options: RatesOptions
    valid: bool


@dataclass(frozen=True)
class Shown:
    """What is on the screen: a run so far, recorded or live, and where it stands in words."""

    spec: MonteCarlo
    events: Sequence[TheoryEvent]
    standing: str
    hint: str = ""
    message: str = ""
    failure: str = ""
    recorded: bool = False
    done: float = 1.0


def poll_seconds(session: RatesSession) -> float | None:
    """How often to ask for news; None where none can come."""
    if not session.active:
        return None
    return POLL_QUEUED_SECONDS if session.status and session.status.position else POLL_SECONDS


def rates_view(session: RatesSession, engine: WatchedEngine, wanted: Wanted, drawn: object) -> None:
    """Everything below the buttons; `drawn` is what they were drawn with, which must not lag behind."""
    session.poll(engine)
    if (session.state, poll_seconds(session)) != drawn:
        st.rerun()
    shown = _live(session, wanted, engine.ready) if session.spec else _recorded(wanted)
    st.html(_standing(shown, session.active))
    if shown.failure:
        st.error(plain(shown.failure))
    if session.status and session.status.notice:
        st.warning(plain(session.status.notice))
    quantity = quantity_for(wanted.options.quantity, shown.events)
    st.html(_board(shown, quantity))
    errors, between, clouds = st.container(), st.container(), st.container()
    with between:
        at = _shown_n(shown, wanted.options.shown_n)
    figures = rates_figures(
        picture_of(shown.spec, shown.events, quantity, at, recorded=shown.recorded, message=shown.message)
    )
    on_parameters, on_predictions = notes(shown.spec, quantity)
    with errors:
        _figures(figures[:2], (on_parameters, [on_predictions]))
    with clouds:
        _figures(figures[2:], ([], []))
    st.html(f'<p class="footnote">{escape(_footnote(shown))}</p>')
    plot_numbers(figures, PAGE)


def _shown_n(shown: Shown, opened: int) -> int:
    """The n of histogram and plane, chosen between the pictures among those that are done, the nearest to the wish."""
    done = sizes(shown.events)
    if len(done) < 2:
        return done[0] if done else opened
    key = f"{PAGE}.at.n"
    st.session_state[key] = nearest(done, st.session_state.get(WISH, opened))
    chosen: int = st.select_slider(
        "Histogram and plane at n", done, format_func=short_count, key=key, on_change=_wish, args=(key,), width=440
    )
    return chosen


def _wish(key: str) -> None:
    """Noted apart from the slider, whose stops come one by one as a run goes on."""
    st.session_state[WISH] = st.session_state[key]


def _figures(figures: Sequence[Figure], asides: Sequence[Sequence[str]]) -> None:
    """Two side by side where there is room, each with what to bear in mind."""
    for column, figure, lines in zip(st.columns(2, gap="medium"), figures, asides, strict=True):
        with column:
            show_figure(figure, PAGE)
            if lines:
                st.html("".join(f'<p class="figure-note">{line}</p>' for line in lines))


def recorded_name(atoms: int) -> str:
    """The recorded run that is nearest to a number of fitted experts."""
    return "rates_exact" if atoms == 2 else "rates_over"


def _recorded(wanted: Wanted) -> Shown:
    path = FOLDER / f"{recorded_name(wanted.options.atoms)}.jsonl"
    try:
        events = _read(path, path.stat().st_mtime_ns)
        spec = next(each.spec for each in events if isinstance(each, MonteCarloStarted))
    except (OSError, EventError, StopIteration):
        hint = f"The recorded run cannot be read; make it with {COMMAND}, or run live."
        return Shown(wanted.options.monte_carlo, (), "No recorded run", hint, message="Press Run live")
    shown_sharings = tuple(each for each in wanted.options.sharings if each in spec.sharings)
    kept = tuple(each for each in events if not isinstance(each, Estimated) or each.sharing in shown_sharings)
    others = unlike(spec, wanted.options)
    hint = f"Made by {COMMAND}."
    if others:
        hint = f"Recorded with {', '.join(others)}. Run live runs your settings."
    shown = MonteCarlo(**{**{name: getattr(spec, name) for name in options(MonteCarlo)}, "sharings": shown_sharings})
    top = short_count(spec.n_grid[-1])
    return Shown(shown, kept, f"Recorded run: {spec.replicates} replicates, n to {top}", hint, recorded=True)


@st.cache_resource(show_spinner=False, max_entries=8)
def _read(path: Path, changed: int) -> tuple[TheoryEvent, ...]:
    """The events of a file; `changed` makes a new file a new entry."""
    return read_theory_events(path)


def unlike(shown: MonteCarlo, form: MonteCarlo) -> list[str]:
    """The settings that a run has otherwise than the form, those a recorded run is always better at left out."""
    names = {"atoms": "{} fitted experts", "eta": "\u03b7 = {}", "noise": "\u03c3 = {}", "box": "box {}",
             "max_steps": "{} steps at most", "seed": "seed {}"}  # fmt: skip
    return [
        text.format(f"{getattr(shown, name):g}")
        for name, text in names.items()
        if getattr(shown, name) != getattr(form, name)
    ]


def _live(session: RatesSession, wanted: Wanted, ready: bool) -> Shown:
    spec, events, status = session.spec, session.events, session.status
    assert spec is not None
    assert status is not None
    done = sum(isinstance(each, Estimated) for each in events)
    total = len(spec.n_grid) * len(spec.sharings)
    at = f"{done} of {total} fits, {spec.replicates} replicates each"
    message, failure = "Starting", ""
    match session.state:
        case JobState.QUEUED if status.position:
            standing = f"Waiting: {status.position} " + ("job" if status.position == 1 else "jobs") + " ahead"
        case JobState.QUEUED:
            standing = "Starting" if ready else "Starting the job host, a few seconds the first time"
        case JobState.FINISHED:
            seconds = next((each.seconds for each in events if isinstance(each, MonteCarloFinished)), 0.0)
            standing = f"Live run: {spec.replicates} replicates in {duration(seconds)}"
        case JobState.CANCELLED:
            standing, message = f"Stopped after {at}", "Stopped"
        case JobState.FAILED:
            standing, message, failure = f"Failed after {at}", "Failed", status.message
        case _:
            standing = f"Running: {at}"
    hint = ""
    if wanted.valid and wanted.options.monte_carlo != spec:
        hint = "Your settings have changed since; Run live runs them."
    return Shown(spec, events, standing, hint, message, failure, done=done / total)


def _standing(shown: Shown, moving: bool) -> str:
    share = f"{100 * shown.done:.1f}"
    rest = "" if moving else " rest"
    return (
        f'<div class="standing{rest}"><p><b>{escape(shown.standing)}</b><span>{escape(shown.hint)}</span></p>'
        f'<div class="track" role="progressbar" aria-label="Progress of the Monte Carlo" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}"><div style="width:{share}%"></div></div></div>'
    )


def _board(shown: Shown, quantity: str) -> str:
    """A card a way of sharing: the slope and its interval, beside theory's and that of the prediction."""
    found, started = latest(shown.events), started_of(shown.events)
    cards = []
    for sharing in shown.spec.sharings:
        last = found.get(sharing)
        slope = last.slopes.get(quantity) if last else None
        theory = theory_slope(shown.spec, started, sharing, quantity)
        value = slope_text(slope[0]) if slope else BLANK
        lines = [
            f"95 %: {_interval(slope)}" + (f"; theory {theory_text(theory)}" if theory is not None else ""),
            f"prediction {_with_interval(last.slopes.get('prediction') if last else None)}",
            f"<b>{100 * last.far_fraction:.0f} % far</b> at n = {short_count(last.n)}" if last else "&nbsp;",
        ]
        style = "lora" if sharing == "plain" else "replora"
        caption = f"slope, {QUANTITY_TITLES[quantity]}"
        notes_html = "".join(f"<p>{line}</p>" for line in lines)
        cards.append(
            f'<section class="card {style} {sharing}"><h2><i class="swatch"></i>{SHARING_NAMES[sharing]}</h2>'
            f'<div class="value">{value}<span>{caption}</span></div>{notes_html}</section>'
        )
    return f'<div class="board three">{"".join(cards)}</div>'


def _interval(band: Band | None) -> str:
    return f"{slope_text(band[1])} to {slope_text(band[2])}" if band else "\u2013"


def _with_interval(band: Band | None) -> str:
    return f"{slope_text(band[0])} ({_interval(band)})" if band else "\u2013"


def _footnote(shown: Shown) -> str:
    spec = shown.spec
    sizes_text = f"{len(spec.n_grid)} sample sizes from {short_count(spec.n_grid[0])} to {short_count(spec.n_grid[-1])}"
    unfinished = max((each.unfinished for each in latest(shown.events).values()), default=0.0)
    late = f"; {100 * unfinished:.0f} % of the fits at the largest n were cut off" if unfinished else ""
    return (
        f"{'Recorded' if shown.recorded else 'This run'}: {spec.replicates} replicates, {sizes_text}, 2 true experts, "
        f"{spec.atoms} fitted, \u03b7 = {spec.eta:g}, \u03c3 = {spec.noise:g}, |b| \u2264 {spec.box:g}, "
        f"at most {spec.max_steps} steps, seed {spec.seed}{late}. "
        "Far: some fitted expert lies more than 1 from every true one, in the distance of the Voronoi cells."
    )
