"""What own data look like: how many, the balance of the classes, the first texts or some pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import streamlit as st

from replora.catalog import FITTING
from replora.figures.balance import TEST, TRAIN, balance_figure, balance_height
from replora.hub.names import HubError
from replora.hub.packaged import check_here
from replora.own_data.apart import Outline
from replora.own_data.split import class_counts
from replora.ui.parts.figure import show_figure
from replora.ui.parts.text import plain
from replora.wording import count

KINDS = {"text": "texts", "image": "pictures", "continuation": "pieces of text to continue"}
MOST_BARS = 14  # more classes scroll


def preview(task: Outline, tested: npt.NDArray[np.bool_]) -> None:
    """A sentence, notes, the classes and the examples; tested: which are in the test split, (examples,)."""
    train, test = class_counts(task.labels, tested, len(task.classes))
    kind, whole = KINDS[task.modality], task.modality == "continuation"
    among = f"of {count(len(set(task.groups)))} passages or rows" if whole else f"in {len(task.classes)} classes"
    st.html(
        f'<p class="verdict">{count(len(task.labels))} {kind} {among}</p>'
        f'<p class="footnote">{count(sum(train))} to train on, {count(sum(test))} to test on</p>'
    )
    for note in task.notes:
        st.caption(plain(note))
    if whole:
        model_missing()
    else:
        _balance(task, train, test)
    st.html(f'<h2 class="figure">First {kind}<span>as they were read</span></h2>')
    if task.modality == "image":
        st.html(_pictures(task))
    else:
        _texts(task, tested)


def model_missing() -> None:
    """What brings the language model, where it is not here; nothing where it is."""
    try:
        check_here(FITTING["continuation"])
    except HubError as error:
        st.info(plain(str(error)))


def _balance(task: Outline, train: Sequence[int], test: Sequence[int]) -> None:
    """How many examples each class has, as a picture and in numbers."""
    figure, height = balance_figure(task.classes, train, test), balance_height(len(task.classes))
    with st.container(height=balance_height(MOST_BARS) + 60 if len(task.classes) > MOST_BARS else "content"):
        show_figure(figure, "own", height)
    with st.expander("Show numbers"):
        st.dataframe(
            pa.table({"class": task.classes, TRAIN: train, TEST: test}),
            hide_index=True,
        )


def _texts(task: Outline, tested: npt.NDArray[np.bool_]) -> None:
    columns = {
        "text": [str(text) for text in task.shown.values()],
        "class": [task.classes[task.labels[row]] for row in task.shown],
        "split": [TEST if tested[row] else TRAIN for row in task.shown],
    }
    if len(task.classes) == 1:
        del columns["class"]
    st.dataframe(
        pa.table(columns),
        hide_index=True,
        height=280,
        column_config={"text": st.column_config.TextColumn(width="large")},
    )


def _pictures(task: Outline) -> str:
    """The pictures that are shown, class after class."""
    shown = [_picture(encoded, task.classes[task.labels[place]]) for place, encoded in task.shown.items()]
    return f'<div class="pictures">{"".join(shown)}</div>'


def _picture(encoded: bytes | str, label: str) -> str:
    assert isinstance(encoded, bytes)
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"
    name = escape(label)
    return f'<figure><img src="{source}" alt="A picture of class {name}"><figcaption>{name}</figcaption></figure>'
