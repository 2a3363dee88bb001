"""The rooms of this server, who keeps their races going, and who asks."""

from __future__ import annotations

import streamlit as st

from replora.classroom.conductor import Conductor
from replora.classroom.room import Seat
from replora.classroom.rooms import Rooms
from replora.jobs.engine import Submitter
from replora.ui.live.engine import WatchedEngine, shared_engine
from replora.ui.live.private import PrivateEngine
from replora.ui.visitor.lasting import OfProcess
from replora.ui.visitor.own_data import holds
from replora.ui.visitor.who import visitor_address, visitor_name

TASKS = "classroom.tasks"  # see `PrivateEngine`

rooms: OfProcess[Rooms] = OfProcess(lambda: Rooms(), lambda shared: shared.close())
conductor: OfProcess[Conductor] = OfProcess(lambda: Conductor(rooms(), shared_engine), lambda shared: None)


def me() -> Submitter:
    """This visitor."""
    return Submitter(visitor_name(), visitor_address())


def seat_engine(seat: Seat) -> WatchedEngine:
    """The engine as a seat may use it."""
    tasks: dict[str, str] = st.session_state.setdefault(TASKS, {})
    return PrivateEngine(shared_engine(), seat.submitter, holds, tasks)
