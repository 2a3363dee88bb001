"""What a room trains: the race its seats share, what each seat has of its own, and the race of a seat."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from replora.catalog import TASKS
from replora.config import AUTO, MethodName, Race, RaceOptions, Run
from replora.options import Spec, SpecError, check_value, kind_of, option, options

Share = Literal["seed", "cell"]

FREE: tuple[str, ...] = (  # what a room may leave to its seats
    "rank",
    "mlp_width",
    "mlp_depth",
    "activation",
    "sharing",
    "layer_sharing",
    "residual",
    "latent",
    "projections",
    "learning_rate",
    "data_fraction",
)
STEPS = 60  # of a room's race at first: thirty of them on two cores end while a class looks on


def first_race() -> RaceOptions:
    """What a room trains unless it says otherwise."""
    return RaceOptions(steps=STEPS)


@dataclass(frozen=True, kw_only=True)
class Setup(Spec):
    """What the instructor sets; `race` without its seeds, which are the seats'. free: options that seats may change."""

    race: RaceOptions = field(default_factory=first_race)
    each: Share = option(
        "seed",
        "Each seat trains",
        "seed: every method with a seed of its own, its number. cell: one run, a cell of seed, rate and method.",
    )
    seeds: int = option(5, "Seeds of the grid", "Where each seat trains a cell.", low=1, high=60)
    rates: tuple[float, ...] = option(
        (3e-4, 1e-3, 3e-3),
        "Rates of the grid",
        "Where each seat trains a cell.",
        low=options(Run)["learning_rate"].low,
        high=options(Run)["learning_rate"].high,
    )
    expect: bool = option(
        True, "Commit, then look", "Before its race begins, a seat says who will be ahead, and by how much."
    )
    play: bool = option(True, "Seats press Play", "Whether a seat may begin before all are started.")
    free: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.free if name not in FREE]
        if unknown:
            raise SpecError(f"free must be among {', '.join(FREE)}, got {str(unknown[0])[:40]!r}.")
        if len(self.rates) > 12:
            raise SpecError(f"rates must list at most 12 values, got {len(self.rates)}.")
        object.__setattr__(self, "free", tuple(name for name in FREE if name in self.free))
        if self.race.task not in TASKS:
            raise SpecError(
                "task must be one of the app's own in a room, and of those with labels: seats hold no data."
            )
        if self.race.backbone != AUTO:
            raise SpecError(f"backbone must be {AUTO} in a room, got {self.race.backbone[:40]!r}.")

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        if name == "race" and not isinstance(value, RaceOptions):
            return RaceOptions.from_dict(value)
        return super()._revive(name, value)

    def options_of(self, own: Mapping[str, Any]) -> RaceOptions:
        """The room's race with what a seat has chosen of what is free; `SpecError`."""
        chosen = {name: value for name, value in own.items() if name in self.free}
        return dataclasses.replace(self.race, **chosen)

    def chosen_otherwise(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """What a seat chose that is free and is not as the room has it; its rate does not count where it has a cell."""
        idle = {"learning_rate"} if self.each == "cell" else set()
        return {
            name: value
            for name, value in own.items()
            if name in self.free and name not in idle and value != getattr(self.race, name)
        }

    def cells(self) -> Sequence[tuple[int, float, MethodName]]:
        """(seed, rate, method) of the grid; neighbours are a pair, so that differences come early."""
        return [
            (seed, rate, method)
            for seed in range(1, self.seeds + 1)
            for rate in self.rates
            for method in self.race.methods
        ]

    def race_of(self, number: int, own: Mapping[str, Any]) -> Race:
        """What the seat of a number trains, from 1 on; seats beyond the grid repeat its cells. `SpecError`."""
        shared = self.options_of(own)
        if self.each == "seed":
            return dataclasses.replace(shared, seeds=(number,)).race()
        cells = self.cells()
        seed, rate, method = cells[(number - 1) % len(cells)]
        return dataclasses.replace(shared, seeds=(seed,), learning_rate=rate, methods=(method,)).race()


def read_own(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a seat chose, each value as its option takes it; `SpecError`."""
    found = {}
    for name, value in values.items():
        if name not in FREE:
            raise SpecError(f"A seat chooses among {', '.join(FREE)}, got {str(name)[:40]!r}.")
        found[name] = check_value(name, value, kind_of(RaceOptions, name), options(RaceOptions)[name])
    return found
