"""The events of a study: frozen values, one JSON line each; a recorded study is the same lines in a file. No torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
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
class Sketch:
    """The factors of one layer's delta_weight at evenly spaced places, for pictures: b a is the matrix there.

    a_query, a_value: (rank, columns); b_query, b_value: (rows, rank), scaling included.
    """

    a_query: Sequence[Sequence[float]]
    b_query: Sequence[Sequence[float]]
    a_value: Sequence[Sequence[float]]
    b_value: Sequence[Sequence[float]]


@dataclass(frozen=True)
class TeachersDrawn:
    """The hidden updates are drawn. `sketches`: of the teacher of `seed`, layer by layer.

    base_errors: by seed as text, the mean squared distance of the backbone's own features to the teacher's on the test
    examples, in units of the teacher's variance, feature by feature: what relative errors are shares of.
    """

    seed: int
    base_errors: Mapping[str, float]
    sketches: tuple[Sketch, ...]


@dataclass(frozen=True)
class StudentFinished:
    """One student is done; a diverged one has no results.

    error, validation_error: of its features on the test and validation examples after the last step, as shares of what
    the backbone without adapter has. delta_errors: ||found - hidden||^2 / ||hidden||^2 over all layers, of query and of
    value. angles: mean principal angle in degrees between the found and the hidden row and column spaces, likewise.
    curve: (step, error) at the study's levels. sketches: of the first seed's students only.
    """

    student: str
    examples: int
    rate: float
    seed: int
    error: float | None
    validation_error: float | None
    delta_errors: tuple[float, float] | None
    angles: tuple[float, float] | None
    curve: tuple[tuple[int, float], ...]
    diverged: bool
    sketches: tuple[Sketch, ...] = ()


@dataclass(frozen=True)
class StudyFinished:
    """All runs are done."""

    seconds: float


StudyEvent = StudyStarted | Progress | CellFinished | TeachersDrawn | StudentFinished | StudyFinished

KINDS: dict[str, type] = {
    "started": StudyStarted,
    "progress": Progress,
    "cell": CellFinished,
    "teachers": TeachersDrawn,
    "student": StudentFinished,
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
        if "sketches" in values:
            values["sketches"] = tuple(Sketch(**each) for each in values["sketches"])
        if kind is StudentFinished:
            values |= {name: _tuples(values[name]) for name in ("delta_errors", "angles", "curve")}
        event: StudyEvent = kind(**values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EventError(f"Not an event of a study: {error}.") from error
    return event


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


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
