"""The page Your data: a file, its columns, a look at it, the split, and the tasks made of it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from replora.options import SpecError
from replora.options import options as config_options
from replora.own_data.examples import Examples, choose_columns, guess_columns
from replora.own_data.limits import Limits, OwnError
from replora.own_data.split import LONGEST_TITLE, OwnTask, SplitOptions, split_task
from replora.own_data.store import keep_task
from replora.own_data.table import Table
from replora.own_data.upload import SUFFIXES, read_upload
from replora.ui.forms.controls import control
from replora.ui.own_data.kept import USED, own_list
from replora.ui.own_data.preview import preview
from replora.ui.parts.text import plain
from replora.ui.shell.style import STYLE
from replora.ui.visitor.own_data import limits, note_made
from replora.wording import count

Choice = tuple[object, ...]  # a file and all that the controls say of it

READ = "own.read"  # the file at hand, read once
MADE = "own.task"  # what was last made of it, and by which choice


@dataclass(frozen=True)
class Read:
    """A file of this session: what is in it, or the sentence that says why it is not taken."""

    file: str
    name: str
    found: Table | Examples | None = None
    problem: str = ""


def own_page() -> None:
    """Uploader, controls and preview, then the tasks at hand."""
    st.html(STYLE / "own.css")
    st.html("<header class='page'><h1>Your data</h1><p>Your own texts or pictures, a task like any other.</p></header>")
    try:
        taken = limits()
    except SpecError as error:
        st.error(plain(f"This server is set up wrongly: {error}"))
        return
    read = _read(taken)
    if read is None:
        st.session_state.pop(READ, None)
    elif read.problem:
        st.error(plain(read.problem))
    elif read.found is not None:
        _form(read, read.found, taken)
    own_list()


def _read(taken: Limits) -> Read | None:
    """The file in the uploader; it is read when it is new."""
    file = st.file_uploader(
        f"A table of texts or a zip of pictures, with labels: at most {count(taken.max_examples)} examples",
        type=SUFFIXES,
        key="own.file",
        max_upload_size=taken.max_upload_mb,
    )
    if file is None:
        return None
    kept: Read | None = st.session_state.get(READ)
    if kept is None or kept.file != file.file_id:
        name = file.name.rpartition(".")[0]
        with st.spinner("Reading the file"):
            try:
                kept = Read(file.file_id, name, read_upload(file.getvalue(), file.name, taken))
            except OwnError as error:
                kept = Read(file.file_id, name, problem=str(error))
        st.session_state[READ] = kept
    return kept


def _form(read: Read, found: Table | Examples, taken: Limits) -> None:
    """Columns and split on the left, what comes of them on the right."""
    left, right = st.columns([1, 2.2], gap="large")
    task, choice, problem = None, None, ""
    with left, st.container(key="own.form"):
        columns = _columns(read, found) if isinstance(found, Table) else None
        options, problem = _split_options(read)
        if options is not None:
            choice = (read.file, columns, options)
            try:
                task = _task(found, columns, options, taken, choice)
            except OwnError as error:
                problem = str(error)
        if problem:
            st.error(plain(problem))
        _use(task, choice, taken)
    with right:
        if task is not None:
            preview(task)


def _columns(read: Read, table: Table) -> tuple[str, str]:
    """The columns of texts and labels, guessed at first."""
    names = list(table.columns)
    text, label = (
        st.selectbox(title, names, names.index(guess), key=f"own.{title}.{read.file}", persist_state="session") or guess
        for title, guess in zip(("Text column", "Label column"), guess_columns(table), strict=True)
    )
    return text, label


def _split_options(read: Read) -> tuple[SplitOptions | None, str]:
    share = control(
        SplitOptions, "test_share", key="own.test_share", opened=0.2, show=lambda value: f"{100 * value:.0f} %"
    )
    seed = control(SplitOptions, "split_seed", key="own.split_seed", opened=0)
    facts = config_options(SplitOptions)["title"]
    title = st.text_input(
        facts.label, read.name[:LONGEST_TITLE], LONGEST_TITLE, key=f"own.title.{read.file}", help=facts.help
    )
    try:
        return SplitOptions(title=title or "", test_share=share, split_seed=seed), ""
    except SpecError as error:
        return None, str(error)


def _task(
    found: Table | Examples, columns: tuple[str, str] | None, options: SplitOptions, taken: Limits, choice: Choice
) -> OwnTask:
    """What the controls make of the file, made once a choice; `OwnError`."""
    kept: tuple[Choice, OwnTask] | None = st.session_state.get(MADE)
    if kept is None or kept[0] != choice:
        if isinstance(found, Table):
            found = choose_columns(found, *(columns or guess_columns(found)), taken)
        kept = (choice, split_task(found, options))
        st.session_state[MADE] = kept
    return kept[1]


def _use(task: OwnTask | None, choice: Choice | None, taken: Limits) -> None:
    """The button that makes a task of what is seen, once a choice."""
    same = task is not None and st.session_state.get(USED) == choice
    label = "In your tasks, below" if same else "Use it"
    pressed = st.button(label, type="primary", disabled=task is None or same, key="own.use", width="stretch")
    if not pressed or task is None:
        return
    try:
        note_made(keep_task(task, taken))
    except OwnError as error:
        st.error(plain(str(error)))
        return
    st.session_state[USED] = choice
    st.rerun()
