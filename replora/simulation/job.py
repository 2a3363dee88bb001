"""The job behind the Rates page: a Monte Carlo that tells each sample size as soon as it is done. numpy, no torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from replora.simulation.events import (
    Bands,
    Estimated,
    MonteCarloFinished,
    MonteCarloStarted,
    TheoryEvent,
    to_line,
)
from replora.simulation.specs import MonteCarlo
from replora.theory import (
    QUANTITIES,
    THEORY_SLOPES,
    Estimates,
    Interval,
    fit_slopes,
    mean_band,
    monte_carlo,
    untied_floor,
)


def monte_carlo_lines(spec: Mapping[str, Any], new_rate: Callable[[], float | None], folder: Path) -> Iterator[str]:
    """A job function: the lines of `run_monte_carlo`; there is no learning rate to change."""
    for event in run_monte_carlo(MonteCarlo.from_dict(spec)):
        yield to_line(event)


def run_monte_carlo(spec: MonteCarlo) -> Iterator[TheoryEvent]:
    """The events of a Monte Carlo, all ways of sharing at one n before the next n."""
    begun = time.perf_counter()
    yield started(spec)
    streams = {sharing: monte_carlo(spec.experiment(sharing)) for sharing in spec.sharings}
    told: dict[str, list[Estimates]] = {sharing: [] for sharing in spec.sharings}
    for _ in spec.n_grid:
        for sharing, stream in streams.items():
            told[sharing].append(next(stream))
            yield _estimated(sharing, told[sharing], time.perf_counter() - begun)
    yield MonteCarloFinished(round(time.perf_counter() - begun, 3))


def started(spec: MonteCarlo) -> MonteCarloStarted:
    """What is known before the first fit."""
    experiments = {sharing: spec.experiment(sharing) for sharing in spec.sharings}
    floors: dict[str, dict[str, float]] = {}
    for sharing in spec.sharings if spec.eta else ():
        found = untied_floor(spec.eta, sharing=sharing, atoms=spec.atoms, box=spec.box)
        floors[sharing] = {"prediction": found.prediction, "D_1": found.d1}
    first = experiments[spec.sharings[0]]
    return MonteCarloStarted(
        spec=spec,
        truth=tuple(tuple(row) for row in first.truth.b_value.tolist()),
        slopes={name: dict(THEORY_SLOPES[name, each.specification].items()) for name, each in experiments.items()},
        floors=floors,
    )


def _estimated(sharing: str, told: list[Estimates], seconds: float) -> Estimated:
    """What the last of `told` shows, and the slopes of all of them."""
    last = told[-1]
    errors = {name: last.errors(name) for name in QUANTITIES}
    bands = {name: None if error is None else mean_band(error) for name, error in errors.items()}
    slopes = fit_slopes(told) if len(told) > 1 else dict.fromkeys(QUANTITIES)
    return Estimated(
        sharing=sharing,
        n=last.n,
        bands=_plain(bands),
        slopes=_plain(slopes),
        d1=tuple(_short(each) for each in last.d1.tolist()),
        atoms=tuple(tuple(round(each, 4) for each in row) for row in last.fitted.b_value.reshape(-1, 2).tolist()),
        cells=tuple(last.cells.ravel().tolist()),
        far_fraction=last.far_fraction,
        edge_fraction=last.edge_fraction,
        unfinished=1 - float(last.converged.mean()),
        seconds=round(seconds, 3),
    )


def _plain(intervals: Mapping[Any, Interval | None]) -> Bands:
    return {
        name: None if interval is None else (_short(interval.value), _short(interval.low), _short(interval.high))
        for name, interval in intervals.items()
    }


def _short(value: float) -> float:
    """Five figures are more than any picture or table shows."""
    return float(f"{value:.5g}")
