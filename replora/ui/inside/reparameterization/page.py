"""Inside the reparameterization: take hold of a latent entry or a weight, and see what the MLPs make of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from replora.config import Method
from replora.csv_text import rows_csv
from replora.figures.inside.update_norms import norm_sentence, update_norm_figures
from replora.figures.race.figures import PlottedRace
from replora.figures.race.table import number_rows
from replora.jobs.engine import UnknownJob
from replora.lens.answers import InsideAnswer, Tensor2d
from replora.lens.questions import Graft
from replora.options import options
from replora.ui.components.matrix_editor import Grip, Held, grip_now, matrix_editor
from replora.ui.forms.spec_form import open_spec
from replora.ui.inside.race_picker import PickedRace, ask
from replora.ui.inside.reparameterization.edits import Bench, applied, place_of
from replora.ui.inside.reparameterization.form import PAGE, Chosen, InsideOptions, inside_form, structure_of
from replora.ui.inside.reparameterization.linked import edits_text, read_edits
from replora.ui.inside.reparameterization.merge import merge_view
from replora.ui.inside.reparameterization.view import NO_BREAK, inside_cards, lanes_html, matrices_html, moved
from replora.ui.live.engine import engine
from replora.ui.parts.address import write_query
from replora.ui.parts.figure import picture_place, show_figure
from replora.ui.parts.settings import named
from replora.ui.parts.text import plain
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE
from replora.wording import count, counted, listing, signed

BENCHES, SEEN, LAST, VALUES, OPENED = (f"{PAGE}.{each}" for each in ("benches", "seen", "last", "values", "taken_up"))
EDITOR, TENSOR = f"{PAGE}.editor", f"{PAGE}.tensor"
FOLLOW_SECONDS = 3.0
HEADER = (
    "<header class='page'><h1>Inside the reparameterization</h1>"
    "<p>Latent matrices and small MLPs make A and B. What does each move? Take hold of one and see.</p></header>"
)
HINT = "Drag the ring up or down, or use the slider. Arrow keys choose an entry, Alt and the wheel turn it."


def inside_page() -> None:
    """Controls on the left; the part that moves is a fragment, and so is the merging."""
    opened, problems = open_spec(InsideOptions, st.query_params, PAGE)
    st.html(STYLE / "theory.css")
    st.html(STYLE / "matrices.css")
    st.html(HEADER)
    for each in problems:
        st.warning(plain(each))
    main = st.container()

    def look(chosen: Chosen) -> InsideAnswer | str:
        with main, st.spinner("Reading the model"):
            return _ask(chosen)

    missed: list[str] = []
    with controls():
        found = inside_form(opened, engine(), look, missed)
    with main:
        if isinstance(found, str):
            _nothing(found)
            return
        chosen, seen = found
        for each in [*missed, *_open_edits(opened.edits, chosen, seen)]:
            st.warning(plain(each))
        _link(chosen, seen)
        pace = _pace(chosen.source)
        st.fragment(_moving, run_every=pace, key=f"{PAGE}.moving")(chosen, seen, pace)
        _norms(chosen.source)
        st.fragment(merge_view, key=f"{PAGE}.merging")(chosen.source, chosen.run)


def _open_edits(text: str, chosen: Chosen, seen: InsideAnswer) -> list[str]:
    """Take up the changed places of the link, once; a sentence where some cannot be had."""
    if OPENED not in st.session_state:
        values = _values(chosen, seen)
        found, problem = read_edits(
            text, {each.name: each for each in seen.tensors}, lambda name: _tensor(chosen, seen, values, name)
        )
        _bench(chosen).settled.update(found)
        if found:
            st.session_state[TENSOR] = next(iter(found))[0]
        st.session_state[OPENED] = [problem] if problem else []
    said: list[str] = st.session_state[OPENED]
    return said


def _link(chosen: Chosen, seen: InsideAnswer) -> None:
    """Keep the address a link to what is on the screen, with what has been changed of this layer."""
    settled = dataclasses.replace(_bench(chosen), moving=None)
    write_query(chosen.link(edits_text(settled.edits(seen.tensors))))


def _nothing(problem: str) -> None:
    """What there is to see where there is no answer: the sentence, and the last good picture."""
    if problem:
        st.warning(plain(problem))
        st.button("Try again", key=f"{PAGE}.again", icon=":material/refresh:")
    last: InsideAnswer | None = st.session_state.get(LAST)
    if last is not None:
        st.html(inside_cards(last))
        st.html(matrices_html(last, "LoRA", 0))


def _moving(chosen: Chosen, seen: InsideAnswer, pace: float | None) -> None:
    """Everything that follows the hand. What is drawn from a grip goes out before the editor, which waits for it."""
    cards, standing = st.container(), st.container()
    with st.container(key=f"{PAGE}.flow"):
        left, right = st.columns([5, 7], gap="medium")
    with left:
        tensor = _choose(seen.tensors)
        place, lanes = st.container(key=f"{PAGE}.bench"), st.container(key=f"{PAGE}.lanes")
    values = _values(chosen, seen)
    held = _held(chosen, seen, values, tensor)
    bench = _bench(chosen)
    grip = grip_now(held, key=EDITOR) if held else None
    _take(bench, grip)
    if bench.moving is None:
        _link(chosen, seen)
    edits = bench.edits(seen.tensors)
    answer = _ask(chosen, edits=edits)
    gone_on = not isinstance(answer, str) and (answer.step != seen.step or _pace(chosen.source) != pace)
    if gone_on and bench.moving is None:
        st.rerun()  # a race that is on trains while one looks
    problem = answer if isinstance(answer, str) else bench.problem
    shown = seen if isinstance(answer, str) else answer
    st.session_state[LAST] = shown
    beside = chosen.source.run_title(chosen.beside) if chosen.beside >= 0 else ""
    with cards:
        st.html(inside_cards(shown))
    with standing:
        st.html(_standing(chosen, shown, bench, problem))
    with right:
        drawn = picture_place("matrices", "What makes A and B", PAGE)
        if drawn is not None:
            drawn.html(matrices_html(shown, beside, grip.serial if grip else 0))
    if held is None:
        return
    with place:
        matrix_editor(held, bench.of(tensor), key=EDITOR, seen=st.session_state.get(SEEN, 0), total=len(bench.settled))
        st.caption(HINT)
    with lanes:
        _lanes(chosen, seen, values, bench, tensor)


def _pace(source: PickedRace) -> float | None:
    """How often to look again at a race that goes on."""
    if source.recorded:
        return None
    try:
        return None if engine().status(source.key).state.final else FOLLOW_SECONDS
    except UnknownJob:
        return None  # what it left may still be read


def _choose(tensors: tuple[Tensor2d, ...]) -> str:
    titles = {each.name: each.title for each in tensors}
    if st.session_state.get(TENSOR) not in titles:
        st.session_state[TENSOR] = tensors[0].name
    name: str = st.selectbox(
        "Take hold of",
        list(titles),
        format_func=lambda each: titles.get(each, each),
        key=TENSOR,
        persist_state="session",
    )
    return name


def _lanes(chosen: Chosen, seen: InsideAnswer, values: dict[str, Tensor2d], bench: Bench, tensor: str) -> None:
    names = [each.name for each in seen.tensors if each.part != "bias"]
    parts = {name: each for name in names if (each := _tensor(chosen, seen, values, name))}
    edits = bench.edits(seen.tensors)
    own = {name: [each for each in edits if each.tensor == name] for name in parts}
    st.html(lanes_html(parts, {name: applied(parts[name].values, each) for name, each in own.items() if each}, tensor))


def _take(bench: Bench, grip: Grip | None) -> None:
    """A grip is taken once; one that has settled is known by its serial number."""
    bench.moving = None
    if grip is None or grip.serial <= st.session_state.get(SEEN, 0):
        return
    bench.take(grip)
    if not grip.moving:
        st.session_state[SEEN] = grip.serial


def _bench(chosen: Chosen) -> Bench:
    """The knobs of this layer of this run."""
    benches: dict[tuple[str, int, int], Bench] = st.session_state.setdefault(BENCHES, {})
    return benches.setdefault((chosen.source.key, chosen.run, chosen.layer), Bench())


def _ask(chosen: Chosen, **facts: Any) -> InsideAnswer | str:
    """The answer, or the sentence why there is none."""
    found = ask(engine(), chosen.question(**facts))
    return found if isinstance(found, str) else InsideAnswer.from_dict(found)


def _values(chosen: Chosen, seen: InsideAnswer) -> dict[str, Tensor2d]:
    """The trained values that are known of this layer, by tensor; those of another one are let go."""
    key = (chosen.source.key, chosen.run, chosen.layer, seen.step, chosen.reshaping)
    known: Mapping[tuple[str, int, int, int, Graft], dict[str, Tensor2d]] = st.session_state.get(VALUES, {})
    if key not in known:
        st.session_state[VALUES] = known = {key: {}}
    return known[key]


def _tensor(chosen: Chosen, seen: InsideAnswer, values: dict[str, Tensor2d], name: str) -> Tensor2d | None:
    """The trained values of a tensor; asked for once."""
    if name not in values:
        answer = _ask(chosen, tensor=name, graft=chosen.reshaping)
        if isinstance(answer, str) or answer.chosen is None or answer.step != seen.step:
            return None
        values[name] = answer.chosen
    return values[name]


def _held(chosen: Chosen, seen: InsideAnswer, values: dict[str, Tensor2d], name: str) -> Held | None:
    tensor = _tensor(chosen, seen, values, name)
    if tensor is None:
        return None
    what = (chosen.source.key, chosen.run, chosen.layer, seen.step, chosen.reshaping, name)
    return Held(tensor, hashlib.sha256(repr(what).encode()).hexdigest()[:16])


def _standing(chosen: Chosen, shown: InsideAnswer, bench: Bench, problem: str) -> str:
    """Where one is, and what is changed or what went wrong, in lines that are always there."""
    changes = len({*bench.settled, *([place_of(bench.moving)] if bench.moving else [])})
    said = f"{counted(changes, 'place')} changed" if changes else "Nothing changed"
    read = structure_of(chosen.graft)
    if read:
        own = chosen.source.spec.runs[chosen.run].method
        now, then = (
            listing([_knob(name, value) for name, value in structure.items()])
            for structure in (read, {name: getattr(own, name) for name in read})
        )
        edited = said if changes else "No weight was edited"
        points = signed(100 * (shown.now.accuracy - shown.trained.accuracy))
        said = f"{edited}; read as {now} instead of {then}: accuracy {points} points; it was not trained that way"
    if changes or read:
        said += f"; delta_weight of this layer moved by {share_text(moved(shown))}"
    run = f"{chosen.source.run_title(chosen.run)} after step {count(shown.step)}"
    where = f"adapted layer {shown.layer + 1} of {shown.layers}"
    told = f'<span class="problem">{escape(problem)}</span>' if problem else f"{escape(said)}."
    role = "" if bench.moving else ' role="status"'  # to be read out once the hand rests
    return f'<p class="bench"{role}><b>{escape(run)}, {where}</b><span>{told}</span></p>'


def _knob(name: str, value: Any) -> str:
    """'identity', 'tied'; with its name where the value alone says nothing: 'residual on'."""
    return str(value) if name in ("activation", "sharing") else named(name, options(Method)[name], value)


def share_text(share: float) -> str:
    """'0.31 %', '12 %'."""
    percent = 100 * share
    return f"{percent:.{2 if percent < 1 else 1 if percent < 10 else 0}f}{NO_BREAK}%"


def _norms(source: PickedRace) -> None:
    """Why one rate is not the same to both: how fast delta_weight grows."""
    picture = PlottedRace(source.spec, source.events, recorded=source.recorded)
    figures = update_norm_figures(picture)
    st.html("<h2 class='section'>Why RepLoRA moves faster at one learning rate</h2>")
    for column, figure in zip(st.columns(2, gap="medium"), figures, strict=True):
        with column:
            show_figure(figure, PAGE)
    if said := norm_sentence(picture):
        st.html(f'<p class="footnote">{escape(said)}</p>')
    with st.expander("Show numbers", on_change="rerun", key=f"{PAGE}.numbers") as box:
        if box.open:
            rows = number_rows(source.events)
            st.dataframe(rows, hide_index=True, height=280)
            st.download_button(
                "All steps as CSV",
                lambda: rows_csv(rows),
                f"{PAGE}.csv",
                "text/csv",
                on_click="ignore",
                key=f"{PAGE}.csv",
            )
