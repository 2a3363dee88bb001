"""What the last action on runs did, told once at the top of the page."""

from __future__ import annotations

import streamlit as st

from replora.wording import count

SAID = "runs.said"


def say(sentence: str, failed: bool = False) -> None:
    """Tell it when the page is drawn next."""
    st.session_state[SAID] = (sentence, failed)


def said() -> tuple[str, bool]:
    """The sentence about the last action and whether it failed; it is told once."""
    sentence: tuple[str, bool] = st.session_state.pop(SAID, ("", False))
    return sentence


def runs_in_words(number: int) -> str:
    """'1 run', '12 runs'."""
    return f"{count(number)} run" + ("s" if number != 1 else "")
