"""The recorded runs that pages show before anything has run, each file read once for all visitors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from replora.catalog import ASSETS
from replora.events import Event, EventError, Started, read_events
from replora.simulation.events import MonteCarloStarted, TheoryEvent, read_theory_events
from replora.studies.events import StudyEvent, StudyStarted
from replora.studies.lines import read_study_events
from replora.ui.parts.once import Once

FOLDER = ASSETS / "recorded"
READ, MADE = Once[Any](48), Once[Any](128)  # by path and time of the file, so that a new one is read anew

EventOf = TypeVar("EventOf")


@dataclass(frozen=True)
class Recordings(Generic[EventOf]):
    """Those of one kind: how a file is read, the event it must hold, and the sentence where there is no file."""

    noun: str  # 'a race', for sentences
    read: Callable[[Path], Iterable[EventOf]]
    start: type
    missing: str

    def has(self, name: str) -> bool:
        """Whether there is a recording of this name."""
        return _path(name).is_file()

    def events(self, name: str) -> tuple[EventOf, ...]:
        """A recording by the name of its file; `EventError`, with a sentence, where none can be read."""
        path = _path(name)
        if not path.is_file():
            raise EventError(self.missing)
        events: tuple[EventOf, ...] = READ((path, path.stat().st_mtime_ns, self.noun), lambda: self._read(path))
        return events

    def _read(self, path: Path) -> tuple[EventOf, ...]:
        events = tuple(self.read(path))
        if not any(isinstance(event, self.start) for event in events):
            raise EventError(f"{path.name} holds no start of {self.noun}.")
        return events


RACES = Recordings[Event]("a race", read_events, Started, "There is no recorded run of this task yet; press Play.")
STUDIES = Recordings[StudyEvent](
    "a study", read_study_events, StudyStarted, "There is no recorded study of this task yet; press Run live."
)
RATES = Recordings[TheoryEvent](
    "a Monte Carlo", read_theory_events, MonteCarloStarted, "There is no recorded run of these rates; press Run live."
)


def made_once(name: str, key: str, make: Callable[[], Any]) -> Any:
    """What `make` makes of a recording, kept under `key` until its file changes."""
    path = _path(name)
    return MADE((path, path.stat().st_mtime_ns, key), make)


def _path(name: str) -> Path:
    return FOLDER / f"{name}.jsonl.gz"
