"""Files between the web process's data folder and a node's: brought before a job begins, fetched when it has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replora.jobs.cluster.folders import Listing, listing, without

PART_BYTES = 4 * 2**20  # of a file, in one call

Call = Callable[..., Any]  # a method of the agent by name, and its arguments; waits for what it returns


class NodeFiles:
    """What a node has of the data folder `data`. `call` raises where the node is lost."""

    def __init__(self, data: Path, call: Call) -> None:
        self._data, self._call = data, call
        self._lock = threading.Lock()  # one transfer at a time
        # what the node has, by name of a file or folder, as it is on our side; None where a job has changed it
        self._here: dict[str, Listing | None] = {}

    def bring(self, name: str) -> None:
        """The node has a file, or the files below a folder, as we have it; nothing is sent that has not changed."""
        with self._lock:
            ours = self._listing(name)
            if self._here.get(name, {}) == ours:  # without a name that is nothing on either side
                return
            self._call("remove", name)
            for part in ours:
                self._send(f"{name}/{part}" if part else name)
            self._here[name] = ours

    def changes(self, name: str) -> None:
        """A job that begins there will change what is below a folder."""
        with self._lock:
            self._here[name] = None

    def fetch(self, name: str, to: Path) -> None:
        """The folder `to` has the files that the node has below a folder of its own; OSError where our disk refuses."""
        with self._lock:
            theirs: Listing = self._call("listing", name)
            for part, (size, _) in theirs.items():
                self._receive(f"{name}/{part}", to / part, size)
            without(to, list(theirs))
            self._here[name] = self._listing(name)

    def remove(self, name: str) -> None:
        """The node needs a file or folder no more."""
        with self._lock:
            if self._here.pop(name, {}) != {}:
                self._call("remove", name)

    def _listing(self, name: str) -> Listing:
        path = self._data / name
        if path.is_file():
            facts = path.stat()
            return {"": (facts.st_size, facts.st_mtime_ns)}
        return listing(path)

    def _send(self, name: str) -> None:
        offset = 0
        with (self._data / name).open("rb") as file:
            while True:
                data = file.read(PART_BYTES)
                last = len(data) < PART_BYTES
                self._call("write", name, offset, data, last)
                offset += len(data)
                if last:
                    return

    def _receive(self, name: str, to: Path, size: int) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        draft = to.with_name(f"{to.name}.part")
        with draft.open("wb") as file:
            for offset in range(0, size, PART_BYTES):
                file.write(self._call("read", name, offset, min(PART_BYTES, size - offset)))
        draft.replace(to)
