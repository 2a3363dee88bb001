"""The slider through the snapshots of a race, for pages that show what it was after a step."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from replora.ui.components.live_slider import live_slider
from replora.wording import count


def scrubbed(page: str, race: str, steps: Sequence[int], wanted: int) -> int:
    """The place among `steps` where it stands, at first `wanted`. race: the key of the race that is looked into."""
    with st.container(key=f"{page}.bar"):
        slid = live_slider(
            "After step",
            wanted,
            0,
            len(steps) - 1,
            1,
            name="step of the race",
            key=f"{page}.step.{race}.{len(steps)}",
            stops=[count(each) for each in steps],
        )
    return round(slid.moving)
