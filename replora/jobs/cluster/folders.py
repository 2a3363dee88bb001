"""A node's data folder: as the web process's, with what the node's jobs need of it and what they leave.

Each agent has one of its own, below a folder of the user that agents of one machine share; models that were unpacked
stay there. What agents that were killed have left is removed by the next one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from replora.jobs.storage.owner import FOLDER, Owner, is_alive

STALE_SECONDS = 600.0  # after which a folder whose agent is gone was left behind, and not made just now
MODELS = "models"
Listing = Mapping[str, tuple[int, int]]  # size and time of change of each file, by its path below a folder


def shared_folder() -> Path:
    """Where the agents of this user have their folders, readable by nobody else; OSError where it is not ours."""
    place = Path(os.environ.get("REPLORA_NODE_DATA") or Path(tempfile.gettempdir()) / f"replora-nodes-{_user()}")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and place.stat().st_uid != os.getuid():
        raise PermissionError(f"{place} is another user's")
    return place


class NodeFolder:
    """The data folder of one agent, made at once and removed by `close`."""

    def __init__(self, place: Path | None = None) -> None:
        self._place = shared_folder() if place is None else place
        self._owner = Owner(self._place)
        self.root = self._place / self._owner.hold()
        self.root.mkdir(mode=0o700)
        (self._place / MODELS).mkdir(exist_ok=True)
        with suppress(OSError):  # a system without links has the models in each folder
            (self.root / MODELS).symlink_to(self._place / MODELS, target_is_directory=True)
        self._sweep()

    def path(self, name: str) -> Path:
        """The path of a name below the folder; `ValueError` for one that leads out of it."""
        path = Path(os.path.normpath(self.root / name))
        if self.root not in path.parents:
            raise ValueError(f"a path must stay below the node's folder, got {name!r}")
        return path

    def write(self, name: str, offset: int, data: bytes, last: bool) -> None:
        """A part of a file, in order; the file is there as a whole after its last part."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.part")
        with draft.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(data)
        if last:
            draft.replace(path)

    def close(self) -> None:
        """Removes the folder, but for the models."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._owner.release()

    def _sweep(self) -> None:
        before = time.time() - STALE_SECONDS
        for folder in self._place.iterdir():
            if folder.name in (FOLDER, MODELS) or not folder.is_dir():
                continue
            with suppress(OSError):  # another agent sweeps too
                if folder.stat().st_mtime < before and not is_alive(self._place, folder.name):
                    shutil.rmtree(folder, ignore_errors=True)


def listing(folder: Path) -> Listing:
    """The whole files below a folder; none where there is no folder."""
    found: dict[str, tuple[int, int]] = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # it has just been replaced
            facts = path.stat()
            if path.is_file() and path.suffix != ".part":
                found[path.relative_to(folder).as_posix()] = (facts.st_size, facts.st_mtime_ns)
    return found


def without(folder: Path, names: Sequence[str]) -> None:
    """Removes the files below a folder that are not among the names."""
    for name in listing(folder):
        if name not in names:
            with suppress(FileNotFoundError):
                (folder / name).unlink()


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
