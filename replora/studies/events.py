"""The events of a study: frozen values, whose lines `replora.studies.lines` reads and writes. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replora.event_lines import first_of
from replora.studies.base import Study


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


def started_of(events: Iterable[StudyEvent]) -> StudyStarted | None:
    """How the study began; None before it has."""
    return first_of(StudyStarted, events)
