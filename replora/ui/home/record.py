"""The recorded race of the first page: its accuracies, and A, B and delta_weight as they were on the way. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from replora.config import Race
from replora.events import Evaluated, read_events, started_of
from replora.methods import OURS, REFERENCE
from replora.recorded.half_floats import SUFFIX, unpack
from replora.ui.live.recordings import FOLDER
from replora.ui.parts.once import Once

Matrix = npt.NDArray[np.float64]

TASK = "digits"
METHODS = (REFERENCE, OURS)
EVERY = 8  # rows and columns from one that is drawn to the next


@dataclass(frozen=True)
class Factors:
    """The query's update in the last adapted layer after `step` steps, every eighth row and column of it.

    a: (rank, in_features / 8), b: (out_features / 8, rank), update: (out_features / 8, in_features / 8).
    norm: of the whole delta_weight of query and value, in all adapted layers.
    """

    step: int
    a: Matrix
    b: Matrix
    update: Matrix
    norm: float


@dataclass(frozen=True)
class RecordedRace:
    """By method: accuracies (step, share of the test examples that are right) and factors, both step by step."""

    spec: Race
    accuracies: Mapping[str, Sequence[tuple[int, float]]]
    factors: Mapping[str, Sequence[Factors]]


MADE: Once[RecordedRace] = Once(2)  # by folder


def recorded_race() -> RecordedRace:
    """Read once for all visitors."""
    folder = FOLDER / f"lens_{TASK}"
    return MADE(folder, lambda: read_race(folder))


def read_race(folder: Path) -> RecordedRace:
    """A recorded race with its snapshots; `EventError` where its events cannot be read."""
    events = list(read_events(folder / "events.jsonl.gz"))
    started = started_of(events)
    assert started, "Recordings have a start."
    spec = started.spec
    places = {name: next(at for at, run in enumerate(spec.runs) if run.method.name == name) for name in METHODS}
    told = [each for each in events if isinstance(each, Evaluated)]
    files = sorted(folder.glob(f"step_*.safetensors{SUFFIX}"))
    snapshots = [load(unpack(path)) for path in files]
    steps = [int(path.name[5:11]) for path in files]
    return RecordedRace(
        spec,
        {
            name: [(each.step, share) for each in told if (share := each.accuracies[place]) is not None]
            for name, place in places.items()
        },
        {
            name: [_factors(snapshot, place, step) for step, snapshot in zip(steps, snapshots, strict=True)]
            for name, place in places.items()
        },
    )


def _factors(snapshot: Mapping[str, npt.NDArray[np.float16]], place: int, step: int) -> Factors:
    scaling = float(snapshot["scaling"][place])
    a, b = (snapshot[name][place].astype(np.float64) for name in ("a_query", "b_query"))  # (layers, rank, in)
    updates = [
        scaling * snapshot[f"b_{name}"][place].astype(np.float64) @ snapshot[f"a_{name}"][place].astype(np.float64)
        for name in ("query", "value")
    ]  # (layers, out, in) each
    return Factors(
        step,
        a=a[-1, :, ::EVERY],
        b=b[-1, ::EVERY],
        update=updates[0][-1, ::EVERY, ::EVERY],
        norm=float(np.sqrt(sum((update**2).sum() for update in updates))),
    )
