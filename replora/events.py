"""The events of a race: frozen values, one JSON line each.

Figures, verdicts and cards are pure functions of a list of these; a recorded run is the same list read from a file.
Per-run values stand in the order of `Started.spec.runs`; None marks a run that has diverged.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from replora.config import Race
from replora.options import UserError

PerRun = tuple[float | None, ...]


class EventError(UserError):
    """A line or file that does not hold the events of a race."""


@dataclass(frozen=True)
class RunFacts:
    """Sizes of one run: adapter parameters while training and once deployed, the head's, and training examples."""

    trained_parameters: int
    deployed_parameters: int
    head_parameters: int
    examples: int


@dataclass(frozen=True)
class Started:
    """The race is about to take its first step. test_examples: how many each evaluation tests on; 0: not told."""

    spec: Race
    facts: tuple[RunFacts, ...]
    backbone: str
    classes: tuple[str, ...]
    device: str
    precision: str
    threads: int
    versions: dict[str, str] = field(default_factory=dict)
    test_examples: int = 0


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
    """

    step: int
    seconds: float
    accuracies: PerRun
    losses: PerRun
    validation_accuracies: PerRun = ()
    answers: tuple[str, ...] = ()


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

KINDS: dict[str, type] = {
    "started": Started,
    "step": Step,
    "evaluated": Evaluated,
    "rate_changed": RateChanged,
    "diverged": Diverged,
    "finished": Finished,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def finite(values: Iterable[float]) -> PerRun:
    """The values with None for those that are not finite."""
    return tuple(value if math.isfinite(value) else None for value in values)


def to_line(event: Event) -> str:
    """One JSON object on one line."""
    return json.dumps({"event": _NAMES[type(event)], **dataclasses.asdict(event)}, allow_nan=False)


def from_dict(values: Mapping[str, Any]) -> Event:
    """The event of a decoded line; `EventError` names what is wrong."""
    try:
        rest = dict(values)
        kind = KINDS[rest.pop("event")]
        rest = {name: tuple(value) if isinstance(value, list) else value for name, value in rest.items()}
        if kind is Started:
            rest["spec"] = Race.from_dict(rest["spec"])
            rest["facts"] = tuple(RunFacts(**each) for each in rest["facts"])
        event: Event = kind(**rest)
    except (KeyError, TypeError, ValueError) as error:
        raise EventError(f"Not an event of a race: {error}.") from error
    return event


def from_line(line: str) -> Event:
    """The event of one line; `EventError` where it is none."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise EventError(f"Not an event of a race: {error}.") from error
    return from_dict(values)


def read_events(path: str | Path) -> list[Event]:
    """All events of a JSON lines file; `EventError` names the file and the line that cannot be read."""
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
    return events


def write_events(events: Iterable[Event], sink: TextIO) -> Iterator[Event]:
    """Passes the events on, each written to `sink` first."""
    for event in events:
        sink.write(to_line(event) + "\n")
        yield event
