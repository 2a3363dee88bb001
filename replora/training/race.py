"""The engine: a race told as a stream of events. Pause is not asking for the next event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from replora.catalog import BACKBONES
from replora.config import Race
from replora.events import Event, Finished, to_line
from replora.training.batch import Batch
from replora.training.cache import Prefixes
from replora.training.device import choose_device, repeatable
from replora.training.graphs import Pace, pace_of
from replora.training.seats import Seat
from replora.training.snapshots import SnapshotWriter
from replora.training.stack import embedded
from replora.training.steps import NewRate, rates_of


def preload() -> None:
    """Read the embedded backbones now, so that races start sooner."""
    for name in BACKBONES:
        embedded(name)


def race_lines(spec: Mapping[str, Any], new_rate: NewRate, folder: Path) -> Iterator[str]:
    """`race` in plain values, as a job: a spec of `Race.to_dict` in, lines of events out, snapshots into `folder`.

    Where a seat was left in `folder` it goes on from there.
    """
    checked = Race.asked(spec)
    seat = Seat.taken_from(folder)
    snapshots = SnapshotWriter(folder, checked, since=None if seat is None else seat.step)
    for event in race(checked, new_rate=new_rate, snapshots=snapshots, seat=seat):
        yield to_line(event)


def race(
    spec: Race,
    *,
    new_rate: NewRate | None = None,
    prefixes: Prefixes | None = None,
    snapshots: SnapshotWriter | None = None,
    pace: Pace | None = None,
    seat: Seat | None = None,
) -> Iterator[Event]:
    """Train all runs of `spec` side by side.

    new_rate: asked before each step; a number it returns becomes the adapters' peak rate of all runs.
    prefixes: what races before this one, like it but for their runs, have computed of the frozen prefix.
    snapshots: is offered the factors and heads before the first step and with each evaluation.
    pace: how the device takes its steps, instead of as it does best.
    seat: where the race was when it was left; it tells the events from there on.
    Raises `SpecError`, `TaskError` or `BackboneError` before the first event.
    Same spec, device, precision, threads and versions: same losses, bit for bit.
    """
    device = choose_device(spec.device)
    with repeatable(device):
        batch = Batch(spec, device, prefixes or Prefixes(), pace or pace_of(device))
        if seat is None:
            yield from batch.begin()
            if snapshots is not None:
                snapshots.offer(0, batch.stack.factors, batch.heads)
        else:
            batch.resume(seat)
        new_rates = rates_of(new_rate, range(batch.runs))
        while not batch.over:
            yield from batch.leg(new_rates)
            if snapshots is not None and batch.evaluated:
                snapshots.offer(batch.done, batch.stack.factors, batch.heads)
        yield Finished(spec.steps, batch.seconds)
