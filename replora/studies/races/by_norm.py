"""A study's runs over the norm that their updates ended with: are two methods one road at unlike speeds? No torch.

A rate takes a run so far; over all rates of the grid a seed's runs are a road of (norm, result), rate after rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from replora.statistics.equal_norm import equal_norm, no_common_norm
from replora.statistics.metrics import ACCURACY, Metric, metric_of
from replora.statistics.verdict import lost_count, verdict
from replora.studies.events import CellFinished, StudyEvent, started_of
from replora.studies.races.cells import final_of
from replora.studies.table import results_of


@dataclass(frozen=True)
class AtNorm:
    """All seeds of one method, fraction and rate: geometric mean norm of delta_weight, mean result as measured."""

    method: str
    fraction: float
    rate: float
    norm: float
    result: float
    n: int


def by_norm(events: Iterable[StudyEvent]) -> list[AtNorm]:
    """The cells whose finished runs tell a norm, by method, fraction and rate."""
    cells: dict[tuple[str, float, float], list[tuple[float, float]]] = {}
    events = list(events)
    metric = _metric(events)
    for run in results_of(events, CellFinished):
        if (final := final_of(run, metric)) is not None and run.delta_norm:
            cells.setdefault(run.key, []).append((run.delta_norm, final))
    return [
        AtNorm(
            *key,
            norm=math.exp(fmean(math.log(norm) for norm, _ in runs)),
            result=fmean(final for _, final in runs),
            n=len(runs),
        )
        for key, runs in sorted(cells.items())
    ]


def norm_sentence(events: Iterable[StudyEvent], fraction: float, pair: Sequence[str]) -> str:
    """Whether the pair is apart at equal norm with this share of the data, paired by seed; '' without several rates."""
    events = list(events)
    metric = _metric(events)
    runs = [run for run in results_of(events, CellFinished) if run.fraction == fraction and run.method in pair]
    if len({run.rate for run in runs}) < 2 or not all(run.delta_norm for run in runs if not run.diverged):
        return ""
    roads: dict[str, dict[int, list[tuple[float, float]]]] = {name: {} for name in pair}
    for run in sorted(runs, key=lambda run: run.rate):
        if (final := final_of(run, metric)) is not None and run.delta_norm:
            roads[run.method].setdefault(run.seed, []).append((math.log(run.delta_norm), final))
    method, reference = pair
    found = equal_norm(roads[method], roads[reference])
    if found is None:
        return no_common_norm(method, reference)
    diverged = sum(run.diverged for run in runs)
    lost = f"{lost_count(diverged, len(runs))}." if diverged else ""
    fewest, most = found.points
    said = verdict(list(found.differences.values()), method, reference, lost=lost, metric=metric)
    return (
        f"With {100 * fraction:g} % of the data and at equal norm of delta_weight, mean over the logarithm of the norm "
        f"from {math.exp(found.low):.3g} to {math.exp(found.high):.3g}, where the runs of {fewest} to {most} rates of "
        f"each seed lie: {said} {found.bend_sentence(metric)}"
    )


def _metric(events: Iterable[StudyEvent]) -> Metric:
    """What the runs are judged by."""
    started = started_of(events)
    return metric_of(started.spec.task) if started else ACCURACY
