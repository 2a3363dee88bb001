"""Own tasks as files: `tasks/<token>.parquet` in the data folder; beside it an empty `.saved` for those kept, and an
`.owner` that says whose room it takes, a visitor's and an address's."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from replora.catalog import CORPUS_MARK, OWN_PREFIX, OWN_TASK, Modality
from replora.own_data.limits import MEGABYTE, Limits, OwnError
from replora.own_data.split import OwnTask
from replora.settings import data_folder
from replora.tasks import own_file

SAVED, OWNER = ".saved", ".owner"
DAY = 24 * 3600.0  # seconds
NEW_SECONDS = 60.0  # in which a file may be without the one beside it
ORPHAN_SECONDS = DAY  # after which data that no session has touched belong to nobody
ROOM = threading.Lock()


def keep_task(task: OwnTask, limits: Limits, owner: str = "") -> str:
    """Write a task under a new name, `own:TOKEN`, which it returns; `OwnError` where there is no room for it."""

    def write(path: Path) -> Modality:
        pq.write_table(task.table(), path, compression="zstd")
        return task.examples.modality

    return keep_file(write, limits, owner)


def keep_file(write: Callable[[Path], Modality], limits: Limits, owner: str = "", address: str = "") -> str:
    """Have `write` make the file of a task under a new name, which is returned; `OwnError` where there is no room.

    write: returns what the examples are; the name begins with `CORPUS_MARK` where they are texts to continue.
    owner and address: whose room it takes beside the server's, '' for nobody's.
    """
    sweep_tasks(saved_days=limits.saved_days)
    _check_room(limits, owner, address)
    token = secrets.token_urlsafe(16)
    name = f"{OWN_PREFIX}{token}"
    path = own_file(name)
    fresh, whose = path.with_suffix(".new"), path.with_suffix(OWNER)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if write(fresh) == "continuation":
            name = f"{OWN_PREFIX}{CORPUS_MARK}{token}"
            path = own_file(name)
            whose = path.with_suffix(OWNER)
        with ROOM:  # two that each fit must not both be taken where one fits
            _check_room(limits, owner, address, fresh.stat().st_size)
            if owner or address:
                whose.write_text(f"{_short(owner)}\n{_short(address)}", encoding="ascii")
            fresh.replace(path)
    except BaseException as error:
        for left_over in (fresh, whose):
            with suppress(OSError):  # the error above is the one to tell
                left_over.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OwnError(f"The data could not be kept: {error.strerror or type(error).__name__}.") from error
        raise
    return name


def _check_room(limits: Limits, owner: str, address: str, size: int = 0) -> None:
    """`OwnError` where `size` bytes more are too many, of one visitor, of an address or of all, or there are enough
    sets: a new cookie makes another visitor of anybody, but no other address."""
    sizes = {path: path.stat().st_size for path in _files()}
    theirs, near = (
        {path: size for path, size in sizes.items() if whose and _is_of(path, whose)} for whose in (owner, address)
    )
    for found, most, megabytes, who in (
        (theirs, limits.max_visitor_tasks, limits.max_visitor_mb, "You have"),
        (near, limits.max_address_tasks, limits.max_address_mb, "Visitors at your address have"),
        (sizes, limits.max_tasks, limits.max_tasks_mb, "This server holds"),
    ):
        again = "delete one first" if found is theirs else "try again later"
        if len(found) >= most:
            raise OwnError(f"{who} {most:,} own data sets already, as many as are taken; {again}.")
        if sum(found.values()) + size > megabytes * MEGABYTE:
            raise OwnError(f"{who} own data of nearly {megabytes:,} MB already, as much as is taken; {again}.")


def _is_of(path: Path, whose: str) -> bool:
    """Whether data take the room of a visitor or of an address."""
    try:
        return _short(whose) in path.with_suffix(OWNER).read_text(encoding="ascii").split()
    except (OSError, ValueError):  # of nobody, or just deleted
        return False


def _short(owner: str) -> str:
    """An owner in the file beside the data, '' for nobody: not the secret by which a visitor is known."""
    return hashlib.sha256(owner.encode()).hexdigest()[:32] if owner else ""


def is_kept(name: str) -> bool:
    """Whether the data of an own task are here."""
    return bool(re.fullmatch(OWN_TASK, name)) and own_file(name).is_file()


def save_task(name: str, limits: Limits) -> None:
    """Keep a task beyond its session; `OwnError` where this server saves none, or the disk does not take it."""
    if not limits.save_data:
        raise OwnError("This server saves no own data beyond their session.")
    try:
        _mark(name).touch()
    except OSError as error:
        raise OwnError(f"The data could not be saved: {error.strerror or type(error).__name__}.") from error


def is_saved(name: str) -> bool:
    """Whether a task is kept beyond its session."""
    return _mark(name).is_file()


def delete_task(name: str) -> None:
    """Delete a task and what stands beside it, if they are there; `OwnError` where the disk does not let go of them."""
    try:
        for path in (own_file(name), _mark(name), own_file(name).with_suffix(OWNER)):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OwnError(f"The data could not be deleted: {error.strerror or type(error).__name__}.") from error


def saved_tasks() -> Sequence[str]:
    """The names of all saved tasks, the latest first."""
    marks = sorted(_folder().glob(f"*{SAVED}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [name for each in marks if is_kept(name := f"{OWN_PREFIX}{each.stem}")]


def tasks_of(owner: str) -> Sequence[str]:
    """The names of all tasks that take the room of an owner, the earliest first."""
    ages: dict[Path, float] = {}
    for path in _files():
        if _is_of(path, owner):
            with suppress(FileNotFoundError):  # just deleted
                ages[path] = path.with_suffix(OWNER).stat().st_mtime
    return [f"{OWN_PREFIX}{path.stem}" for path in sorted(ages, key=lambda path: ages[path])]


def touch_task(name: str) -> None:
    """Note that a session has a task in use, so that it does not pass for an orphan."""
    with suppress(OSError):  # deleted meanwhile, or a disk that takes nothing: no reason to stop a page
        os.utime(own_file(name))


def sweep_tasks(age: float = ORPHAN_SECONDS, *, saved_days: float | None = None) -> None:
    """Delete what killed processes left behind: unsaved tasks and halves of files older than `age` seconds; and saved
    tasks that no session has used for `saved_days`, None for never."""
    now = time.time()
    ages = dict.fromkeys(_folder().glob("*.new"), age)
    for path in _files():
        saved = path.with_suffix(SAVED).is_file()
        if not saved:
            ages[path] = age
        elif saved_days is not None:
            ages[path] = DAY * saved_days
    for path, most in ages.items():
        with suppress(FileNotFoundError):  # another process sweeps too
            if now - path.stat().st_mtime > most:
                path.unlink()
    for beside in (*_folder().glob(f"*{SAVED}"), *_folder().glob(f"*{OWNER}")):
        with suppress(FileNotFoundError):
            if not beside.with_suffix(".parquet").is_file() and now - beside.stat().st_mtime > NEW_SECONDS:
                beside.unlink()


def _folder() -> Path:
    return data_folder() / "tasks"


def _files() -> Sequence[Path]:
    return list(_folder().glob("*.parquet"))


def _mark(name: str) -> Path:
    return own_file(name).with_suffix(SAVED)
