"""The events of a Monte Carlo: frozen values, one JSON line each; a recorded run is the same lines in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replora.event_lines import EventLines, first_of
from replora.simulation.specs import MonteCarlo

Band = tuple[float, float, float]  # a value and its 95 % interval
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

LINES: EventLines[TheoryEvent] = EventLines(
    "a Monte Carlo",
    {"started": MonteCarloStarted, "estimated": Estimated, "finished": MonteCarloFinished},
)
to_line, from_line, read_theory_events = LINES.to_line, LINES.from_line, LINES.read


def started_of(events: Iterable[TheoryEvent]) -> MonteCarloStarted | None:
    """How the Monte Carlo began; None before it has."""
    return first_of(MonteCarloStarted, events)
