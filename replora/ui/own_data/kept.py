"""The own tasks at hand: race with one, save it, remove it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import streamlit as st

from replora.catalog import is_corpus
from replora.own_data.limits import Limits, OwnError
from replora.own_data.store import delete_task, is_saved, save_task
from replora.tasks import TaskError, task_card
from replora.ui.own_data.preview import KINDS
from replora.ui.parts.text import plain
from replora.ui.race.form import ask_for_task
from replora.ui.visitor.own_data import forget, made_here, own_tasks
from replora.wording import count

USED = "own.used"  # the choice last put to use on this page, so that it is not kept twice


def own_list(taken: Limits) -> None:
    """A row a task; nothing where there is none. taken: what this server takes."""
    names = own_tasks()
    if not names:
        return
    st.html('<h2 class="figure">Your tasks<span>in the lists of Race and of the studies</span></h2>')
    for name in names:
        try:
            card = task_card(name)
        except TaskError as error:
            st.warning(plain(str(error)))
            continue
        about = KINDS[card.modality] + ("" if is_corpus(name) else f" in {card.classes} classes")
        _row(taken, name, card.title.removeprefix("Yours: "), about)


def _row(taken: Limits, name: str, title: str, about: str) -> None:
    saved, made = is_saved(name), made_here(name)
    until = f"until nobody has used it for {count(taken.saved_days)} days"
    kept = f"saved: its links keep working {until}" if saved else "kept for this session"
    with st.container(horizontal=True, vertical_alignment="center", key=f"own.row.{name}"):
        st.html(f'<p class="own"><b>{escape(title)}</b><span>{escape(about)}, {kept}</span></p>')
        if st.button("Race with it", key=f"own.race.{name}"):
            ask_for_task(name)
            st.switch_page("pages/race.py")
        if (saved or taken.save_data) and st.button(
            "Saved" if saved else "Save", disabled=saved or not made, key=f"own.save.{name}"
        ):
            _try(lambda: save_task(name, taken))
        if st.button("Delete" if made else "Take off the list", key=f"own.delete.{name}"):
            _try(lambda: _delete(name, made))


def _try(do: Callable[[], None]) -> None:
    """Do it and draw the page anew, or say why it cannot be done."""
    try:
        do()
    except OwnError as error:
        st.error(plain(str(error)))
    else:
        st.rerun()


def _delete(name: str, made: bool) -> None:
    if made:
        delete_task(name)
    forget(name)
    st.session_state.pop(USED, None)
