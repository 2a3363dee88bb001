"""The controls of 'Attention as experts': which race, which of its runs, which example."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from replora.catalog import ALL_TASKS
from replora.lens.inputs import digit, sentence
from replora.lens.questions import FROZEN, MOST_RUNS, Example
from replora.methods import METHODS, has_adapter
from replora.options import Linked, option
from replora.own_data.apart import square_apart
from replora.pictures import MAX_BYTES, MEGABYTE, InputError, Picture
from replora.tasks import Task, load_task
from replora.ui.components.draw_pad import draw_pad
from replora.ui.inside.experts.view import RunTitle
from replora.ui.inside.race_picker import CONTINUED, LABELLED, PickedRace, pick_race
from replora.ui.live.engine import WatchedEngine
from replora.ui.parts.once import Once
from replora.ui.parts.text import plain
from replora.ui.uploads import why_refused
from replora.ui.visitor.own_data import limits, room_of
from replora.wording import count

PAGE = "experts"
TEST, DRAW, UPLOAD, TYPE = "Test example", "Draw", "Upload", "Write"
READ = f"{PAGE}.read"  # the picture at hand, by its file
EMBEDDED = Once[Task](8)  # tasks by name
FROZEN_TITLE = "Model as it was"
ASK = {
    DRAW: "Draw a digit: white chalk on black. Without mouse, pen or finger: Upload takes a picture of one.",
    UPLOAD: "Choose a picture.",
    TYPE: "Write a sentence.",
}


@dataclass(frozen=True, kw_only=True)
class ExpertsOptions(Linked):
    """What a link carries beside the race; counted from 1, as people do, 0 being the last layer."""

    example: int = option(0, "Example", "Of the test examples, counted from 0.", low=0, high=1_000_000)
    layer: int = option(0, "Layer", "Which attention layer.", low=0, high=256)
    head: int = option(1, "Head", "Which head of the layer.", low=1, high=256)
    token: int = option(1, "Query", "The token whose gates are shown.", low=1, high=1024)
    step: int = option(100_000, "Step", "After which step of the race.", low=0, high=100_000)


@dataclass(frozen=True)
class Given:
    """An example as chosen: for the question, as a picture (encoded) or text to show, its name and notes about it.

    stale: it is shown on until there is the one that was asked for.
    """

    example: Example
    picture: bytes | None = None
    text: str = ""
    title: str = ""
    notes: tuple[str, ...] = ()
    stale: bool = False


@dataclass(frozen=True)
class Chosen:
    """The race to look into and the runs that are shown beside each other."""

    source: PickedRace
    runs: tuple[int, ...]

    @property
    def asked(self) -> tuple[int, ...]:
        """The runs shown, and one of each other method for its prediction."""
        first = [self.source.runs(name)[:1] for name in METHODS]
        seen = {self.source.spec.runs[run].method.name for run in self.runs if run != FROZEN}
        more = [run for found in first for run in found if self.source.spec.runs[run].method.name not in seen]
        return (*self.runs, *more)[:MOST_RUNS]

    def title(self, run: int) -> RunTitle:
        """What a run is called, and as which method it looks."""
        if run == FROZEN:
            return RunTitle(FROZEN_TITLE, "frozen")
        return RunTitle(self.source.run_title(run), self.source.spec.runs[run].method.name)


def experts_form(engine: WatchedEngine) -> Chosen | None:
    """The controls in the sidebar; None where there is nothing to look at, which has been said."""
    source = pick_race(engine, key=f"{PAGE}.source", reads=(*LABELLED, *CONTINUED))
    if source is None:
        return None
    places = [FROZEN, *range(len(source.spec.runs))]
    adapters = [run for name in METHODS if has_adapter(name) for run in source.runs(name)[:1]]
    key, most = f"{PAGE}.runs.{source.key}", MOST_RUNS - 1
    if len(st.session_state.get(key, ())) > most:  # which no browser lets happen
        st.session_state[key] = st.session_state[key][:most]
    chosen = st.multiselect(
        "Beside each other",
        places,
        adapters or places[:2],
        format_func=lambda run: FROZEN_TITLE if run == FROZEN else source.run_title(run),
        max_selections=most,
        key=key,
        persist_state="session",
        help=f"At most {most} runs of the race, or the model as it was before.",
    )
    if not chosen:
        st.caption("No run is chosen; the first ones are shown.")
    return Chosen(source, tuple(chosen or adapters or places[:2]))


def given_example(source: PickedRace, opened: ExpertsOptions) -> Given | str:
    """The example's controls and the example; a sentence where there is none yet. Raises `InputError`."""
    task = known_task(source.spec.task)
    ways = _ways(task)
    way = st.segmented_control(
        "Example",
        ways,
        default=TEST,
        required=True,
        key=f"{PAGE}.way.{task.modality}.{len(ways)}",
        persist_state="session",
        help="An example of the test split, or one of your own. It stays on this server and is not stored.",
    )
    if way == DRAW:
        drawn = draw_pad(key=f"{PAGE}.pad")
        if drawn is None:
            return ASK[DRAW]
        made = digit(drawn)
        return Given(_as_picture(made.png), made.png, title="Your drawing", notes=made.notes)
    if way == UPLOAD:
        file = st.file_uploader(
            "Picture",
            type=["png", "jpg", "jpeg", "webp", "gif", "bmp"],
            key=f"{PAGE}.file",
            help="PNG, JPEG, WebP, GIF or BMP. It is cut to a square.",
            max_upload_size=MAX_BYTES // MEGABYTE,
        )
        if why := why_refused():
            st.error(plain(why))
        if file is None:
            return ASK[UPLOAD]
        made = _squared(file)
        return Given(_as_picture(made.png), made.png, title="Your picture", notes=made.notes)
    if way == TYPE:
        text = st.text_area("Sentence", key=f"{PAGE}.sentence", height=80, persist_state="session")
        if not text:
            return ASK[TYPE]
        written = sentence(text)
        return Given(Example(sentence=written.text), text=written.text, title="Your sentence", notes=written.notes)
    return test_example(task, _index(task, opened))


def _squared(file: UploadedFile) -> Picture:
    """The picture in the uploader, read once; `InputError`."""
    kept: tuple[str, Picture | InputError] | None = st.session_state.get(READ)
    if kept is None or kept[0] != file.file_id:
        try:
            with st.spinner("Reading the picture"):
                owner, address = room_of()
                kept = (file.file_id, square_apart(file.getvalue(), limits(), owner=owner, address=address))
        except InputError as error:
            kept = (file.file_id, error)
        st.session_state[READ] = kept
    if isinstance(kept[1], InputError):
        raise kept[1]
    return kept[1]


def _index(task: Task, opened: ExpertsOptions) -> int:
    last = len(task.test) - 1
    key = f"{PAGE}.example"
    if st.session_state.get(key, 0) > last:
        st.session_state[key] = last
    label = f"Test example (0 to {count(last)})"
    return int(st.number_input(label, 0, last, min(opened.example, last), key=key, persist_state="session"))


def test_example(task: Task, index: int) -> Given:
    """An example of the test split by its place, the last one for a place beyond it."""
    index = min(index, len(task.test) - 1)
    raw = task.test.examples[index]
    label = "" if task.modality == "continuation" else f": {task.classes[int(task.test.labels[index])]}"
    title = f"Test example {count(index)}{label}"
    example = Example(index=index)
    return Given(example, raw, title=title) if isinstance(raw, bytes) else Given(example, text=raw, title=title)


def _ways(task: Task) -> Sequence[str]:
    if task.modality != "image":
        return (TEST, TYPE)
    return (TEST, DRAW, UPLOAD) if task.name == "digits" else (TEST, UPLOAD)


def _as_picture(png: bytes) -> Example:
    return Example(picture=base64.b64encode(png).decode("ascii"))


def known_task(name: str) -> Task:
    """A task's examples; `TaskError` where it cannot be read. Own data are read anew: deleted ones must not stay."""
    return EMBEDDED(name, lambda: load_task(name)) if name in ALL_TASKS else load_task(name)
