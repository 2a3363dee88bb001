"""A part of a study as a study of its own, so that nothing need run again: pure functions of its events. No torch.

A study of all fractions and rates holds what one rate for all gives, what a sweep at one fraction gives, and both for
fewer methods. What a part's events say of counts is that part's; of the seconds it has its share.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from replora.options import options
from replora.statistics.intervals import Interval, paired, t_interval
from replora.studies.events import (
    CellFinished,
    Progress,
    StudentFinished,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    started_of,
)
from replora.studies.spec import DataStudy, RaceStudy, RateStudy, Study, TeacherStudy

AnyStudy = TypeVar("AnyStudy", bound=RaceStudy)


def spec_of(events: Iterable[StudyEvent]) -> Study | None:
    """What a study was asked for; None before it has started."""
    started = started_of(events)
    return started.spec if started else None


def one_rate(events: Sequence[StudyEvent], rate: float) -> list[StudyEvent]:
    """The study of all fractions with this rate for all methods. `ValueError` where the grid does not have it."""
    spec = _started(events)
    _known("rate", rate, spec.all_rates)
    shown = _as(DataStudy, spec, fractions=spec.all_fractions, learning_rate=rate, rates=_grid(spec))
    return part(events, shown)


def sweep(events: Sequence[StudyEvent], fraction: float) -> list[StudyEvent]:
    """The study of all rates at this fraction of the data. `ValueError` where the grid does not have it."""
    spec = _started(events)
    _known("fraction", fraction, spec.all_fractions)
    return part(events, _as(RateStudy, spec, rates=spec.all_rates, data_fraction=fraction))


def only_methods(events: Sequence[StudyEvent], methods: Sequence[str]) -> list[StudyEvent]:
    """The study without other methods, in its own order. `ValueError` where none is left."""
    spec = _started(events)
    kept = tuple(each for each in spec.methods if each in methods)
    if not kept:
        raise ValueError(f"The study has none of {', '.join(methods)}.")
    return part(events, dataclasses.replace(spec, methods=kept))


def part(events: Iterable[StudyEvent], spec: RaceStudy) -> list[StudyEvent]:
    """The events of those runs that are in the grid of `spec`, told as if it alone had been asked for.

    The head alone has no adapter whose rate could matter: its runs take the name of the rate that `spec` gives it.
    """
    wanted = set(_keys(spec))
    found: list[StudyEvent] = []
    done, share = 0, 1.0
    for event in events:
        if isinstance(event, StudyStarted):
            share = len(wanted) / event.runs
            sizes = tuple(each for each in event.methods if each.method in spec.methods)
            event = dataclasses.replace(event, spec=spec, runs=len(wanted), methods=sizes)
        elif isinstance(event, CellFinished):
            if event.method == "head" and "head" in spec.methods:
                event = dataclasses.replace(event, rate=spec.rates_of("head")[0])
            if (event.method, event.fraction, event.rate, event.seed) not in wanted:
                continue
            done += 1
        elif isinstance(event, Progress):
            seconds, left = share * event.seconds, share * event.seconds_left
            event = dataclasses.replace(event, runs_done=done, runs=len(wanted), seconds=seconds, seconds_left=left)
        elif isinstance(event, StudyFinished):
            event = StudyFinished(share * event.seconds)
        found.append(event)
    return found


def only_students(events: Iterable[StudyEvent], students: Sequence[str]) -> list[StudyEvent]:
    """The study of teachers without other students, in its own order. `ValueError` where none is left."""
    events = list(events)
    spec = spec_of(events)
    if not isinstance(spec, TeacherStudy):
        raise ValueError("No study of teachers has started.")
    kept = tuple(each for each in spec.students if each in students)
    if not kept:
        raise ValueError(f"The study has none of {', '.join(students)}.")
    found: list[StudyEvent] = []
    for event in events:
        if isinstance(event, StudyStarted):
            sizes = tuple(each for each in event.methods if each.method in kept)
            whole = event.runs
            narrowed = dataclasses.replace(spec, students=kept)
            event = dataclasses.replace(event, spec=narrowed, runs=narrowed.count(), methods=sizes)
            share = event.runs / whole
        elif isinstance(event, StudentFinished) and event.student not in kept:
            continue
        elif isinstance(event, Progress):
            event = dataclasses.replace(event, seconds=share * event.seconds, seconds_left=share * event.seconds_left)
        elif isinstance(event, StudyFinished):
            event = StudyFinished(share * event.seconds)
        found.append(event)
    return found


def shared_rates(events: Iterable[StudyEvent], pair: tuple[str, str]) -> dict[float, dict[float, Interval]]:
    """By rate and fraction: method minus reference with that one rate for both, paired by seed.

    Where a run of a rate diverged, that seed has no pair; a rate and fraction without any pair is left out. A method
    with one rate only (the head alone) stands against each rate of the other.
    """
    found: dict[tuple[str, float, float], dict[int, float]] = {}
    for each in events:
        if isinstance(each, CellFinished) and each.accuracy is not None:
            found.setdefault((each.method, each.fraction, each.rate), {})[each.seed] = each.accuracy
    table: dict[float, dict[float, Interval]] = {}
    for rate in sorted({rate for method, _, rate in found if method in pair}):
        for fraction in sorted({fraction for _, fraction, _ in found}):
            ours, theirs = (found.get((method, fraction, rate), {}) for method in pair)
            interval = t_interval(list(paired(ours, theirs).values()))
            if interval:
                table.setdefault(rate, {})[fraction] = interval
    return table


def _keys(spec: RaceStudy) -> Iterator[tuple[str, float, float, int]]:
    """Method, fraction, rate and seed of every run."""
    for method, fraction, seed in itertools.product(spec.methods, spec.all_fractions, spec.seeds):
        for rate in spec.rates_of(method):
            yield method, fraction, rate, seed


def nearest(grid: Sequence[float], wanted: float) -> float:
    """The value of a grid of positive numbers that is nearest by ratio."""
    return min(grid, key=lambda each: max(each / wanted, wanted / each))


def _started(events: Iterable[StudyEvent]) -> RaceStudy:
    spec = spec_of(events)
    if not isinstance(spec, RaceStudy):
        raise ValueError("No study of labelled data has started.")
    return spec


def _known(name: str, value: float, grid: Sequence[float]) -> None:
    if value not in grid:
        raise ValueError(f"The study has the {name}s {', '.join(f'{each:g}' for each in grid)}, not {value:g}.")


def _grid(spec: RaceStudy) -> tuple[float, ...]:
    """The grid that tuning would choose from."""
    return spec.rates if isinstance(spec, DataStudy | RateStudy) else spec.all_rates


def _as(kind: type[AnyStudy], spec: RaceStudy, **own: Any) -> AnyStudy:
    """A study of another kind with everything that all studies have in common."""
    shared: Mapping[str, Any] = {name: getattr(spec, name) for name in options(RaceStudy)}
    return kind(**shared, **own)
