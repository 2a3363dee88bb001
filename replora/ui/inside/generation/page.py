"""The page 'Generated text': how three models go on with a sentence, step by step of their race."""

from __future__ import annotations

from collections import OrderedDict
from html import escape

import streamlit as st

from replora.jobs.engine import UnknownJob
from replora.lens.questions import LATEST
from replora.options import options
from replora.ui.forms.spec_form import open_spec
from replora.ui.inside.generation.form import PAGE, Chosen, GenerationOptions, generation_form, titles_of
from replora.ui.inside.generation.sentences import judged_sentence, seen_sentence
from replora.ui.inside.generation.texts import Texts
from replora.ui.inside.generation.view import legend_html, texts_html
from replora.ui.inside.race_picker import PickedRace
from replora.ui.inside.scrubber import scrubbed
from replora.ui.live.engine import engine
from replora.ui.parts.address import write_query
from replora.ui.parts.text import plain
from replora.ui.shell.embed import controls
from replora.ui.shell.style import STYLE
from replora.wording import count

HEADER = (
    "<header class='page'><h1>Generated text</h1>"
    "<p>What does an adapter do to a sentence, from step to step?</p></header>"
)
TEXTS = f"{PAGE}.texts"
KEPT = 8  # choices of a session
SECONDS = 0.7  # between two questions, of which each takes less: others ask too


def generation_page() -> None:
    """Controls on the left; the scrubber and the texts are one fragment, which goes on asking while any are missing."""
    opened, problems = open_spec(GenerationOptions, st.query_params, PAGE)
    st.html(STYLE / "texts.css")
    st.html(HEADER)
    for each in problems:
        st.warning(plain(each))
    with controls():
        chosen = generation_form(engine(), opened)
    if chosen is None:
        return
    texts = _texts(chosen)
    on = is_on(chosen.source)
    busy = _busy(texts, on)
    st.fragment(_looking, run_every=SECONDS if busy else None, key=f"{PAGE}.looking")(texts, opened, on, busy)


def _texts(chosen: Chosen) -> Texts:
    """What this session has of a choice; the latest few are kept."""
    kept: OrderedDict[object, Texts] = st.session_state.setdefault(TEXTS, OrderedDict())
    key = (chosen.source.key, chosen.runs, chosen.prompts, chosen.temperature, chosen.seed)
    texts = kept.setdefault(key, Texts.of(chosen))
    kept.move_to_end(key)
    while len(kept) > KEPT:
        kept.popitem(last=False)
    texts.chosen = chosen  # with what the race has told since
    return texts


def is_on(source: PickedRace) -> bool:
    """Whether a race still trains, so that there may be more to come."""
    if source.recorded:
        return False
    try:
        return not engine().status(source.key).state.final
    except UnknownJob:
        return False  # what it left may still be read


def _busy(texts: Texts, on: bool) -> bool:
    return on or (not texts.stuck and (not texts.steps or bool(texts.missing)))


def _looking(texts: Texts, opened: GenerationOptions, on: bool, busy: bool) -> None:
    """The scrubber, the texts after its step, and what was seen; asks for what is missing, a moment's worth."""
    if on and not is_on(texts.chosen.source):
        st.rerun()
    step, known = _step(texts, opened), texts.steps
    if texts.chosen.source.recorded or engine().ready or not engine().healthy:
        _go_on(texts, step, on)
    else:
        st.caption("Loading the models, a few seconds the first time.")
    answer = texts.at(step)
    if texts.problem:
        st.warning(plain(texts.problem))
    if texts.stuck:
        st.button("Try again", key=f"{PAGE}.again", icon=":material/refresh:", on_click=texts.unstick)
    if answer is not None:
        chosen = texts.chosen
        titles = list(titles_of(chosen.source, chosen.runs).values())
        names = [title for title, _ in titles]
        st.html(legend_html())
        st.html(texts_html(chosen.prompts, titles, answer.models, f"after step {count(answer.step)}"))
        st.html(
            f'<p class="figure-note" dir="auto">'
            f"{escape(judged_sentence(chosen.source.events, answer.step, names, chosen.runs))}</p>"
            f'<p class="verdict" role="status" dir="auto">'
            f"{escape(seen_sentence(chosen.prompts, names, texts.answers, answer.step))}</p>"
        )
        at_end = answer.step == texts.steps[-1]
        shown = {} if at_end else {"step": answer.step}
        way = {"temperature": chosen.temperature, "seed": chosen.seed}
        write_query({**chosen.source.link, **GenerationOptions(**shown, **way).to_query()})  # type: ignore[arg-type]
    if _busy(texts, on) != busy or texts.steps != known:
        st.rerun()


def _go_on(texts: Texts, step: int, on: bool) -> None:
    """Ask one question, where there is one: for the step that is looked at first, then, once the race is over, others.

    While it is on its latest step is asked for again and again, since a later one may be there by now.
    """
    if texts.chosen.source.recorded or texts.stuck:
        return
    looked = texts.at(step)
    if looked is None or not looked.over or (on and step == LATEST):
        texts.ask(engine(), step)
    elif texts.missing and not on:
        texts.ask(engine(), texts.missing[0])


def _step(texts: Texts, opened: GenerationOptions) -> int:
    """The scrubber through the snapshots: the step it stands at, LATEST where that is the last one there is."""
    steps, key = texts.steps, texts.chosen.source.key
    if len(steps) < 2:
        return LATEST
    kept = f"{PAGE}.at.{key}"  # apart from the widget, so that it outlives a visit to another page
    at = st.session_state.setdefault(kept, opened.step)
    wanted = max((place for place, step in enumerate(steps) if step <= at), default=len(steps) - 1)
    place = scrubbed(PAGE, key, steps, wanted)
    at_end = place == len(steps) - 1
    st.session_state[kept] = options(GenerationOptions)["step"].high if at_end else steps[place]
    return LATEST if at_end else steps[place]
