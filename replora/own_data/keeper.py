"""How long own tasks live: as long as a session has them in use, a while longer, or for good once they are saved."""

from __future__ import annotations

import logging
import math
import threading
import time

from replora.options import SpecError
from replora.own_data.limits import Limits, OwnError
from replora.own_data.store import delete_task, is_saved, sweep_tasks, touch_task

GRACE_SECONDS = 180.0  # for a reload, or a connection that was lost; sessions themselves come back within 120

SWEEP_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Keeper:
    """Which sessions have which own tasks in use; the last to leave an unsaved one has it deleted after a while."""

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._lock = threading.Lock()
        self._users: dict[str, set[str]] = {}
        self._going: dict[str, threading.Timer] = {}
        self._swept = -math.inf
        self._sweep()

    def use(self, name: str, session: str) -> None:
        """A session has a task in use."""
        with self._lock:
            users = self._users.setdefault(name, set())
            if session in users:
                return
            users.add(session)
            self._stay(name)
        touch_task(name)
        self._sweep()

    def leave(self, name: str, session: str) -> None:
        """A session has ended, or has done with a task."""
        with self._lock:
            users = self._users.get(name, set())
            users.discard(session)
            if users:
                return
            self._users.pop(name, None)
            self._stay(name)
            timer = threading.Timer(self._grace, self._delete, [name])
            timer.daemon = True
            self._going[name] = timer
            timer.start()

    def close(self) -> None:
        """The server ends: what is not saved goes at once."""
        with self._lock:
            names = {*self._users, *self._going}
            for name in names:
                self._stay(name)
            self._users.clear()
        for name in names:
            self._delete(name)

    def _sweep(self) -> None:
        """Deletes what is left behind or expired, not more often than every hour."""
        with self._lock:
            if time.monotonic() < self._swept + SWEEP_SECONDS:
                return
            self._swept = time.monotonic()
        try:
            sweep_tasks(saved_days=Limits.from_environment().saved_days)
        except (OSError, SpecError) as error:
            log.warning("Own data that were left behind could not be deleted: %s", error)

    def _stay(self, name: str) -> None:
        timer = self._going.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _delete(self, name: str) -> None:
        with self._lock:
            self._going.pop(name, None)
            if name in self._users or is_saved(name):
                return
        try:
            delete_task(name)
        except OwnError as error:
            log.warning("%s (%s)", error, name)
