"""A learner's seat: join, say what to expect, press Play, see one's own curves, then what all found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any

import streamlit as st

from replora.classroom.conductor import KIND
from replora.classroom.room import Phase, Room, RoomError, Seat
from replora.classroom.seat_races import note_further, races_of
from replora.classroom.setup import read_own
from replora.jobs.engine import Engine
from replora.options import SpecError
from replora.ui.classroom.expectation import expectation_form
from replora.ui.classroom.pooled import show_pool
from replora.ui.classroom.pulse import PAGE, SECONDS, pulse
from replora.ui.classroom.seat_form import race_of, seat_form
from replora.ui.classroom.seat_session import SeatSession
from replora.ui.classroom.server import conductor, me, rooms, seat_engine
from replora.ui.classroom.words import changes_told, expectation_told, phase_told, settings_told, turn_told
from replora.ui.live.engine import watch
from replora.ui.live.page import Part
from replora.ui.parts.run_kinds import link_to
from replora.ui.parts.text import plain
from replora.ui.race.buttons import offer
from replora.ui.race.state import last_race, shown_race
from replora.ui.race.view import race_parts

POOL_SECONDS = 3.0  # between two pictures of the class on a seat's page
RACE_PARTS = ("standing", "tests", "steps")  # the rest is on the Race page
SAID = f"{PAGE}.seat.said"


def learner_view(room: Room) -> None:
    """The seat of this browser, or the way to one."""
    seat = rooms().seat_of(room, me())
    if seat is None:
        take_seat(room)
    else:
        SeatPage(room, seat).draw()


def take_seat(room: Room) -> None:
    """A new seat, or one's own again by its words."""
    if SAID in st.session_state:
        st.warning(plain(st.session_state.pop(SAID)))
    st.html(f'<p class="verdict">{escape(settings_told(room.setup))}</p>')
    over = room.phase is Phase.CLOSED
    if over:
        st.info("This room is closed.")
    st.button(
        "Take a seat", type="primary", key=f"{PAGE}.sit", icon=":material/event_seat:", disabled=over,
        on_click=_sit, args=(room,),
    )  # fmt: skip
    with st.expander("I have a seat already"), st.form(f"{PAGE}.back", border=False):
        words = st.text_input("Its four words", key=f"{PAGE}.words", max_chars=80, autocomplete="off")
        if st.form_submit_button("Sit down again", key=f"{PAGE}.restore"):
            try:
                rooms().restore(room, words, me())
            except RoomError as error:
                st.warning(plain(str(error)))
            else:
                st.rerun()


def _sit(room: Room) -> None:
    try:
        rooms().join(room, me())
    except (RoomError, SpecError) as error:
        st.session_state[SAID] = str(error)


class SeatPage:
    """What a seat sees; every part asks anew how room and seat stand."""

    def __init__(self, room: Room, seat: Seat) -> None:
        self._room = room.id
        self._number = seat.number
        self._engine = seat_engine(seat)
        self._session = _session(room, seat, self._engine)
        self._session.keep = lambda job: self._act(partial(note_further, rooms()), job)
        self._pool_mark: tuple[float, int] = (0.0, -1)

    def draw(self) -> None:
        """All parts, and the clock."""
        room, seat = self._now()
        if seat is None:
            return
        self._take_in(room, seat)
        races = [
            Part(part.name, self._if_raced(part), part.shows, part.picture)
            for part in race_parts(self._session, self._engine, None)
            if part.name in RACE_PARTS
        ]
        parts = [Part("seat", self._head, self._head_marks), *races, Part("pool", self._pool, self._pool_marks)]
        pulse(room, parts, changed=self._changed, seconds=self._seconds)

    def _now(self) -> tuple[Room, Seat | None]:
        room = rooms().get(self._room)
        return room, rooms().seat_of(room, me())

    def _if_raced(self, part: Part) -> Any:
        return lambda: part.draw() if self._session.job else None

    def _changed(self) -> bool:
        """Takes in what is new; True where this browser has lost the seat."""
        room, seat = self._now()
        if seat is None or seat.number != self._number:
            st.session_state.pop(_session_key(room.id, self._number), None)  # another device may race on in the seat
            return True
        self._take_in(room, seat)
        return False

    def _take_in(self, room: Room, seat: Seat) -> None:
        """The room looks after the race that counts; one beyond it lives as long as its seat looks."""
        self._session.take_up(self._engine, seat.job)
        self._session.obey(self._engine, room.phase)
        self._session.poll(self._engine)
        watch().show(self._session.job if self._session.active and self._session.beyond else None)

    def _seconds(self) -> float:
        return min(SECONDS, self._session.running_seconds()) if self._session.active else SECONDS

    # The seat itself.

    def _head_marks(self) -> object:
        room, seat = self._now()
        told = seat and (seat.expectation, seat.wants, seat.job, seat.result is None, seat.message)
        return room.version, told, self._session.job, self._session.state

    def _head(self) -> None:
        room, seat = self._now()
        if seat is None:
            return
        st.html(_head_html(room, seat, self._last_change(room)))
        if seat.message and not seat.job and seat.result is None:
            st.warning(plain(seat.message))
        if SAID in st.session_state:
            st.warning(plain(st.session_state.pop(SAID)))
        if room.phase is Phase.CLOSED:
            return
        own = self._form(room, seat)
        if seat.result is not None:
            self._beyond(room, seat, own)
        elif not seat.job:
            self._before(room, seat, own)

    def _last_change(self, room: Room) -> str:
        """What the last push has changed."""
        rounds = dict(rooms().rounds(room))
        before = rounds.get(room.round - 1)
        return changes_told(before, room.setup) if before else ""

    def _form(self, room: Room, seat: Seat) -> dict[str, Any] | None:
        """What the seat's controls hold of its own; None where they hold nonsense."""
        if not room.setup.free:
            return {}
        with st.container(key=f"{PAGE}.arise"):
            round_, beyond = self._session.recalled
            opened = beyond if round_ == room.round else seat.own
            return seat_form(room, seat, opened, st.container(), disabled=bool(seat.job) and seat.result is None)

    def _beyond(self, room: Room, seat: Seat, own: dict[str, Any] | None) -> None:
        """Once the race that counts is over: what is set now against what is on the screen, in one press."""
        if not room.setup.free or own is None or room.phase is Phase.PAUSED:
            return
        race = race_of(room, seat, own)
        shown = shown_race(self._session, self._engine.ready, race).race
        offer(self._session, self._engine, race, last_race(self._session, race, shown))
        if self._session.problem:
            st.warning(plain(self._session.problem))
        st.caption("The class counts your first race of each round; further ones are for you.")

    def _before(self, room: Room, seat: Seat, own: dict[str, Any] | None) -> None:
        """What comes before a race: what is free, what is expected, Play."""
        if own is not None and own != room.setup.chosen_otherwise(read_own(seat.own)):
            self._act(rooms().choose, own)
        if room.setup.expect and seat.expectation is None:
            expectation_form(room, self._expect)
            return
        if not seat.may_race(room) and room.phase is not Phase.PAUSED:
            if room.setup.play:
                st.button(
                    "Play", type="primary", icon=":material/play_arrow:", key=f"{PAGE}.play", on_click=self._act,
                    args=(rooms().play,),
                )  # fmt: skip
            else:
                st.caption("The instructor starts everyone at once.")

    def _expect(self, expectation: Any) -> None:
        self._act(rooms().expect, expectation)

    def _act(self, what: Callable[..., None], *values: Any) -> None:
        room, _ = self._now()
        try:
            what(room, *values, me())
            conductor().tend(room.id)
        except (RoomError, SpecError) as error:
            st.session_state[SAID] = str(error)

    # The class.

    def _pool_marks(self) -> object:
        """Changes with the news, though not often: a class of thirty redraws thirty pictures with each."""
        room, seat = self._now()
        if seat is None or seat.result is None:
            return None
        drawn, news = self._pool_mark
        if room.news != news and time.monotonic() - drawn >= POOL_SECONDS:
            self._pool_mark = (time.monotonic(), room.news)
        return room.round, self._pool_mark[1]

    def _pool(self) -> None:
        room, seat = self._now()
        if seat is not None and seat.result is not None:
            whole = escape(link_to(KIND, {}, seat.job))
            st.html(
                f'<p class="footnote"><a href="{whole}" target="_blank">Your race in full</a>, with its numbers.</p>'
            )
            st.html('<h2 class="class">The class</h2>')
            show_pool(room, rooms().seats(room))


def _session_key(room: str, number: int) -> str:
    return f"{PAGE}.session.{room}.{number}"


def _session(room: Room, seat: Seat, engine: Engine) -> SeatSession:
    """What this browser shows of a seat; at its beginning, what the seat has raced so far."""
    key = _session_key(room.id, seat.number)
    if key not in st.session_state:
        st.session_state[key] = SeatSession()
        st.session_state[key].recall_row(engine, races_of(rooms(), seat))
    session: SeatSession = st.session_state[key]
    return session


def _head_html(room: Room, seat: Seat, change: str) -> str:
    told: list[str] = [f"<p><b>{escape(settings_told(room.setup))}</b><span>{phase_told(room)}</span></p>"]
    if change:
        told.insert(0, f'<p class="push"><b>Now everyone: {escape(change)}</b></p>')
    told.append(f"<p><span>{escape(turn_told(room.setup, seat.number))}</span></p>")
    if seat.expectation is not None:
        told.append(f"<p><span>You expect {escape(expectation_told(seat.expectation))}.</span></p>")
    words: Sequence[str] = seat.words.split()
    return (
        f'<div class="standing seat"><p class="number"><b>Seat {seat.number}</b>'
        f'<span title="They bring you back to this seat, on another device too">{" ".join(words)}</span></p>'
        f"{''.join(told)}</div>"
    )
