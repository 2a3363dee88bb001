"""How far a visitor is in the tour: kept in the session and in the link, so that it survives a reload."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from replora.presets import Preset, Presets
from replora.ui.parts.address import keep_beside
from replora.ui.shell.link import DONE

STATION = "station"  # of the query string
AT, SEEN = "tour.station", "tour.done"  # of the session: which station is on, and the names of those that are done
MOST_NAMES = 200  # of a link


def take_link(known: Presets) -> None:
    """Note what the link says of the tour; a station of it that there is not leaves the address."""
    told = st.query_params.get(DONE, "").split(",")[:MOST_NAMES]
    names = [each.name for each in known.presets]
    st.session_state[SEEN] = {*st.session_state.get(SEEN, ()), *(name for name in told if name in names)}
    asked = st.query_params.get(STATION)
    if asked is None:
        return
    if known.named(asked) is None:
        del st.query_params[STATION]
    else:
        st.session_state[AT] = asked


def unknown_stations(known: Presets) -> list[str]:
    """A sentence for each name of the link whose stations there are not."""
    names, said = [each.name for each in known.presets], []
    for name, verb in ((STATION, "be one of"), (DONE, "list some of")):
        told = [each for each in st.query_params.get(name, "").split(",")[:MOST_NAMES] if each and each not in names]
        if told:
            said.append(f"{name} must {verb} {', '.join(names)}, got {told[0][:40]!r}.")
    return said


def current(known: Presets, page: str) -> Preset | None:
    """The station that is on, where this is its page; the link says so from now on."""
    at = known.named(st.session_state.get(AT, ""))
    here = at if at is not None and at.station.page == page else None
    done = done_of(known)
    keep_beside({**({STATION: here.name} if here else {}), **({DONE: done} if done else {})})
    return here


def done_of(known: Presets) -> str:
    """The names of the stations that are done, as the link has them: in the order of the tour."""
    seen = st.session_state.get(SEEN, ())
    return ",".join(each.name for each in known.presets if each.name in seen)


def is_done(name: str) -> bool:
    return name in st.session_state.get(SEEN, ())


def note_done(name: str) -> None:
    """This station is done."""
    st.session_state[SEEN] = {*st.session_state.get(SEEN, ()), name}


def leave() -> None:
    """No station is on any more; those that are done stay so."""
    st.session_state.pop(AT, None)
    st.query_params.pop(STATION, None)


def begin_anew() -> None:
    """As if nobody had been on the tour: for the next one at this machine."""
    leave()
    st.session_state.pop(SEEN, None)
    st.query_params.pop(DONE, None)


def link_of(preset: Preset, known: Presets, done: str = "") -> str:
    """The link that opens a station and carries the progress; `done`: a station that is done by then."""
    names: Mapping[str, None] = dict.fromkeys([*filter(None, done_of(known).split(",")), *([done] if done else [])])
    return preset.link(**{STATION: preset.name}, **({DONE: ",".join(names)} if names else {}))


def list_link(known: Presets) -> str:
    """The link to the list of stations, which carries the progress."""
    done = done_of(known)
    return f"tour?{DONE}={done}" if done else "tour"


def first_open(known: Presets) -> Preset | None:
    """The first station that is not done, else the first of all."""
    return next((each for each in known.presets if not is_done(each.name)), next(iter(known.presets), None))
