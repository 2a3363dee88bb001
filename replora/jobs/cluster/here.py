"""What runs on the web process's own machine beside a cluster: downloads, whose files are to be there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from replora.jobs.host_keeper import HostKeeper
from replora.jobs.kinds import NO_RUNS
from replora.jobs.messages import HostSettings, encode

CLOSE_SECONDS = 2.0


class Here:
    """A job host without torch, started for the first job; `tell` takes what it tells of its jobs."""

    def __init__(self, settings: HostSettings, tell: Callable[[Mapping[str, Any]], None]) -> None:
        self._settings = replace(settings, module=HostSettings.module, data="", cluster={}, connection=-1, preload=())
        self._tell = tell
        self._lock = threading.Lock()  # guards all below
        self._keeper: HostKeeper | None = None
        self._waiting: list[bytes] = []  # for a host that is not ready
        self._jobs: set[str] = set()

    @staticmethod
    def takes(kind: str) -> bool:
        """Whether jobs of a kind run here."""
        return kind in NO_RUNS

    def send(self, message: Mapping[str, Any]) -> bool:
        """A message for one of its jobs; whether it is one."""
        with self._lock:
            if message["do"] == "start" and self.takes(message["kind"]):
                self._jobs.add(message["job"])
                if self._keeper is None:
                    self._keeper = HostKeeper(self._settings, self._heed, self._lost)
            if message["job"] not in self._jobs or self._keeper is None:
                return False
            if self._keeper.ready:
                self._keeper.send(encode(**message))
            else:
                self._waiting.append(encode(**message))
            return True

    def close(self) -> None:
        """Ends the host and its jobs, if there is one."""
        with self._lock:
            keeper = self._keeper
        if keeper is not None:
            keeper.close(CLOSE_SECONDS)

    def _heed(self, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            with self._lock:
                waiting, self._waiting = self._waiting, []
                if self._keeper is not None:
                    for each in waiting:
                        self._keeper.send(each)
            return
        if "exit" in message:
            with self._lock:
                self._jobs.discard(message["job"])
        self._tell(message)

    def _lost(self) -> None:
        with self._lock:
            lost, self._jobs = list(self._jobs), set()
            self._waiting = []
        if lost:
            self._tell({"lost": lost})
