"""Landscape: the loss on the plane through frozen, LoRA and RepLoRA, measured while one looks, coarse first."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import streamlit as st

from replora.config import METHOD_TITLES
from replora.events import Evaluated
from replora.figures.inside.landscape import LEVELS, grid, landscape_sentences, landscape_surface
from replora.jobs.engine import UnknownJob
from replora.lens.answers import LandscapeAnswer
from replora.lens.questions import FROZEN
from replora.methods import OURS, REFERENCE
from replora.options import Linked, option
from replora.ui.forms.spec_form import open_spec
from replora.ui.inside.landscape.measuring import Measured, examples_of
from replora.ui.inside.landscape.view import landscape_cards
from replora.ui.inside.race_picker import PickedRace, ask, beyond, pick_race
from replora.ui.inside.reparameterization.form import beside
from replora.ui.live.engine import engine
from replora.ui.parts.address import write_query
from replora.ui.parts.surface import show_surface, surface_numbers
from replora.ui.parts.text import plain
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE
from replora.wording import count

PAGE = "landscape"
PLANE = f"{PAGE}.plane"
SECONDS = 1.0  # between two questions, of which each takes less than half of that: others ask too
HEADER = (
    "<header class='page'><h1>Landscape</h1>"
    "<p>Frozen, LoRA and RepLoRA are three points of one plane. What is the loss between and around them?</p></header>"
)
NO_PAIR = "A plane takes a LoRA and a RepLoRA run, and this race has not both; choose another one."


@dataclass(frozen=True, kw_only=True)
class LandscapeOptions(Linked):
    """What a link carries beside the race."""

    place: int = option(1, "RepLoRA run", "Which of the race's RepLoRA runs.", low=1, high=1024)


def landscape_page() -> None:
    """The race on the left; the surface, and below it a fragment that goes on measuring."""
    opened, problems = open_spec(LandscapeOptions, st.query_params, PAGE)
    st.html(STYLE / "theory.css")
    st.html(HEADER)
    for each in problems:
        st.warning(plain(each))
    with controls():
        source = pick_race(engine(), key=f"{PAGE}.source")
        runs = _runs(source, opened) if source else None
    if source is None:
        return
    if runs is None:
        st.warning(NO_PAIR)
        return
    ours = source.runs(OURS)
    place = ours.index(runs[1]) + 1
    for each in beyond("place", len(ours), opened.place) if place == len(ours) else ():
        st.warning(plain(each))
    write_query({**source.link, **LandscapeOptions(place=place).to_query()})
    plane = _plane(source, runs)
    if plane.answer is None and (problem := _measure(plane)):
        st.warning(plain(problem))
        st.button("Try again", key=f"{PAGE}.again", icon=":material/refresh:")
        return
    _show(plane)


def _show(plane: Measured) -> None:
    """What is measured, and the fragment that measures on."""
    picture = plane.picture()
    assert picture is not None
    st.html(landscape_cards(picture, plane))
    if sentences := landscape_sentences(picture):
        st.html("".join(f'<p class="figure-note">{escape(each)}</p>' for each in sentences))
    pace = SECONDS if plane.missing else None
    st.fragment(_going_on, run_every=pace, key=f"{PAGE}.going_on")(plane, plane.level)
    surface = landscape_surface(picture)
    if surface is not None:
        show_surface(surface, PAGE)
        surface_numbers([surface], PAGE)


def _going_on(plane: Measured, drawn: int) -> None:
    """How far the measuring is; the page is drawn anew when a finer grid is whole, and not before."""
    problem = _measure(plane) if plane.missing else ""
    if plane.level != drawn:
        st.rerun()
    if problem:
        st.warning(plain(problem))
    left = plane.missing
    if not left:
        said = f"All of {LEVELS[-1]} \u00d7 {LEVELS[-1]} points are measured."
    else:
        level = next(each for each in LEVELS if each > drawn)
        done = level * level - len(left)
        said = f"Measuring {level} \u00d7 {level} points: {count(done)} of {count(len(grid(level)))} known."
    behind = _behind(plane)
    st.html(f'<p class="footnote" role="status">{escape(said)} {escape(behind)}</p>')
    if behind:
        st.button("Lay the plane anew", key=f"{PAGE}.anew", icon=":material/refresh:", on_click=_forget)


def _measure(plane: Measured) -> str:
    """Ask once; the sentence why there is no answer, else ''."""
    asked = plane.question()
    found = ask(engine(), asked)
    if isinstance(found, str):
        return found
    plane.take(asked, LandscapeAnswer.from_dict(found))
    return ""


def _plane(source: PickedRace, runs: tuple[int, int]) -> Measured:
    """What this session has measured of the plane of these runs; anew for another one, and once the race is over."""
    key = (source.key, runs, _over(source))
    kept: tuple[object, Measured] | None = st.session_state.get(PLANE)
    if kept is None or kept[0] != key:
        kept = (key, Measured(source, runs, examples_of(source)))
        st.session_state[PLANE] = kept
    kept[1].source = source  # what it has told since
    return kept[1]


def _forget() -> None:
    st.session_state.pop(PLANE, None)


def _over(source: PickedRace) -> bool:
    """Whether a race trains no more."""
    if source.recorded:
        return True
    try:
        return engine().status(source.key).state.final
    except UnknownJob:
        return True  # what it left may still be read


def _behind(plane: Measured) -> str:
    """That the race has gone on since, if it has."""
    now = max((each.step for each in plane.source.events if isinstance(each, Evaluated)), default=0)
    if _over(plane.source) or now <= plane.step:
        return ""
    return f"This is the plane after step {count(plane.step)}; the race has gone on to step {count(now)}."


def _runs(source: PickedRace, opened: LandscapeOptions) -> tuple[int, int] | None:
    """The LoRA and the RepLoRA run; None where the race has not both."""
    ours = source.runs(OURS)
    if not ours or not source.runs(REFERENCE):
        return None
    chosen = ours[min(opened.place, len(ours)) - 1]
    if len(ours) > 1:
        chosen = st.selectbox(
            f"{METHOD_TITLES[OURS]} run",
            ours,
            ours.index(chosen),
            format_func=source.run_title,
            key=f"{PAGE}.run.{source.key}",
            persist_state="session",
        )
    other = beside(source, chosen)
    return None if other == FROZEN else (other, chosen)
