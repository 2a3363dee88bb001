"""A part of a study as a study of its own, so that nothing need run again: pure functions of its events. No torch.

A study of all fractions and rates holds what one rate for all gives, what a sweep at one fraction gives, and both for
fewer methods. What a part's events say of counts is that part's; of the seconds it has its share.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import singledispatchmethod
from typing import Any, TypeVar

from replora.methods import has_adapter
from replora.options import options
from replora.statistics.intervals import Interval, paired, t_interval
from replora.statistics.metrics import ACCURACY, metric_of
from replora.studies.events import (
    CellFinished,
    Key,
    Progress,
    StudentFinished,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    started_of,
)
from replora.studies.races.cells import final_of
from replora.studies.spec import DataStudy, RaceStudy, RateStudy, Study
from replora.studies.table import results_of

AnyRaceStudy = TypeVar("AnyRaceStudy", bound=RaceStudy)


def spec_of(events: Iterable[StudyEvent]) -> Study | None:
    """What a study was asked for; None before it has started."""
    started = started_of(events)
    return started.spec if started else None


def one_rate(events: Sequence[StudyEvent], rate: float) -> list[StudyEvent]:
    """The study of all fractions with this rate for all methods. `ValueError` where the grid does not have it."""
    spec = _started(events)
    _known("rate", rate, spec.all_rates)
    shown = _as(DataStudy, spec, fractions=spec.all_fractions, learning_rate=rate, rates=spec.grid)
    return part(events, shown)


def sweep(events: Sequence[StudyEvent], fraction: float) -> list[StudyEvent]:
    """The study of all rates at this fraction of the data. `ValueError` where the grid does not have it."""
    spec = _started(events)
    _known("fraction", fraction, spec.all_fractions)
    return part(events, _as(RateStudy, spec, rates=spec.all_rates, data_fraction=fraction))


def only(events: Iterable[StudyEvent], names: Sequence[str]) -> list[StudyEvent]:
    """The study without other methods or students, in its own order. `ValueError` where none is left."""
    events = list(events)
    spec = spec_of(events)
    kept = tuple(name for name in spec.titles if name in names) if spec else ()
    if spec is None or not kept:
        raise ValueError(f"The study has none of {', '.join(names)}.")
    change: dict[str, Any] = {spec.compares: kept}
    return part(events, dataclasses.replace(spec, **change))


def part(events: Iterable[StudyEvent], spec: Study) -> list[StudyEvent]:
    """The events of those runs that are in the grid of `spec`, told as if it alone had been asked for.

    The head alone has no adapter whose rate could matter: its runs take the name of the rate that `spec` gives it.
    """
    telling = _Part(spec)
    return [told for event in events if (told := telling.of(event)) is not None]


class _Part:
    """What the events of a study say of a part of it, in their order."""

    def __init__(self, spec: Study) -> None:
        self.spec = spec
        self.wanted = set(_keys(spec))
        self.done, self.share = 0, 1.0

    @singledispatchmethod
    def of(self, event: StudyEvent) -> StudyEvent | None:
        """The event as the part tells it; None of one that is not of the part."""
        return event

    @of.register
    def _(self, event: StudyStarted) -> StudyEvent:
        self.share = len(self.wanted) / event.runs
        sizes = tuple(size for size in event.methods if size.method in self.spec.titles)
        return dataclasses.replace(event, spec=self.spec, runs=len(self.wanted), methods=sizes)

    @of.register
    def _(self, event: CellFinished | StudentFinished) -> StudyEvent | None:
        name, _, rate = event.key
        if name in self.spec.titles and not has_adapter(name):
            rate = self.spec.rates_of(name)[0]
        told = dataclasses.replace(event, rate=rate)
        if (told.key, told.seed) not in self.wanted:
            return None
        self.done += 1
        return told

    @of.register
    def _(self, event: Progress) -> StudyEvent:
        seconds, left = self.share * event.seconds, self.share * event.seconds_left
        return Progress(self.done, len(self.wanted), event.share, seconds, left)

    @of.register
    def _(self, event: StudyFinished) -> StudyEvent:
        return StudyFinished(self.share * event.seconds)


def shared_rates(events: Iterable[StudyEvent], pair: tuple[str, str]) -> dict[float, dict[float, Interval]]:
    """By rate and fraction: method minus reference with that one rate for both, paired by seed.

    Where a run of a rate diverged, that seed has no pair; a rate and fraction without any pair is left out. A method
    with one rate only (the head alone) stands against each rate of the other.
    """
    found: dict[Key, dict[int, float]] = {}
    events = list(events)
    metric = metric_of(started.task) if (started := spec_of(events)) else ACCURACY
    for run in results_of(events, CellFinished):
        if (final := final_of(run, metric)) is not None:
            found.setdefault(run.key, {})[run.seed] = final
    table: dict[float, dict[float, Interval]] = {}
    for rate in sorted({rate for method, _, rate in found if method in pair}):
        for fraction in sorted({fraction for _, fraction, _ in found}):
            ours, theirs = (found.get((method, fraction, rate), {}) for method in pair)
            interval = t_interval(list(paired(ours, theirs).values()))
            if interval:
                table.setdefault(rate, {})[fraction] = interval
    return table


def _keys(spec: Study) -> Iterator[tuple[Key, int]]:
    """Cell and seed of every run."""
    for name, amount, seed in itertools.product(spec.titles, spec.all_amounts, spec.seeds):
        for rate in spec.rates_of(name):
            yield (name, amount, rate), seed


def _started(events: Iterable[StudyEvent]) -> RaceStudy:
    """The spec of a grid of races; `ValueError` where none has started."""
    spec = spec_of(events)
    if not isinstance(spec, RaceStudy):
        raise ValueError("No study of labelled data has started.")
    return spec


def _known(name: str, value: float, grid: Sequence[float]) -> None:
    if value not in grid:
        raise ValueError(f"The study has the {name}s {', '.join(f'{each:g}' for each in grid)}, not {value:g}.")


def _as(kind: type[AnyRaceStudy], spec: RaceStudy, **own: Any) -> AnyRaceStudy:
    """A study of another kind with everything that all studies have in common."""
    shared: Mapping[str, Any] = {name: getattr(spec, name) for name in options(RaceStudy)}
    return kind(**shared, **own)
