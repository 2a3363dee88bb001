"""The buttons of the race: Play, Pause, Step, Reset, Cancel."""

from __future__ import annotations

import streamlit as st

from replora.config import Race
from replora.jobs.engine import JobState
from replora.ui.live.engine import WatchedEngine
from replora.ui.live.standing import LEAVE, WATCHED
from replora.ui.race.session import RECORDED, Before, RaceSession


def transport(session: RaceSession, engine: WatchedEngine, form: Race | None, offered: bool) -> None:
    """The buttons, each enabled only where it would do something; `form` is None where there is nothing to play.

    offered: whether there is a race to race against, which comes before Play.
    """
    playing = session.steered and session.state is not JobState.PAUSED
    watched = WATCHED if session.active and not session.steered else None
    anew = form is not None and session.changed(form)
    race = form or Race()
    with st.container(horizontal=True, key="race.transport", gap="small"):
        st.button(
            "Play",
            key="race.play",
            icon=":material/play_arrow:",
            type="secondary" if offered else "primary",
            disabled=form is None or (playing and not anew),
            on_click=session.play,
            args=(engine, race),
        )
        st.button(
            "Pause",
            key="race.pause",
            icon=":material/pause:",
            disabled=not playing,
            on_click=session.pause,
            args=(engine,),
            help=watched,
        )
        st.button(
            "Step",
            key="race.step",
            icon=":material/skip_next:",
            disabled=form is None or watched is not None,
            on_click=session.step,
            args=(engine, race),
            help=watched or "One optimizer step, then pause.",
        )
        st.button(
            "Reset",
            key="race.reset",
            icon=":material/replay:",
            disabled=session.job is None,
            on_click=session.reset,
            args=(engine,),
            help=LEAVE if watched else "Back to the start: the same seed gives the same weights.",
        )
        st.button(
            "Cancel",
            key="race.cancel",
            icon=":material/stop:",
            disabled=not session.steered,
            on_click=session.cancel,
            args=(engine,),
            help=watched,
        )


def offer(session: RaceSession, engine: WatchedEngine, form: Race | None, last: Before | None) -> None:
    """One press from what is set to its curves in front of those that stand: nothing where that would show nothing."""
    if last is None:
        return
    st.button(
        f"Race it against the {'recorded' if last.job == RECORDED else 'last'} one",
        key="race.against",
        type="primary",
        on_click=session.race_against,
        args=(engine, form, last),
        help="Your settings, with the curves that stand now in grey behind.",
    )
