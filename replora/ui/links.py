"""What the link of each page may say; what it may not is said in a sentence, until something is changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

import streamlit as st

from replora.config import RaceOptions
from replora.options import options
from replora.ui.inside.race_picker import TASK
from replora.ui.live.page import RUN
from replora.ui.parts.text import plain
from replora.ui.race.session import BEFORE
from replora.ui.race.view import RaceView
from replora.ui.shell.embed import embedded, figures, missing_figure
from replora.ui.shell.link import DESK, EVERYWHERE, FIGURE, ROOM, VIEW
from replora.ui.shell.menu import PAGES
from replora.ui.tour.progress import STATION, unknown_stations
from replora.ui.tour.stations import PAGES as SETTINGS
from replora.ui.tour.stations import RUNS, presets
from replora.ui.visitor.owner import KEY

UNKNOWN = "links.unknown"  # of the session: page, sentences, and the address that the page has made of the link
LOOKING = (
    "experts",
    "inside",
    "landscape",
    "generation",
    "dial",
)  # pages into whose races on own data one looks by the name of the data
MORE: dict[str, tuple[str, ...]] = {
    "home": (*options(RaceOptions), RUN),  # races landed here once; their links go on as they are
    "race": (BEFORE, *options(RaceView)),
    "classroom": (*options(RaceOptions), ROOM, DESK, VIEW),
    **dict.fromkeys(LOOKING, (TASK,)),
}
UNSAID = (KEY, DESK)  # names that no sentence proposes
MOST_NAMES, MOST_LETTERS = 5, 40  # that a sentence repeats
MOST_PROPOSED = 12
WRITTEN = "what its controls set stands in the address."


def names_of(page: str) -> Collection[str]:
    """The names that a link to a page may have."""
    own = options(SETTINGS[page]) if page in SETTINGS else {}
    run = (RUN,) if page in RUNS else ()
    frame = (FIGURE,) if embedded() else ()
    return dict.fromkeys([*own, *run, *MORE.get(page, ()), STATION, *EVERYWHERE, *frame, KEY])


def say_unknown(page: str) -> None:
    """Say which names and stations of the link there are not."""
    known = names_of(page)
    unknown = [name for name in st.query_params if name not in known]
    said = [*([_sentence(page, unknown, known)] if unknown else []), *unknown_stations(presets())]
    if said:
        st.session_state[UNKNOWN] = (page, said, None)
    where, kept, address = st.session_state.get(UNKNOWN, ("", [], None))
    if where == page and address in (None, st.query_params.to_dict()):
        for sentence in kept:
            st.warning(plain(sentence))
    else:
        st.session_state.pop(UNKNOWN, None)


def drop_unknown(page: str) -> None:
    """Once the page has run, take those names out of the address; say of a frame's figure that there is none."""
    known = names_of(page)
    for name in [name for name in st.query_params if name not in known]:
        del st.query_params[name]
    where, kept, address = st.session_state.get(UNKNOWN, ("", [], None))
    if missing := missing_figure():
        told = f"figure must be one of {', '.join(figures())}, got {missing[:MOST_LETTERS]!r}."
        st.session_state[UNKNOWN] = (page, [*kept, told], None)
        st.rerun()
    if where and address is None:
        st.session_state[UNKNOWN] = (where, kept, st.query_params.to_dict())


def _sentence(page: str, unknown: Sequence[str], known: Collection[str]) -> str:
    """'A link to Race has no rnak; did you mean rank?'; where nothing is near, what there is."""
    proposed = [name for name in known if name not in UNSAID]
    near = list(dict.fromkeys(each for name in unknown for each in get_close_matches(name, proposed, 1)))
    told = ", ".join(name[:MOST_LETTERS] for name in unknown[:MOST_NAMES])
    if near:
        more = f"did you mean {' or '.join(near)}?"
    else:
        more = f"it has {', '.join(proposed)}." if len(proposed) <= MOST_PROPOSED else WRITTEN
    return f"A link to {PAGES[page]} has no {told}; {more}"
