"""Own tasks as files: `tasks/<token>.parquet` in the data folder, and beside it an empty `.saved` for those kept."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from replora.catalog import OWN_PREFIX, OWN_TASK
from replora.own_data.limits import Limits, OwnError
from replora.own_data.split import OwnTask
from replora.settings import data_folder
from replora.tasks import own_file

ORPHAN_SECONDS = 24 * 3600.0  # after which data that no session has touched belong to nobody


def keep_task(task: OwnTask, limits: Limits) -> str:
    """Write a task under a new name, `own:TOKEN`, which it returns; `OwnError` where there is no room for it."""
    if len(_files()) >= limits.max_tasks:
        raise OwnError(f"This server holds {limits.max_tasks:,} own data sets already; try again later.")
    name = f"{OWN_PREFIX}{secrets.token_urlsafe(16)}"
    path = own_file(name)
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(task.table(), fresh, compression="zstd")
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):  # the error above is the one to tell
            fresh.unlink(missing_ok=True)
        raise OwnError(f"The data could not be kept: {error.strerror or type(error).__name__}.") from error
    return name


def is_kept(name: str) -> bool:
    """Whether the data of an own task are here."""
    return bool(re.fullmatch(OWN_TASK, name)) and own_file(name).is_file()


def save_task(name: str) -> None:
    """Keep a task beyond its session; `OwnError` where the disk does not take it."""
    try:
        _mark(name).touch()
    except OSError as error:
        raise OwnError(f"The data could not be saved: {error.strerror or type(error).__name__}.") from error


def is_saved(name: str) -> bool:
    """Whether a task is kept beyond its session."""
    return _mark(name).is_file()


def delete_task(name: str) -> None:
    """Delete a task and its mark, if they are there; `OwnError` where the disk does not let go of them."""
    try:
        own_file(name).unlink(missing_ok=True)
        _mark(name).unlink(missing_ok=True)
    except OSError as error:
        raise OwnError(f"The data could not be deleted: {error.strerror or type(error).__name__}.") from error


def saved_tasks() -> Sequence[str]:
    """The names of all saved tasks, the latest first."""
    marks = sorted(_folder().glob("*.saved"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [name for each in marks if is_kept(name := f"{OWN_PREFIX}{each.stem}")]


def touch_task(name: str) -> None:
    """Note that a session has a task in use, so that it does not pass for an orphan."""
    with suppress(OSError):  # deleted meanwhile, or a disk that takes nothing: no reason to stop a page
        os.utime(own_file(name))


def sweep_tasks(age: float = ORPHAN_SECONDS) -> None:
    """Delete what killed processes left behind: unsaved tasks and halves of files older than `age` seconds."""
    before = time.time() - age
    for path in _folder().glob("*"):
        if path.suffix == ".saved" or path.with_suffix(".saved").is_file():
            continue
        with suppress(FileNotFoundError):  # another process sweeps too
            if path.stat().st_mtime < before:
                path.unlink()


def _folder() -> Path:
    return data_folder() / "tasks"


def _files() -> Sequence[Path]:
    return list(_folder().glob("*.parquet"))


def _mark(name: str) -> Path:
    return own_file(name).with_suffix(".saved")
