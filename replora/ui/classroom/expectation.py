"""Commit, then look: what a seat expects, before its race may begin."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from replora.classroom.room import Expectation, Phase, Room
from replora.methods import METHOD_TITLES, OURS, REFERENCE
from replora.ui.classroom.pulse import PAGE
from replora.ui.classroom.words import expectation_told

MOST = 100.0
FIRST, GIVE = 2.0, 3.0  # points that the controls begin with
LEVEL = "level"


def expectation_form(room: Room, commit: Callable[[Expectation], None]) -> None:
    """Who will be ahead, by how much, give or take; a press commits."""
    how = "Your race begins when you commit" if room.phase is Phase.RUNNING else "Commit, then look"
    st.html(f'<h2 class="figure">What do you expect?<span>{how}</span></h2>')
    names = {REFERENCE: METHOD_TITLES[REFERENCE], LEVEL: "Nobody", OURS: METHOD_TITLES[OURS]}
    key = f"{PAGE}.expect.{room.round}"
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        who = st.segmented_control(
            "Who will be ahead?", list(names), format_func=names.__getitem__, default=OURS, required=True,
            key=f"{key}.who", width="content",
        )  # fmt: skip
        by = st.number_input(
            "by how many points", 0.0, MOST, FIRST, 0.5, "%g", key=f"{key}.by", disabled=who == LEVEL, width=160,
            help="Points of accuracy on the test examples, at the end.",
        )  # fmt: skip
        give = st.number_input(
            "give or take", 0.1, MOST, GIVE, 0.5, "%g", key=f"{key}.give", width=160,
            help="So wide that you would be surprised one time in five.",
        )  # fmt: skip
    middle = 0.0 if who == LEVEL else by if who == OURS else -by
    expected = Expectation(middle - give, middle + give)
    st.caption(f"You would say: {expectation_told(expected)}, four times out of five.")
    st.button("Commit", type="primary", icon=":material/lock:", key=f"{PAGE}.commit", on_click=commit, args=(expected,))
