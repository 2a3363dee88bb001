"""The own data of one visitor: which tasks are in the lists, and that they last as long as somebody uses them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence

import streamlit as st

from replora.catalog import OWN_TASK, PRIVATE_TASKS
from replora.options import SpecError
from replora.own_data.keeper import Keeper
from replora.own_data.limits import Limits
from replora.own_data.store import is_kept, is_saved, saved_tasks, tasks_of
from replora.ui.visitor.lasting import OfProcess, OfSession
from replora.ui.visitor.who import visitor_address, visitor_name

NAMES = "own.tasks"  # all own tasks this session knows, by name
HELD = "own.held"  # those whose names it has been given: it may see all of the runs on them, for good
MADE = "own.made"  # those of them that its browser made, which it may delete
BEGUN = "own.begun"  # whether it has been given what its browser made before


class Holder:
    """What one session holds of the own tasks of this server."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.session = secrets.token_hex(8)
        self._names: set[str] = set()

    def hold(self, names: Collection[str]) -> None:
        """From now on this session uses these tasks and no others."""
        for name in self._names - set(names):
            self._keeper.leave(name, self.session)
        for name in set(names) - self._names:
            self._keeper.use(name, self.session)
        self._names = set(names)

    def close(self) -> None:
        """The session has ended."""
        self.hold(())


keeper: OfProcess[Keeper] = OfProcess(Keeper, Keeper.close)

# a session's holder, which lets go when the tab closes or loses its connection
holder: OfSession[Holder] = OfSession(lambda: Holder(keeper()), Holder.close)


def hold_own() -> None:
    """Keep what this session uses; the frame calls this at every run, also after a lost connection.

    A session begins with what its browser has made before.
    """
    if BEGUN not in st.session_state:
        st.session_state[BEGUN] = True
        owner, _ = room_of()
        for name in tasks_of(owner) if owner else ():
            note_made(name)
    holder().hold(_known())


def own_tasks() -> Sequence[str]:
    """The names of the own tasks in this session's lists that are still here, the latest first."""
    listed = saved_tasks() if _lists_saved() else ()
    return [name for name in dict.fromkeys([*reversed(_known()), *listed]) if is_kept(name)]


def holds(name: str) -> bool:
    """Whether this session has been given the name of an own task, or the machine is the visitor's own."""
    return name in st.session_state.get(HELD, ()) or (_lists_saved() and is_kept(name) and is_saved(name))


def present(name: str) -> None:
    """The visitor's link names an own task."""
    if re.fullmatch(OWN_TASK, name) and name not in PRIVATE_TASKS:
        st.session_state[HELD] = {*st.session_state.get(HELD, ()), name}


def adopt(name: str) -> bool:
    """Put an own task, which the visitor names, into this session's lists; False where its data are not here."""
    present(name)
    if not is_kept(name):
        return False
    if name not in _known():
        st.session_state[NAMES] = [*_known(), name]
        hold_own()
    return True


def made_here(name: str) -> bool:
    """Whether this session may delete a task: its browser made it, or the machine is the visitor's own."""
    return name in st.session_state.get(MADE, ()) or _lists_saved()


def note_made(name: str) -> None:
    """This session has made a task."""
    st.session_state[MADE] = [*st.session_state.get(MADE, ()), name]
    adopt(name)


def forget(name: str) -> None:
    """Take a task out of this session's lists."""
    st.session_state[NAMES] = [each for each in _known() if each != name]
    hold_own()


def room_of() -> tuple[str, str]:
    """Whose room own data take that this session keeps: the browser's and its address's, '' where nobody says; '' and
    '' where the machine is the visitor's own."""
    return ("", "") if _lists_saved() else (visitor_name(), visitor_address())


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
