"""The events of a Monte Carlo: frozen values, one JSON line each; a recorded run is the same lines in a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replora.events import EventError
from replora.simulation.specs import MonteCarlo

Band = tuple[float, float, float]  # a value and its 95 % bootstrap interval
Bands = Mapping[str, Band | None]  # by quantity; None where there is no such quantity
Atom = tuple[float, ...]


@dataclass(frozen=True)
class MonteCarloStarted:
    """The fits are about to begin. `truth`: b_V of each true expert. `slopes`: theory's, by sharing and quantity.

    `floors`: what an untied truth leaves at any n, by sharing: prediction error and D_1, from a fit without noise.
    """

    spec: MonteCarlo
    truth: tuple[Atom, ...]
    slopes: Mapping[str, Mapping[str, float | None]]
    floors: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Estimated:
    """All replicates of one way of sharing at one n.

    bands: means. slopes: of log mean error on log n over the sample sizes so far, None before there are two. d1: each
    replicate's. atoms: b_V of all fitted experts, replicate after replicate; cells: the true expert each is nearest to.
    far_fraction: share of replicates with an expert farther than 1 from every true one; edge_fraction: with one at the
    edge of the box; unfinished: share that ran out of steps.
    """

    sharing: str
    n: int
    bands: Bands
    slopes: Bands
    d1: tuple[float, ...]
    atoms: tuple[Atom, ...]
    cells: tuple[int, ...]
    far_fraction: float
    edge_fraction: float
    unfinished: float
    seconds: float


@dataclass(frozen=True)
class MonteCarloFinished:
    """All sample sizes are done."""

    seconds: float


TheoryEvent = MonteCarloStarted | Estimated | MonteCarloFinished

KINDS: dict[str, type] = {
    "started": MonteCarloStarted,
    "estimated": Estimated,
    "finished": MonteCarloFinished,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def to_line(event: TheoryEvent) -> str:
    """One JSON object on one line."""
    return json.dumps({"event": _NAMES[type(event)], **dataclasses.asdict(event)}, allow_nan=False)


def from_line(line: str) -> TheoryEvent:
    """The event of one line; `EventError` where it is none."""
    try:
        values = {name: _frozen(value) for name, value in json.loads(line).items()}
        kind = KINDS[values.pop("event")]
        if kind is MonteCarloStarted:
            values["spec"] = MonteCarlo.from_dict(values["spec"])
        event: TheoryEvent = kind(**values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EventError(f"Not an event of a Monte Carlo: {error}.") from error
    return event


def read_theory_events(path: str | Path) -> tuple[TheoryEvent, ...]:
    """All events of a JSON lines file; `EventError` names what cannot be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EventError(f"{path} cannot be read: {error}.") from error
    return tuple(from_line(line) for line in lines)


def _frozen(value: Any) -> Any:
    """Lists as tuples, at any depth."""
    if isinstance(value, list):
        return tuple(_frozen(each) for each in value)
    return {name: _frozen(each) for name, each in value.items()} if isinstance(value, dict) else value
