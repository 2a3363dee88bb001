"""What outlives a run of the script: of the process until it ends, of a session until its connection is gone.

Streamlit's caches are no place for it: one message of any client clears them all, those of other sessions too.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

LOOK_SECONDS = 1.0  # how often sessions are looked for that are gone

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")


class OfProcess(Generic[Thing]):
    """One thing that all sessions share: made at its first use, closed when the process ends."""

    all: ClassVar[list[OfProcess[Any]]] = []

    def __init__(self, make: Callable[[], Thing], close: Callable[[Thing], None]) -> None:
        self._make, self._close = make, close
        self._lock = threading.Lock()
        self._made: list[Thing] = []
        self.all.append(self)
        atexit.register(self.close)

    def __call__(self) -> Thing:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    @property
    def made(self) -> Thing | None:
        """The thing, if anybody has used it yet; waits for nobody who makes it."""
        return next(iter(self._made), None)

    def close(self) -> None:
        """Closes it; the next use makes another."""
        with self._lock:
            made, self._made = self._made, []
        for thing in made:
            self._close(thing)


class OfSession(Generic[Thing]):
    """One thing for each session: made at its first use, closed once the session's connection is gone.

    A session that comes back has another made. active: whether a session, by its id, has a connection.
    """

    all: ClassVar[list[OfSession[Any]]] = []

    def __init__(
        self, make: Callable[[], Thing], close: Callable[[Thing], None], active: Callable[[str], bool] | None = None
    ) -> None:
        self._make, self._close, self._active = make, close, active or is_active
        self._lock = threading.Lock()
        self._made: dict[str, Thing] = {}
        self._looking = False
        self.all.append(self)

    def __call__(self) -> Thing:
        session = _session()
        with self._lock:
            if session not in self._made:
                self._made[session] = self._make()
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look_on, name="replora-sessions", daemon=True).start()
            return self._made[session]

    def look(self) -> None:
        """Closes what belongs to sessions that are gone."""
        with self._lock:
            gone = [self._made.pop(session) for session in list(self._made) if not self._active(session)]
        for thing in gone:
            try:
                self._close(thing)
            except Exception:
                log.exception("What a session left behind could not be closed.")  # the others must be, all the same

    def close(self) -> None:
        """Closes those of all sessions."""
        with self._lock:
            made, self._made = self._made, {}
        for thing in made.values():
            self._close(thing)

    def _look_on(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_SECONDS):
            self.look()


def close_all() -> None:
    """As if all sessions and the process had ended: tests begin anew with it."""
    for of_session in OfSession.all:
        of_session.close()
    for of_process in OfProcess.all:
        of_process.close()


def is_active(session: str) -> bool:
    """Whether a session has a connection; where no server runs, nobody can have left."""
    return not runtime.exists() or runtime.get_instance().is_active_session(session)


def _session() -> str:
    context = get_script_run_ctx()
    if context is None:
        raise RuntimeError("Only a run of the script has a session.")
    return context.session_id
