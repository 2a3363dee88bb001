"""The events of a study: frozen values, one JSON line each; a recorded study is the same lines in a file. No torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replora.events import EventError
from replora.studies.spec import Study, study_from_dict, study_to_dict


@dataclass(frozen=True)
class MethodFacts:
    """Sizes of one method's run: adapter parameters while training and once deployed."""

    method: str
    trained_parameters: int
    deployed_parameters: int


@dataclass(frozen=True)
class StudyStarted:
    """The first batch is about to take its first step. `test_examples`: how many there are in fact."""

    spec: Study
    runs: int
    batches: int
    methods: tuple[MethodFacts, ...]
    test_examples: int
    backbone: str
    device: str
    precision: str
    threads: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """How far the study is: `share` of the work done, seconds so far (pauses left out) and seconds left, estimated."""

    runs_done: int
    runs: int
    share: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True)
class CellFinished:
    """One run of the grid is done.

    Accuracies and loss are those after the last step, None where the run has diverged; `answers` as in
    `replora.events.Evaluated`; `examples`: how many it was trained on.
    """

    method: str
    fraction: float
    rate: float
    seed: int
    examples: int
    accuracy: float | None
    loss: float | None
    validation_accuracy: float | None
    diverged: bool
    answers: str = ""


@dataclass(frozen=True)
class StudyFinished:
    """All runs are done."""

    seconds: float


StudyEvent = StudyStarted | Progress | CellFinished | StudyFinished

KINDS: dict[str, type] = {
    "started": StudyStarted,
    "progress": Progress,
    "cell": CellFinished,
    "finished": StudyFinished,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def to_line(event: StudyEvent) -> str:
    """One JSON object on one line."""
    values = dataclasses.asdict(event)
    if isinstance(event, StudyStarted):
        values["spec"] = study_to_dict(event.spec)
    return json.dumps({"event": _NAMES[type(event)], **values}, allow_nan=False)


def from_line(line: str) -> StudyEvent:
    """The event of one line; `EventError` where it is none."""
    try:
        values: dict[str, Any] = json.loads(line)
        kind = KINDS[values.pop("event")]
        if kind is StudyStarted:
            values["spec"] = study_from_dict(values["spec"])
            values["methods"] = tuple(MethodFacts(**each) for each in values["methods"])
        event: StudyEvent = kind(**values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EventError(f"Not an event of a study: {error}.") from error
    return event


def read_study_events(path: str | Path) -> tuple[StudyEvent, ...]:
    """All events of a JSON lines file; `EventError` names the file, and the line that cannot be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EventError(f"{path} cannot be read: {error}.") from error
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(from_line(line))
        except EventError as error:
            raise EventError(f"{path}, line {number}: {error}") from error
    return tuple(events)
