"""What the class has found so far: verdict, histogram, and how well it knew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import streamlit as st

from replora.classroom.expectations import Scored, calibration, scored
from replora.classroom.report import report_csv, report_html
from replora.classroom.results import Group, Pool, pooled
from replora.classroom.room import Room, Seat
from replora.figures.classroom.expected import Expected, expected_figure
from replora.figures.classroom.histogram import differences_figure
from replora.figures.figure import Figure
from replora.statistics.intervals import Interval
from replora.ui.classroom.pulse import PAGE
from replora.ui.classroom.server import rooms
from replora.ui.classroom.words import settings_told
from replora.ui.parts.cards import sentence_html
from replora.ui.parts.figure import show_figure
from replora.wording import counted

LARGE_HEIGHT = 420  # pixels of a picture on a projector
HEIGHT = 260
NOTHING = Group("", {})


def show_pool(room: Room, seats: Sequence[Seat], *, large: bool = False) -> None:
    """The verdict in a sentence a group, and the pictures; `large` for a projector."""
    pool = pooled(seats)
    verdicts = pool.verdicts if pool.finished else ["No verdict before the first seat has finished."]
    st.html("".join(map(sentence_html, verdicts)) + _notes(pool))
    group = _chosen(pool, large)
    shown: list[Figure] = [histogram(group, pool)]
    known = scored(seats, pool) if room.setup.expect else []
    if known:
        shown.append(expected_figure([_expected(each) for each in known]))
    columns = st.columns(len(shown), gap="medium")
    for column, figure in zip(columns, shown, strict=True):
        with column:
            show_figure(figure, PAGE, LARGE_HEIGHT if large else HEIGHT)
    if known:
        st.html(f'<p class="calibration">{escape(calibration(known))}</p>')


def histogram(group: Group, pool: Pool) -> Figure:
    """The picture of a group's differences, in points."""
    found = {seed: 100 * value for seed, value in group.differences.items()}
    interval = group.interval
    return differences_figure(found, None if interval is None else _in_points(interval), pool.diverged)


def show_downloads(room: Room) -> None:
    """What can be taken away, made once it is asked for."""
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Results as CSV",
            lambda: report_csv(_all_rounds(room)),
            f"room_{room.code}.csv",
            "text/csv",
            on_click="ignore",
            key=f"{PAGE}.csv",
        )
        st.download_button(
            "Report as HTML",
            lambda: report_html(room, _all_rounds(room)),
            f"room_{room.code}.html",
            "text/html",
            on_click="ignore",
            key=f"{PAGE}.html",
            help="One file that opens without a network, with the command that gives each number again.",
        )


def show_earlier(room: Room) -> None:
    """What earlier rounds found, a line each, the latest first."""
    earlier = [(number, setup) for number, setup in rooms().rounds(room) if number < room.round]
    lines = []
    for number, setup in reversed(earlier):
        pool = pooled(rooms().seats(room, number))
        if pool.finished:
            told = f"<b>Round {number}</b> {escape(settings_told(setup))}<br>{escape(' '.join(pool.verdicts))}"
            lines.append(f'<p class="round">{told}</p>')
    if lines:
        st.html('<h2 class="figure">Earlier rounds</h2>' + "".join(lines))


def _all_rounds(room: Room) -> Sequence[tuple[int, Sequence[Seat]]]:
    return [(number, rooms().seats(room, number)) for number, _ in rooms().rounds(room)]


def _chosen(pool: Pool, large: bool) -> Group:
    """The group that is drawn: the largest, unless another is chosen."""
    if not pool.groups:
        return NOTHING
    groups = {group.label: group for group in pool.groups}
    largest = max(pool.groups, key=lambda group: len(group.differences))
    if large or len(groups) == 1:
        return largest
    key = f"{PAGE}.group"
    if st.session_state.get(key) not in groups:
        st.session_state[key] = largest.label
    label = st.segmented_control("Drawn", list(groups), key=key, required=True)
    return groups.get(label or "", largest)


def _notes(pool: Pool) -> str:
    told = []
    if pool.repeated:
        told.append(f"{counted(pool.repeated, 'seat')} trained what another had trained, which counts once.")
    return f'<p class="footnote">{escape(" ".join(told))}</p>' if told else ""


def _in_points(interval: Interval) -> Interval:
    low, high = (None if end is None else 100 * end for end in (interval.low, interval.high))
    return replace(interval, mean=100 * interval.mean, low=low, high=high)


def _expected(found: Scored) -> Expected:
    return Expected(found.seat, found.expectation.low, found.expectation.high, found.truth)
