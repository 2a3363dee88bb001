"""The events of a study: frozen values, whose lines `replora.studies.lines` reads and writes. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replora.event_lines import first_of
from replora.methods import PROJECTIONS, Projection
from replora.studies.base import Study

Rows = Sequence[Sequence[float]]  # of a matrix
Key = tuple[str, float, float]  # whose run it is (a method, a student), amount of data, rate


@dataclass(frozen=True)
class MethodSizes:
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
    methods: tuple[MethodSizes, ...]
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
    `replora.events.Evaluated`; `examples`: how many it was trained on. delta_norm: of all its delta_weight then,
    validation_loss: on the examples held out; None in older records.
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
    delta_norm: float | None = None
    validation_loss: float | None = None

    @property
    def key(self) -> Key:
        """The cell of the grid that it is of."""
        return self.method, self.fraction, self.rate


@dataclass(frozen=True)
class Sketch:
    """The factors of one layer's delta_weight at evenly spaced places, for pictures: b a is the matrix there.

    a_query, a_value: (rank, columns); b_query, b_value: (rows, rank), scaling included; on a line they are fields, in
    code `factors` says which is whose.
    """

    a_query: Rows
    b_query: Rows
    a_value: Rows
    b_value: Rows

    @classmethod
    def of(cls, factors: Mapping[Projection, tuple[Rows, Rows]]) -> Sketch:
        """The sketch of a and b of each projection."""
        by_field: dict[str, Rows] = {}
        for projection, (a, b) in factors.items():
            by_field |= {f"a_{projection}": a, f"b_{projection}": b}
        return cls(**by_field)

    def factors(self, projection: Projection) -> tuple[Rows, Rows]:
        """a and b of one projection."""
        return getattr(self, f"a_{projection}"), getattr(self, f"b_{projection}")


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
    the backbone without adapter has. delta_errors: ||found - hidden||^2 / ||hidden||^2 over all layers, in the order of
    PROJECTIONS. angles: mean principal angle in degrees between the found and the hidden row and column spaces,
    likewise. curve: (step, error) at the study's levels. sketches: of the first seed's students only.
    """

    student: str
    examples: int
    rate: float
    seed: int
    error: float | None
    validation_error: float | None
    delta_errors: tuple[float, ...] | None
    angles: tuple[float, ...] | None
    curve: tuple[tuple[int, float], ...]
    diverged: bool
    sketches: tuple[Sketch, ...] = ()

    def __post_init__(self) -> None:
        for name, values in (("delta_errors", self.delta_errors), ("angles", self.angles)):
            if values is not None and len(values) != len(PROJECTIONS):
                raise ValueError(f"{name} must hold {len(PROJECTIONS)} numbers, got {len(values)}")

    @property
    def key(self) -> Key:
        """The cell of the grid that it is of."""
        return self.student, self.examples, self.rate


@dataclass(frozen=True)
class StudyFinished:
    """All runs are done."""

    seconds: float


StudyEvent = StudyStarted | Progress | CellFinished | TeachersDrawn | StudentFinished | StudyFinished


def started_of(events: Iterable[StudyEvent]) -> StudyStarted | None:
    """How the study began; None before it has."""
    return first_of(StudyStarted, events)
