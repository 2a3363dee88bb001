"""What own data look like: how many, the balance of the classes, the first texts or some pictures."""

from __future__ import annotations

import base64
from html import escape

import pyarrow as pa
import streamlit as st

from replora.figures.balance import TEST, TRAIN, balance_figure, balance_height
from replora.own_data.split import OwnTask
from replora.ui.parts.figure import show_figure
from replora.ui.parts.text import plain
from replora.wording import count

KINDS = {"text": "texts", "image": "pictures"}
ROWS = 50  # texts to look through
PICTURES = 24
MOST_BARS = 14  # more classes scroll


def preview(task: OwnTask) -> None:
    """A sentence, notes, the classes and the examples."""
    train, test = task.counts()
    kind = KINDS[task.examples.modality]
    st.html(
        f'<p class="verdict">{count(len(task.labels))} {kind} in {len(task.classes)} classes</p>'
        f'<p class="footnote">{count(sum(train))} to train on, {count(sum(test))} to test on</p>'
    )
    for note in task.examples.notes:
        st.caption(plain(note))
    figure, height = balance_figure(task.classes, train, test), balance_height(len(task.classes))
    with st.container(height=balance_height(MOST_BARS) + 60 if len(task.classes) > MOST_BARS else "content"):
        show_figure(figure, "own", height)
    with st.expander("Show numbers"):
        st.dataframe(
            pa.table({"class": task.classes, TRAIN: train, TEST: test}),
            hide_index=True,
        )
    st.html(f'<h2 class="figure">First {kind}<span>as they were read</span></h2>')
    if task.examples.modality == "text":
        _texts(task)
    else:
        st.html(_pictures(task))


def _texts(task: OwnTask) -> None:
    rows = range(min(ROWS, len(task.labels)))
    columns = {
        "text": [str(task.examples.examples[row]) for row in rows],
        "class": [task.classes[task.labels[row]] for row in rows],
        "split": [TEST if task.tested[row] else TRAIN for row in rows],
    }
    st.dataframe(
        pa.table(columns),
        hide_index=True,
        height=280,
        column_config={"text": st.column_config.TextColumn(width="large")},
    )


def _pictures(task: OwnTask) -> str:
    """A few pictures of each class, class after class."""
    each = max(1, PICTURES // len(task.classes))
    shown = []
    for number, label in enumerate(task.classes[:PICTURES]):
        places = [place for place, found in enumerate(task.labels) if found == number][:each]
        shown += [_picture(task.examples.examples[place], label) for place in places]
    return f'<div class="pictures">{"".join(shown)}</div>'


def _picture(encoded: bytes | str, label: str) -> str:
    assert isinstance(encoded, bytes)
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"
    name = escape(label)
    return f'<figure><img src="{source}" alt="A picture of class {name}"><figcaption>{name}</figcaption></figure>'
