"""The first page: what LoRA is, what RepLoRA changes, what is claimed, what is measured; and three ways in."""

from __future__ import annotations

from html import escape

import streamlit as st
from safetensors import SafetensorError

from replora.config import RaceOptions
from replora.events import EventError
from replora.options import options
from replora.result_card.commands import race_command
from replora.ui.home.picture import moving_picture
from replora.ui.home.record import RecordedRace, recorded_race
from replora.ui.live.page import RUN
from replora.ui.live.recorded_claims import commands, measured
from replora.ui.parts.figure import picture_place
from replora.ui.parts.once import Once
from replora.ui.shell.frame import page_of
from replora.ui.shell.style import STYLE
from replora.ui.tour.progress import first_open, link_of, list_link
from replora.ui.tour.stations import presets
from replora.wording import counted

PAGE = "home"
PICTURES: Once[str] = Once(2)  # by whether they move
PAPER = "https://arxiv.org/abs/2502.03044"
HEADER = (
    "<header class='page'><h1>RepLoRA against LoRA</h1>"
    "<p>Real models, real data, real fine-tunes. See for yourself who wins, and when.</p></header>"
)
LINES = (
    (
        "LoRA",
        "leaves a transformer frozen and adds an update ΔW = B A to it. Only A and B, two thin matrices, are trained.",
    ),
    (
        "RepLoRA",
        "trains small MLPs that make A and B, for query and value together. Afterwards the MLPs are thrown away.",
    ),
    (
        "The paper claims",
        f"far fewer examples: up to 40 % ahead of LoRA with little data, and its result with 30 % of the data "
        f"(<a href='{PAPER}' target='_blank'>arXiv 2502.03044</a>).",
    ),
)
DOORS = (
    (
        "race",
        "Race it",
        "Both methods train in front of you, on the same batches. Move the learning rate and look again.",
    ),
    (
        "classroom",
        "Teach it",
        "Open a room for a class: each seat trains its own seed, and the class is the experiment.",
    ),
)


def home_page() -> None:
    """Four lines, the picture, the doors. A link of a race that was made when races landed here goes on to them."""
    if set(st.query_params) & {RUN, *options(RaceOptions)}:
        st.switch_page(page_of("race"), query_params=st.query_params.to_dict())
    st.html(STYLE / "home.css")
    st.html(HEADER)
    st.html(_lines())
    _doors()
    try:
        race = recorded_race()
    except (EventError, OSError, SafetensorError) as error:
        st.caption(f"The recorded race cannot be shown: {type(error).__name__}.")
        shown = commands()
    else:
        _picture(race)
        shown = [*commands(), race_command(race.spec)]
    with st.expander("The commands of what is measured", key=f"{PAGE}.commands"):
        st.code("\n".join(shown), language="bash", wrap_lines=True)


def _lines() -> str:
    told = [*LINES, ("We measure", f"{escape(measured())} <small>Recorded; the commands are below.</small>")]
    return '<dl class="lines">' + "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in told) + "</dl>"


def _doors() -> None:
    """Each with its one press; the first leads to the first station of the tour that is not done."""
    columns = st.columns(1 + len(DOORS), gap="medium")
    with columns[0], st.container(border=True, key=f"{PAGE}.door.tour"):
        st.html(_see_it())
    for column, (page, label, about) in zip(columns[1:], DOORS, strict=True):
        with column, st.container(border=True, key=f"{PAGE}.door.{page}"):
            st.page_link(page_of(page), label=f"**{label}**", icon=":material/arrow_forward:")
            st.html(f"<p class='footnote'>{about}</p>")


def _see_it() -> str:
    known = presets()
    first = first_open(known)
    link = link_of(first, known) if first is not None else list_link(known)
    return (
        f'<a class="door" href="{escape(link)}" target="_self">See it</a><p class="footnote">A guided tour of '
        f"{counted(len(known.presets), 'station')}: each sets everything, says what to press, and asks a question.</p>"
    )


def _picture(race: RecordedRace) -> None:
    """A recorded race; whoever does not want it to move stops it."""
    place = picture_place("picture", "One race, recorded", PAGE)
    if place is None:
        return
    with place, st.container(horizontal=True, vertical_alignment="bottom"):
        rate = f"{race.spec.runs[0].learning_rate:g}"
        st.html(
            f"<h2 class='figure'>One race, recorded<span>digits, rate {rate} for both; purple is negative, green "
            "positive, on one scale by square root</span></h2>"
        )
        moving = st.toggle("Moving", True, key=f"{PAGE}.moving", persist_state="session")
    with place:
        st.html(PICTURES(moving, lambda: moving_picture(race, moving=moving)))
