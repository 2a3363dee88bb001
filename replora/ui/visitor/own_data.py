"""The own data of one visitor: which tasks are in the lists, and that they last as long as somebody uses them."""

from __future__ import annotations

import atexit
import secrets
from collections.abc import Collection, Sequence

import streamlit as st

from replora.options import SpecError
from replora.own_data.keeper import Keeper
from replora.own_data.limits import Limits
from replora.own_data.store import is_kept, saved_tasks

NAMES = "own.tasks"  # all own tasks this session knows, by name
MADE = "own.made"  # those of them that it made itself, which it may delete


class Holder:
    """What one session holds of the own tasks of this server."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._session = secrets.token_hex(8)
        self._names: set[str] = set()

    def hold(self, names: Collection[str]) -> None:
        """From now on this session uses these tasks and no others."""
        for name in self._names - set(names):
            self._keeper.leave(name, self._session)
        for name in set(names) - self._names:
            self._keeper.use(name, self._session)
        self._names = set(names)

    def close(self) -> None:
        """The session has ended."""
        self.hold(())


@st.cache_resource(show_spinner=False, on_release=Keeper.close)
def keeper() -> Keeper:
    """The keeper that all sessions share."""
    made = Keeper()
    atexit.register(made.close)
    return made


@st.cache_resource(show_spinner=False, scope="session", on_release=Holder.close)
def holder() -> Holder:
    """This session's holder; Streamlit releases it when the tab closes or loses its connection."""
    return Holder(keeper())


def hold_own() -> None:
    """Keep what this session uses; the frame calls this at every run, also after a lost connection."""
    holder().hold(_known())


def own_tasks() -> Sequence[str]:
    """The names of the own tasks in this session's lists that are still here, the latest first."""
    listed = saved_tasks() if _lists_saved() else ()
    return [name for name in dict.fromkeys([*reversed(_known()), *listed]) if is_kept(name)]


def adopt(name: str) -> bool:
    """Put an own task into this session's lists; False where its data are not here."""
    if not is_kept(name):
        return False
    if name not in _known():
        st.session_state[NAMES] = [*_known(), name]
        hold_own()
    return True


def made_here(name: str) -> bool:
    """Whether this session may delete a task: it made it, or the machine is the visitor's own."""
    return name in st.session_state.get(MADE, ()) or _lists_saved()


def note_made(name: str) -> None:
    """This session has made a task."""
    st.session_state[MADE] = [*st.session_state.get(MADE, ()), name]
    adopt(name)


def forget(name: str) -> None:
    """Take a task out of this session's lists."""
    st.session_state[NAMES] = [each for each in _known() if each != name]
    hold_own()


def limits() -> Limits:
    """What this server takes; `SpecError` where its environment is set wrongly."""
    return Limits.from_environment()


def _lists_saved() -> bool:
    """Whether saved data are everybody's; not where the environment cannot be read, which the page of own data says."""
    try:
        return limits().list_saved
    except SpecError:
        return False


def _known() -> list[str]:
    names: list[str] = st.session_state.get(NAMES, [])
    return names
