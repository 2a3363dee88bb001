"""What the reader of a file says of a table, a text or a zip of pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from replora.own_data.examples import Examples
from replora.own_data.limits import Limits, OwnError
from replora.own_data.split import SplitOptions, numbered, split_task
from replora.own_data.tables.columns import guess_columns
from replora.own_data.tables.table import Table
from replora.own_data.texts.corpus import examples_of
from replora.own_data.upload import read_upload

SHOWN_TEXTS = 50
SHOWN_PICTURES = 24


def reply(data: bytes, request: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    """The columns, what was chosen, and an outline of the examples; or a question, or a problem, why there is none."""
    found = read_upload(data, request["file"], limits)
    chosen: tuple[str | None, str | None] = (None, None)
    told: dict[str, Any] = {}
    if isinstance(found, Table):
        asked = request["columns"]
        guess = guess_columns(found, limits)
        chosen = (asked[0], asked[1]) if asked else (guess.text, guess.label)
        told = {"columns": list(found.columns), "chosen": list(chosen)}
        if None in chosen:
            return {**told, "question": guess.question(found.name)}
    try:
        text, label = chosen
        examples = found
        if isinstance(found, Table) and text is not None and label is not None:
            examples = examples_of(found, text, label, limits)
    except OwnError as error:
        return {**told, "problem": str(error)}
    assert isinstance(examples, Examples)
    if request["sink"]:
        task = split_task(examples, SplitOptions(**request["split"]))
        try:
            pq.write_table(task.table(), request["sink"], compression="zstd")
        except OSError as error:
            raise OwnError(f"The data could not be kept: {error.strerror or type(error).__name__}.") from error
        return {**told, "modality": examples.modality}
    return {**told, **_outline(examples)}


def _outline(examples: Examples) -> dict[str, Any]:
    """What is shown of examples: labels by number, notes, and the first texts or some pictures of each class."""
    classes, labels = numbered(examples.labels)
    shown: dict[int, str] = {}
    if examples.modality != "image":
        places = range(min(SHOWN_TEXTS, len(labels)))
        shown = {place: str(examples.examples[place]) for place in places}
    else:
        several = max(1, SHOWN_PICTURES // len(classes))
        for number in range(min(SHOWN_PICTURES, len(classes))):
            for place in [place for place, label in enumerate(labels) if label == number][:several]:
                encoded = examples.examples[place]
                assert isinstance(encoded, bytes)
                shown[place] = base64.b64encode(encoded).decode("ascii")
    return {
        "modality": examples.modality,
        "classes": classes,
        "labels": labels.tolist(),
        "notes": list(examples.notes),
        "tested": list(examples.tested),
        "groups": list(examples.groups),
        "shown": shown,
    }
