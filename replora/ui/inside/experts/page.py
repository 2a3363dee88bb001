"""The page 'Attention as experts': how a head mixes its experts, before and after, run beside run."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from html import escape
from typing import Any

import streamlit as st

from replora.figures.inside.experts import experts_figures, experts_sentence
from replora.lens.answers import HeadAnswer
from replora.lens.questions import LATEST, HeadQuestion
from replora.methods import HEAD, METHODS
from replora.options import UserError, default_of, options
from replora.pictures import InputError
from replora.ui.forms.spec_form import open_spec
from replora.ui.inside.experts.form import (
    PAGE,
    Chosen,
    ExpertsOptions,
    Given,
    experts_form,
    given_example,
    known_task,
    test_example,
)
from replora.ui.inside.experts.formula import formula
from replora.ui.inside.experts.predictions import predictions_html
from replora.ui.inside.experts.view import UNMOVED, chosen_of, experts_view, plotted_experts, whole_place
from replora.ui.inside.race_picker import ask, beyond
from replora.ui.inside.scrubber import scrubbed
from replora.ui.live.engine import engine
from replora.ui.parts.address import write_query
from replora.ui.parts.figure import picture_place, show_figure
from replora.ui.parts.numbers import plot_numbers
from replora.ui.parts.text import plain
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE
from replora.wording import count

HEADER = (
    "<header class='page'><h1>Attention as experts</h1>"
    "<p>Every token is an expert; a head mixes them by its gates. What does an update move?</p></header>"
)
ANSWERS, LAST = f"{PAGE}.answers", f"{PAGE}.last"
KEPT_ANSWERS = 48
MOST_PLACES = 256  # layers, or heads of one, that a browser may name
FOLLOW_SECONDS = 1.5  # how often a race that is on is asked for new snapshots


def experts_page() -> None:
    """Controls on the left; all that follows them is one fragment."""
    opened, problems = open_spec(ExpertsOptions, st.query_params, PAGE)
    for name in ("theory", "experts"):
        st.html(STYLE / f"{name}.css")
    st.html(HEADER)
    for each in problems:
        st.warning(plain(each))
    with controls():
        chosen = experts_form(engine())
    if chosen is not None:
        following = _is_on(chosen)
        every = FOLLOW_SECONDS if following else None
        st.fragment(_looking, run_every=every, key=f"{PAGE}.looking")(chosen, opened, following)


def _is_on(chosen: Chosen) -> bool:
    source = chosen.source
    return not source.recorded and not engine().status(source.key).state.final


def _looking(chosen: Chosen, opened: ExpertsOptions, following: bool) -> None:
    """The example, the step, what the runs say, and the view; `following`: this runs again and again."""
    if following and not _is_on(chosen):
        st.rerun()
    left, right = st.columns([4, 8], gap="medium")
    with left, st.container(key=f"{PAGE}.example-box"):
        try:
            given = _given(chosen, opened)
        except UserError as error:
            st.warning(plain(str(error)))
            return
    with right:
        step, at_end = _step(chosen, opened)
        loading = st.spinner("Loading the models, a few seconds the first time")
        with nullcontext() if engine().ready else loading:
            answer = _answer(chosen, given, opened, LATEST if at_end else step)
        if isinstance(answer, str):
            st.warning(plain(answer))
            st.button("Try again", key=f"{PAGE}.again")
            return
        lacking = [name for name in METHODS if not (chosen.source.runs(name) or (answer.causal and name == HEAD))]
        titles = {run: chosen.title(run) for run in chosen.asked}
        st.html(_caption(given, answer))
        told = predictions_html(answer, titles, lacking)
        st.html(f'<div class="stale">{told}</div>' if given.stale else told)
    shown = dataclasses.replace(answer, runs=tuple(each for each in answer.runs if each.run in chosen.runs))
    query = _query(answer, opened)
    notices = st.container()
    place = picture_place("view", "A head and its experts", PAGE)
    picked = chosen_of(None, None, shown, query)
    if place is not None:
        with place:
            picked = experts_view(shown, titles, given.picture, query, key=_view_key(chosen))
    with notices:
        for each in _missed(chosen, answer, given, picked.query, opened):
            st.warning(plain(each))
    write_query(_link(chosen, answer, given, picked.query, None if at_end else step))
    if answer.causal:
        st.html(f'<p class="figure-note">{escape(causal_sentence(answer))}</p>')
    _formulas(chosen, shown, picked.query)
    picture = plotted_experts(shown, titles, picked.query)
    figures = experts_figures(picture)
    for column, figure in zip(st.columns(2, gap="medium"), figures, strict=True):
        with column:
            show_figure(figure, PAGE)
    if said := experts_sentence(picture):
        st.html(f'<p class="figure-note" dir="auto">{escape(said)}</p>')
    plot_numbers(figures, PAGE)


def causal_sentence(answer: HeadAnswer) -> str:
    """What is otherwise where a model continues texts: who sees whom, and which heads mix the same experts."""
    said = "A token sees itself and those before it: its gates for later ones are 0."
    shared = answer.heads_a_value
    if shared == 1:
        return said
    first = answer.head - answer.head % shared
    return (
        f"{said} Grouped-query attention: {shared} query heads share one expert\u2019s value; heads {first + 1} to "
        f"{first + shared} mix the same experts, each by gates of its own."
    )


def _given(chosen: Chosen, opened: ExpertsOptions) -> Given:
    """The example; while a new one is still to be drawn, chosen or written, the one before it stays."""
    key = f"{PAGE}.given.{chosen.source.key}"
    before: Given = st.session_state.get(key) or test_example(known_task(chosen.source.spec.task), opened.example)
    try:
        given = given_example(chosen.source, opened)
    except InputError as error:
        st.warning(plain(f"{error} Shown is still: {before.title}."))
        return dataclasses.replace(before, stale=True)
    if isinstance(given, str):
        st.caption(given)
        return dataclasses.replace(before, stale=True)
    st.session_state[key] = given
    return given


def _step(chosen: Chosen, opened: ExpertsOptions) -> tuple[int, bool]:
    """The slider through the snapshots; which step it stands at, and whether that is the last one there is."""
    steps = st.session_state.get(f"{PAGE}.steps.{chosen.source.key}", ())
    if len(steps) < 2:
        return LATEST, True
    key = f"{PAGE}.at.{chosen.source.key}"  # kept apart from the widget, so that it outlives a visit to another page
    at = st.session_state.setdefault(key, opened.step)
    wanted = list(steps).index(stand_in(steps, at))
    place = scrubbed(PAGE, chosen.source.key, steps, wanted)
    st.session_state[key] = steps[place] if place < len(steps) - 1 else options(ExpertsOptions)["step"].high
    return steps[place], place == len(steps) - 1


def _answer(chosen: Chosen, given: Given, opened: ExpertsOptions, step: int) -> HeadAnswer | str:
    """The answer for the head that was chosen last, from those kept where it was asked before."""
    layer, head = _place(chosen, opened)
    question = HeadQuestion(
        folder=chosen.source.folder, step=step, runs=chosen.asked, example=given.example, layer=layer, head=head
    )
    kept: OrderedDict[HeadQuestion, HeadAnswer] = st.session_state.setdefault(ANSWERS, OrderedDict())
    growing = _is_on(chosen)  # as it was before asking: what is answered now may not be the last of it
    if question in kept and not growing:
        return kept[question]
    found = ask(engine(), question)
    if isinstance(found, str) and (layer, head) != (LATEST, 0):
        found = ask(engine(), dataclasses.replace(question, layer=LATEST, head=0))  # another model has fewer heads
    if isinstance(found, str):
        return found
    answer = HeadAnswer.from_dict(found)
    if not growing:
        kept[question] = answer
    if len(kept) > KEPT_ANSWERS:
        kept.popitem(last=False)
    key = f"{PAGE}.steps.{chosen.source.key}"
    if st.session_state.get(key) != answer.steps:
        first = key not in st.session_state
        st.session_state[key] = answer.steps
        if first:
            st.rerun(scope="fragment" if st.session_state.get(LAST) else "app")
    st.session_state[LAST] = True
    return answer


def _place(chosen: Chosen, opened: ExpertsOptions) -> tuple[int, int]:
    """The layer and head that were chosen in the view, or those of the link."""
    state = st.session_state.get(_view_key(chosen))
    cell = state.get("cell") if isinstance(state, dict) else None
    places = [whole_place(cell.get(each), MOST_PLACES) for each in ("layer", "head")] if isinstance(cell, dict) else []
    if places and places[0] is not None and places[1] is not None:
        return places[0], places[1]
    return opened.layer - 1, opened.head - 1


def _query(answer: HeadAnswer, opened: ExpertsOptions) -> int:
    """The token of the link; where a token sees itself and those before it, the last one: the first sees but itself."""
    if answer.causal and opened.token == default_of(ExpertsOptions, "token"):
        return len(answer.tokens) - 1
    return min(opened.token, len(answer.tokens)) - 1


def _missed(chosen: Chosen, answer: HeadAnswer, given: Given, query: int, opened: ExpertsOptions) -> list[str]:
    """A sentence for each place of the link that this race has not, as long as what stands in for it is shown."""
    said, last, steps = [], len(known_task(chosen.source.spec.task).test) - 1, answer.steps
    if given.example.index == last:
        said += beyond("example", last, opened.example)
    if _place(chosen, opened) == (opened.layer - 1, opened.head - 1):
        shown = f"Head {answer.head + 1} of layer {answer.layer + 1}"
        said += beyond("layer", answer.layers, opened.layer, shown) + beyond("head", answer.heads, opened.head, shown)
    if query == len(answer.tokens) - 1:
        said += beyond("token", len(answer.tokens), opened.token)
    if opened.step not in (*steps, default_of(ExpertsOptions, "step")) and answer.step == stand_in(steps, opened.step):
        kept = f"from {count(steps[0])} to {count(steps[-1])}"
        got = f"got {count(opened.step)}. Step {count(answer.step)} is shown instead."
        said.append(f"step must be one that is kept, {kept} in this race, {got}")
    return said


def stand_in(steps: Sequence[int], wanted: int) -> int:
    """The step that is kept for one that may not be: the last one before it; the latest where there is none."""
    return max((step for step in steps if step <= wanted), default=steps[-1])


def _view_key(chosen: Chosen) -> str:
    return f"{PAGE}.view.{chosen.source.key}"


def _link(chosen: Chosen, answer: HeadAnswer, given: Given, query: int, step: int | None) -> dict[str, str]:
    last = answer.layer == answer.layers - 1
    values: dict[str, Any] = {} if step is None else {"step": step}
    shown = ExpertsOptions(
        example=given.example.index,
        layer=0 if last else answer.layer + 1,
        head=answer.head + 1,
        token=query + 1,
        **values,
    )
    return {**chosen.source.link, **shown.to_query()}


def _caption(given: Given, answer: HeadAnswer) -> str:
    notes = " ".join([*given.notes, *answer.notes])
    text = f'<q dir="auto">{escape(given.text)}</q>' if given.text else ""
    title = f"Nothing of yours yet: still {given.title}" if given.stale else given.title
    return f'<div class="given"><b>{escape(title)}</b><small>{escape(notes)}</small>{text}</div>'


def _formulas(chosen: Chosen, shown: HeadAnswer, query: int) -> None:
    """The formula with its numbers, a column a run that has an update."""
    runs = [each for each in shown.runs if chosen.title(each.run).series not in UNMOVED] or list(shown.runs)
    st.html("<h2 class='section'>The same in numbers</h2>")
    for column, run in zip(st.columns(len(runs), gap="medium"), runs, strict=True):
        with column:
            title = chosen.title(run.run)
            told = formula(shown, run, title, query)
            st.html(f'<h3 class="run {escape(title.series)}">{escape(title.text)}</h3>')
            for part in (told.output, told.experts, told.change, told.check):
                st.markdown(part)
