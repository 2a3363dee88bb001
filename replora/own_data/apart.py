"""Files of users read apart: the web process asks `replora.own_data.reader` and keeps only what it shows of them."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from replora.catalog import Modality
from replora.own_data.limits import Limits, OwnError, shown
from replora.own_data.readers.turns import ReadingTurns
from replora.own_data.split import SplitOptions
from replora.own_data.store import keep_file
from replora.pictures import InputError, Picture
from replora.tasks import Indices

WALL = 3  # seconds of the clock for each of its processor, for others use it too
TURNS = ReadingTurns()

OUT_OF_TIME = getattr(signal, "SIGXCPU", 0)  # what the system sends at the limit of processor time

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outline:
    """What is known of own examples without holding them. labels: (examples,), places in `classes`.

    shown: a few examples by place, texts or encoded pictures; notes: sentences on what was changed or left out; tested:
    which are tested on by the file's own split, empty where it has none; groups: those of one stay together.
    """

    modality: Modality
    classes: tuple[str, ...]
    labels: Indices
    notes: tuple[str, ...] = ()
    shown: Mapping[int, str | bytes] = field(default_factory=dict)
    tested: tuple[bool, ...] = ()
    groups: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Reading:
    """A file as it was read: the columns of a table, those that were chosen, and the outline or why there is none.

    chosen: the columns of texts and labels, None where that cannot be told, which `question` then asks for.
    """

    columns: tuple[str, ...] = ()
    chosen: tuple[str | None, str | None] | None = None
    outline: Outline | None = None
    problem: str = ""
    question: str = ""


def read_apart(
    data: bytes,
    file: str,
    limits: Limits,
    columns: tuple[str, str] | None = None,
    *,
    owner: str = "",
    address: str = "",
) -> Reading:
    """The outline of an uploaded file, of a table by two columns, texts and labels, or those that are guessed.

    Labels are `NO_LABEL` where the texts are to be continued.

    owner, address: whose file it is, see `ReadingTurns`. Never raises for what is in the file, or for others that are
    read: a sentence stands in `problem`.
    """
    try:
        told = _asked(data, file, limits, columns=columns, owner=owner, address=address)
    except OwnError as error:
        return Reading(problem=str(error))
    names, chosen = tuple(told.get("columns", ())), told.get("chosen")
    return Reading(
        names,
        (chosen[0], chosen[1]) if chosen else None,
        _outline(told) if "labels" in told else None,
        told.get("problem", ""),
        told.get("question", ""),
    )


def square_apart(data: bytes, limits: Limits, *, owner: str = "", address: str = "") -> Picture:
    """`replora.pictures.square` of an uploaded picture; `InputError` where it cannot be taken."""
    try:
        told = _asked(data, "", limits, owner=owner, address=address)
    except OwnError as error:
        raise InputError(str(error)) from error
    return Picture(base64.b64decode(told["png"], validate=True), tuple(told["notes"]))


def keep_apart(
    data: bytes,
    file: str,
    limits: Limits,
    columns: tuple[str, str] | None,
    options: SplitOptions,
    owner: str,
    address: str = "",
) -> str:
    """Keep the task that comes of a file, in the room of `owner` and `address`: its name, `own:TOKEN`. `OwnError`."""

    def write(place: Path) -> Modality:
        told = _asked(
            data,
            file,
            limits,
            columns=columns,
            split=dataclasses.asdict(options),
            sink=str(place),
            owner=owner,
            address=address,
        )
        if why := told.get("problem") or told.get("question"):
            raise OwnError(why)
        modality: Modality = told["modality"]
        return modality

    return keep_file(write, limits, owner, address)


def _asked(
    data: bytes,
    file: str,
    limits: Limits,
    *,
    owner: str,
    address: str,
    columns: tuple[str, str] | None = None,
    split: Mapping[str, Any] | None = None,
    sink: str = "",
) -> dict[str, Any]:
    """The reply of a reader of its own to a file, without a name a picture; `OwnError` where it gives none."""
    name = shown(PurePath(file).name, 60).strip("'") or "picture"
    request = {
        "file": PurePath(file).name,
        "limits": dataclasses.asdict(limits),
        "columns": columns,
        "split": split,
        "sink": sink,
    }
    try:
        with TURNS.turn(name, owner, address):
            ended = _run(json.dumps(request), data, WALL * limits.max_read_seconds)
    except subprocess.TimeoutExpired:
        raise OwnError(_too_long(name, limits)) from None
    except OSError as error:
        raise OwnError(f"{name} cannot be read now: {error.strerror or type(error).__name__}.") from error
    if ended.returncode != 0:
        said = ended.stderr[-2000:].decode("utf-8", "replace")
        log.warning("The reader of a file ended with %s: %s", ended.returncode, said)
        if ended.returncode == -OUT_OF_TIME:
            raise OwnError(_too_long(name, limits))
        raise OwnError(
            f"{name} cannot be read: the process that tried ended, as it does on damaged files and on those that take "
            f"more than {limits.max_read_mb:,} MB of memory."
        )
    told: dict[str, Any] = json.loads(ended.stdout)
    if "problem" in told and not told.get("columns"):
        raise OwnError(told["problem"])
    return told


def _too_long(name: str, limits: Limits) -> str:
    return f"{name} takes longer than {limits.max_read_seconds:,} seconds to be read; fewer or smaller examples do not."


def _run(request: str, data: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """One reader's life. Not `multiprocessing`: a process that a script of Streamlit spawns runs app.py again."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(each) for each in sys.path),  # the reader sees our modules
        "OPENBLAS_NUM_THREADS": "1",  # each thread would count its stack as memory
        "OMP_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # which takes what it needs, and not more beforehand
        "MALLOC_ARENA_MAX": "2",
    }
    command = [sys.executable, "-P", "-m", "replora.own_data.reader", request]
    return subprocess.run(command, input=data, capture_output=True, env=environment, timeout=seconds, check=False)


def _outline(told: Mapping[str, Any]) -> Outline:
    modality: Modality = told["modality"]
    decode = partial(base64.b64decode, validate=True) if modality == "image" else str
    return Outline(
        modality,
        tuple(told["classes"]),
        np.array(told["labels"], dtype=np.int64),
        tuple(told["notes"]),
        {int(place): decode(text) for place, text in told["shown"].items()},
        tuple(told["tested"]),
        tuple(told["groups"]),
    )
