"""Races that fit together, trained as one batch: each is told its own events, as if it trained alone, up to rounding.

They fit where they differ in their runs alone, and are after the same step. One can leave between two steps, with or
without its seat, and the others go on.
"""

from __future__ import annotations

import dataclasses
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from replora.config import Race, Run
from replora.events import Diverged, Evaluated, Event, Finished, RateChanged, Started, Step, to_line
from replora.training.batch import Batch
from replora.training.cache import Prefixes
from replora.training.device import choose_device, repeatable
from replora.training.graphs import Pace, pace_of
from replora.training.seats import Seat
from replora.training.snapshots import SnapshotWriter

NewRates = Callable[[], Mapping[str, float]]  # by the race's name
Leaving = Callable[[], Mapping[str, bool]]  # by the race's name, whether it goes on elsewhere


@dataclass
class Rider:
    """One race among others: its name, its runs' places in the batch, and how long it trained before, in seconds."""

    name: str
    race: Race
    folder: Path
    seat: Seat | None
    snapshots: SnapshotWriter
    places: slice = field(default_factory=lambda: slice(0))
    before: float = 0.0

    @classmethod
    def named(cls, name: str, race: Race, folder: Path) -> Rider:
        """A race that begins, or goes on where it has left a seat in its folder."""
        seat = Seat.taken_from(folder)
        return cls(name, race, folder, seat, SnapshotWriter(folder, race, since=None if seat is None else seat.step))


def race_lines_together(
    races: Mapping[str, tuple[Mapping[str, Any], Path]], new_rates: NewRates, leaving: Leaving
) -> Iterator[tuple[str, str | int | OSError]]:
    """`train_together` in plain values, as a shared job: specs and folders by name in, lines of events out, by name.

    Instead of a line the step after which a race has left its seat in its folder, or why it could not and stays.
    """
    riders = [Rider.named(name, Race.asked(spec), folder) for name, (spec, folder) in races.items()]
    for name, told in train_together(riders, new_rates, leaving):
        yield name, told if isinstance(told, int | OSError) else to_line(told)


def train_together(
    riders: Sequence[Rider], new_rates: NewRates, leaving: Leaving, *, pace: Pace | None = None
) -> Iterator[tuple[str, Event | int | OSError]]:
    """Train the runs of all `riders` side by side: by name the events of each, or the step after which it has left.

    Or why a race could not leave its seat: then it stays.

    new_rates: asked before each step; a rate becomes that of all runs of the race. leaving: asked between steps; a race
    that goes on elsewhere leaves its seat in its folder, any other is gone.
    Raises `SpecError`, `TaskError` or `BackboneError` before the first event, `ValueError` for races that do not fit.
    """
    first = riders[0]
    if any(_shared(each) != _shared(first) for each in riders):
        raise ValueError("Races that train together differ in their runs alone and are after the same step.")
    device = choose_device(first.race.device)
    with repeatable(device):
        yield from _Together(riders, device, pace or pace_of(device), new_rates).told(leaving)


def _shared(rider: Rider) -> tuple[Race, int]:
    return dataclasses.replace(rider.race, runs=(Run(),)), rider.seat.step if rider.seat else 0


class _Together:
    """The batch of those that are still there."""

    def __init__(self, riders: Sequence[Rider], device: torch.device, pace: Pace, new_rates: NewRates) -> None:
        self.riders = list(riders)
        self.device, self.pace, self.asked = device, pace, new_rates
        self.prefixes = Prefixes()
        self.changed: deque[set[str]] = deque()  # whose rates each event of a change is about
        seats = [rider.seat for rider in riders if rider.seat is not None]
        self.batch = self._batch()
        if seats:
            self.batch.resume(Seat(seats[0].step, 0.0, tuple(run for seat in seats for run in seat.runs)))
            for rider, seat in zip(riders, seats, strict=True):
                rider.before = seat.seconds

    def told(self, leaving: Leaving) -> Iterator[tuple[str, Event | int | OSError]]:
        """What is told by name, until all steps are taken or nobody is left."""
        if self.riders[0].seat is None:
            yield from self._split(self.batch.begin())
            self._offer(0)
        yield from self._let_go(leaving())
        while self.riders and not self.batch.over:
            yield from self._split(self.batch.leg(self._new_rates))
            if self.batch.evaluated:
                self._offer(self.batch.done)
            if not self.batch.over:
                yield from self._let_go(leaving())
        for rider in self.riders:
            yield rider.name, Finished(self.batch.done, rider.before + self.batch.seconds)

    def _batch(self) -> Batch:
        start = 0
        for rider in self.riders:
            rider.places = slice(start, start + len(rider.race.runs))
            start = rider.places.stop
        runs = tuple(run for rider in self.riders for run in rider.race.runs)
        race = dataclasses.replace(self.riders[0].race, runs=runs)
        return Batch(race, self.device, self.prefixes, self.pace)

    def _offer(self, step: int) -> None:
        for rider in self.riders:
            places = range(rider.places.start, rider.places.stop)
            rider.snapshots.offer(step, self.batch.stack.factors, self.batch.heads, places)

    def _let_go(self, leaving: Mapping[str, bool]) -> Iterator[tuple[str, int | OSError]]:
        """Those that leave are gone; where that makes the others faster they go on as a smaller batch."""
        gone = [rider for rider in self.riders if rider.name in leaving]
        if not gone:
            return
        seat = self.batch.seat()
        before = len(self.riders)
        for rider in gone:
            if leaving[rider.name]:
                own = seat.of(rider.places)
                try:
                    dataclasses.replace(own, seconds=rider.before + own.seconds).leave_in(rider.folder)
                except OSError as error:
                    yield rider.name, error
                    continue
                yield rider.name, seat.step
            self.riders.remove(rider)
        if self.riders and len(self.riders) < before and self.device.type == "cpu":  # a GPU takes as long for fewer
            kept = tuple(run for rider in self.riders for run in seat.runs[rider.places])
            del self.batch  # two of them would not fit where one does
            gc.collect()
            self.batch = self._batch()
            self.batch.resume(Seat(seat.step, seat.seconds, kept))

    def _new_rates(self) -> Mapping[int, float]:
        """The rates asked for, by run."""
        rates = self.asked()
        here = {rider.name: rider.places for rider in self.riders if rider.name in rates}
        if here:
            self.changed.append(set(here))
        return {run: rates[name] for name, places in here.items() for run in range(places.start, places.stop)}

    def _split(self, events: Iterable[Event]) -> Iterator[tuple[str, Event]]:
        for event in events:
            about = self.changed.popleft() if isinstance(event, RateChanged) else None
            for rider in self.riders:
                own = _own(event, rider) if about is None or rider.name in about else None
                if own is not None:
                    yield rider.name, own


def _own(event: Event, rider: Rider) -> Event | None:
    """What an event of the batch tells of a race; None where it is about another."""
    places = rider.places
    match event:
        case Started():
            shared = len(event.spec.runs) - len(rider.race.runs)
            return dataclasses.replace(event, spec=rider.race, facts=event.facts[places], shared_runs=shared)
        case Step() | Evaluated():
            return dataclasses.replace(event, seconds=rider.before + event.seconds, **_of_runs(event, places))
        case RateChanged():
            return dataclasses.replace(event, **_of_runs(event, places))
        case Diverged():
            inside = places.start <= event.run < places.stop
            return dataclasses.replace(event, run=event.run - places.start) if inside else None
        case Finished():
            raise ValueError("A batch does not tell that it is finished.")


def _of_runs(event: Step | Evaluated | RateChanged, places: slice) -> dict[str, Any]:
    """What an event tells a run each, of the runs at these places."""
    values = {each.name: getattr(event, each.name) for each in dataclasses.fields(event)}
    return {name: value[places] for name, value in values.items() if isinstance(value, tuple)}
