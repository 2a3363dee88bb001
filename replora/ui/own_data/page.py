"""The page Your data: a file, its columns, a look at it, the split, and the tasks made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from replora.options import SpecError
from replora.options import options as config_options
from replora.own_data.apart import Reading, keep_apart, read_apart
from replora.own_data.limits import Limits, OwnError
from replora.own_data.samples import sample_pictures, sample_table
from replora.own_data.split import LONGEST_TITLE, SplitOptions, tested_places
from replora.own_data.tables.columns import NO_LABEL
from replora.ui.forms.controls import control
from replora.ui.own_data.kept import USED, own_list
from replora.ui.own_data.preview import preview
from replora.ui.parts.text import plain
from replora.ui.shell.style import STYLE
from replora.ui.uploads import why_refused
from replora.ui.visitor.own_data import limits, note_made, room_of
from replora.wording import count

Choice = tuple[object, ...]  # a file and all that the controls say of it

NO_COLUMN = "none: a text to continue"
READ = "own.read"  # the file at hand, read once


@dataclass(frozen=True)
class Read:
    """A file of this session as it was read last: by which columns, and what was in it."""

    file: str
    name: str
    asked: tuple[str, str] | None
    found: Reading


def own_page() -> None:
    """Uploader, controls and preview, then the tasks at hand."""
    st.html(STYLE / "own.css")
    st.html("<header class='page'><h1>Your data</h1><p>Your own texts or pictures, a task like any other.</p></header>")
    try:
        taken = limits()
    except SpecError as error:
        st.error(plain(f"This server is set up wrongly: {error}"))
        return
    file = _upload(taken)
    if file is None:
        st.session_state.pop(READ, None)
        _samples()
    else:
        _form(file, taken)
    own_list(taken)


def _upload(taken: Limits) -> UploadedFile | None:
    """The file in the uploader, of any kind: what is not taken is told why, and what to do instead."""
    file: UploadedFile | None = st.file_uploader(
        "A table of texts and labels (CSV, TSV, JSON lines, Parquet), a zip of pictures in class folders or a text to "
        f"continue (.txt): at most {count(taken.max_examples)} examples and {taken.max_upload_mb} MB",
        key="own.file",
        max_upload_size=taken.max_upload_mb,
    )
    if why := why_refused():
        st.error(plain(why))
    return file


def _samples() -> None:
    """Files that show what is taken."""
    with st.container(horizontal=True, vertical_alignment="center", key="own.samples"):
        st.caption("No file at hand? Samples to try, and to fill with your own:")
        st.download_button("Texts (CSV)", sample_table(), "sample_texts.csv", key="own.sample.csv")
        st.download_button("Pictures (zip)", sample_pictures(), "sample_pictures.zip", key="own.sample.zip")


def _read(file: UploadedFile, taken: Limits, columns: tuple[str, str] | None = None) -> Read:
    """What is in the file, of a table by these columns; it is read when it is new, or they are others."""
    kept: Read | None = st.session_state.get(READ)
    if kept is None or kept.file != file.file_id or columns not in (None, kept.asked, kept.found.chosen):
        with st.spinner("Reading the file"):
            owner, address = room_of()
            found = read_apart(file.getvalue(), file.name, taken, columns, owner=owner, address=address)
        kept = Read(file.file_id, file.name.rpartition(".")[0], columns, found)
        st.session_state[READ] = kept
    return kept


def _form(file: UploadedFile, taken: Limits) -> None:
    """Columns and split on the left, what comes of them on the right."""
    read = _read(file, taken)
    if read.found.problem and not read.found.columns:
        st.error(plain(read.found.problem))
        return
    left, right = st.columns([1, 2.2], gap="large")
    with left, st.container(key="own.form"):
        columns = _columns(read) if read.found.columns else None
        if read.found.columns and columns is None:
            st.info(plain(read.found.question or "Choose the column of texts and that of labels."))
            return
        read = _read(file, taken, columns)
        outline, problem = read.found.outline, read.found.problem
        options, wrong = _split_options(read)
        problem = problem or wrong
        ready = None if problem or outline is None else options
        if problem:
            st.error(plain(problem))
        _use(file, columns, ready, taken)
    with right:
        if outline is not None and ready is not None:
            preview(outline, tested_places(outline.labels, len(outline.classes), ready, outline.tested, outline.groups))


def _columns(read: Read) -> tuple[str, str] | None:
    """The columns of texts and labels, guessed at first; None as long as one of them is not chosen."""
    names = list(read.found.columns)
    text, label = read.found.chosen or (None, None)
    text = _column("Text column", names, text, read.file)
    label = _column("Label column", [*names, NO_LABEL], label, read.file)
    return None if text is None or label is None else (text, label)


def _column(title: str, names: Sequence[str], guess: str | None, file: str) -> str | None:
    """The column that is chosen; None as long as none is."""
    chosen = st.selectbox(
        title,
        names,
        None if guess is None else names.index(guess),
        format_func=lambda name: NO_COLUMN if name == NO_LABEL else name,
        key=f"own.{title}.{file}",
        placeholder="Choose a column",
        persist_state="session",
    )
    return guess if chosen is None else chosen


def _split_options(read: Read) -> tuple[SplitOptions | None, str]:
    has_one = read.found.outline is not None and bool(read.found.outline.tested)
    official = has_one and control(SplitOptions, "official_split", key="own.official_split", opened=True)
    share = control(
        SplitOptions,
        "test_share",
        key="own.test_share",
        opened=0.2,
        show=lambda value: f"{100 * value:.0f} %",
        disabled=official,
    )
    seed = control(SplitOptions, "split_seed", key="own.split_seed", opened=0, disabled=official)
    facts = config_options(SplitOptions)["title"]
    title = st.text_input(
        facts.label, read.name[:LONGEST_TITLE], LONGEST_TITLE, key=f"own.title.{read.file}", help=facts.help
    )
    try:
        return SplitOptions(title=title or "", test_share=share, split_seed=seed, official_split=official), ""
    except SpecError as error:
        return None, str(error)


def _use(file: UploadedFile, columns: tuple[str, str] | None, options: SplitOptions | None, taken: Limits) -> None:
    """The button that makes a task of what is seen, once a choice."""
    choice: Choice = (file.file_id, columns, options)
    same = options is not None and st.session_state.get(USED) == choice
    label = "In your tasks, below" if same else "Use it"
    pressed = st.button(label, type="primary", disabled=options is None or same, key="own.use", width="stretch")
    if not pressed or options is None:
        return
    try:
        with st.spinner("Keeping the data"):
            note_made(keep_apart(file.getvalue(), file.name, taken, columns, options, *room_of()))
    except OwnError as error:
        st.error(plain(str(error)))
        return
    st.session_state[USED] = choice
    st.rerun()
