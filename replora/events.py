"""The events of a race: frozen values, one JSON line each.

Figures, verdicts and cards are pure functions of a list of these; a recorded run is the same list read from a file.
Per-run values stand in the order of `Started.spec.runs`; None marks a run that has diverged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

from replora.config import Race
from replora.event_lines import EventError as EventError
from replora.event_lines import EventLines, first_of

PerRun = tuple[float | None, ...]


@dataclass(frozen=True)
class RunFacts:
    """Sizes of one run: adapter parameters while training and once deployed, the head's, and training examples."""

    trained_parameters: int
    deployed_parameters: int
    head_parameters: int
    examples: int


@dataclass(frozen=True)
class Started:
    """The race is about to take its first step. test_examples: how many each evaluation tests on; 0: not told.

    shared_runs: runs of other races that train in the same batch, which changes its numbers by rounding.
    """

    spec: Race
    facts: tuple[RunFacts, ...]
    backbone: str
    classes: tuple[str, ...]
    device: str
    precision: str
    threads: int
    versions: dict[str, str] = field(default_factory=dict)
    test_examples: int = 0
    shared_runs: int = 0


@dataclass(frozen=True)
class Step:
    """One optimizer step: batch losses and norms of all delta_weight before it, the adapters' rates in it.

    `seconds` is the time spent in training and evaluation so far, pauses left out.
    """

    step: int
    seconds: float
    losses: PerRun
    delta_norms: PerRun
    learning_rates: tuple[float, ...]


@dataclass(frozen=True)
class Evaluated:
    """Share of correct answers and mean loss on the test examples after `step` steps.

    validation_accuracies: the same share on the examples held out for validation, empty where there are none.
    answers: which test examples each run has right, one bit an example, the first in the highest bit of the first byte,
    as hexadecimal text ('' for a run that has diverged); told by the last evaluation where the race asks for it.
    delta_norms: norms of all delta_weight after `step` steps; empty in older records.
    validation_losses: the mean loss on the examples held out, empty where there are none and in older records.
    """

    step: int
    seconds: float
    accuracies: PerRun
    losses: PerRun
    validation_accuracies: PerRun = ()
    answers: tuple[str, ...] = ()
    delta_norms: PerRun = ()
    validation_losses: PerRun = ()


@dataclass(frozen=True)
class RateChanged:
    """From `step` on the adapters' peak learning rates are these."""

    step: int
    learning_rates: tuple[float, ...]


@dataclass(frozen=True)
class Diverged:
    """A run left the finite numbers; it is frozen and the others go on."""

    step: int
    run: int
    reason: str


@dataclass(frozen=True)
class Finished:
    """All steps are done."""

    step: int
    seconds: float


Event = Started | Step | Evaluated | RateChanged | Diverged | Finished

LINES: EventLines[Event] = EventLines(
    "a race",
    {
        "started": Started,
        "step": Step,
        "evaluated": Evaluated,
        "rate_changed": RateChanged,
        "diverged": Diverged,
        "finished": Finished,
    },
)
to_line, from_line, read_events = LINES.to_line, LINES.from_line, LINES.read


def started_of(events: Iterable[Event]) -> Started | None:
    """How the race began; None before it has."""
    return first_of(Started, events)


def untouched_loss(events: Iterable[Event]) -> float | None:
    """The loss of the frozen model, which all runs have before the first step; None where heads train, which begin at
    random, and where it was not tested.
    """
    events = list(events)
    started, first = started_of(events), first_of(Evaluated, events)
    if started is None or first is None or first.step or any(facts.head_parameters for facts in started.facts):
        return None
    return next((loss for loss in first.losses if loss is not None), None)


def finite(values: Iterable[float]) -> PerRun:
    """The values with None for those that are not finite."""
    return tuple(value if math.isfinite(value) else None for value in values)


def write_events(events: Iterable[Event], sink: TextIO) -> Iterator[Event]:
    """Passes the events on, each written to `sink` first."""
    for event in events:
        sink.write(to_line(event) + "\n")
        yield event
