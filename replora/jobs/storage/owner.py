"""Who runs a job: an engine holds a locked file as long as its process lives, so that others can see whether it does.

The system lets go of the lock when the process ends, however it ends; no number of a process or of a boot is compared,
which would say nothing across containers.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

FOLDER = "owners"  # in the data folder
STALE_SECONDS = 3600.0  # after which a file that nobody has locked was left behind, and not made just now

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> bool:
        """Locks an open file; whether it was free."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(file: int) -> bool:
        """Locks an open file; whether it was free. OSError where files cannot be locked."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Owner:
    """An engine of this process as the owner of its jobs in a data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._name = secrets.token_hex(8)
        self._file: int | None = None

    def hold(self) -> str:
        """The owner's name; from the first call on, its file is there and locked. OSError where that cannot be."""
        if self._file is None:
            path = _path(self._data, self._name)
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _lock(file)
            except OSError:
                os.close(file)
                raise
            self._file = file
        return self._name

    def release(self) -> None:
        """Lets go: what it still owns belongs to nobody."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
            with suppress(OSError):  # an empty file that stays is swept away later
                _path(self._data, self._name).unlink(missing_ok=True)


def take(path: Path) -> int | None:
    """A lock on a file, made where it is not there: the open file, or None where another holds it. OSError."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _lock(file):
            return file
    except OSError:
        os.close(file)
        raise
    os.close(file)
    return None


def is_alive(data: Path, name: str) -> bool:
    """Whether the process of an owner still runs; '' is nobody's name. OSError where its file cannot be opened."""
    return bool(name) and not _is_free(_path(data, name))


def sweep(data: Path) -> None:
    """Removes the files that killed processes left behind; OSError where the disk refuses."""
    before = time.time() - STALE_SECONDS
    for path in (data / FOLDER).glob("*.lock"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if path.stat().st_mtime < before and _is_free(path):
                path.unlink()


def _is_free(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return True
    try:
        return _lock(file)
    finally:
        os.close(file)


def _path(data: Path, name: str) -> Path:
    return data / FOLDER / f"{name}.lock"
