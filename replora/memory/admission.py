"""Whether a job fits into the memory that a job may take; if not, one sentence that says what to lower, and to what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from replora.config import Race, Run
from replora.memory.estimate import race_bytes
from replora.memory.machine import GIGABYTE, job_bytes
from replora.options import Spec, SpecError

SpecOf = TypeVar("SpecOf", bound=Spec)

RUNS = "the number of runs (methods times seeds)"  # two controls of a form
WAYS = 2  # that are named, at most
MOST_TOLD = 1_000_000  # steps of runs, of some 60 bytes
METHOD_FIELDS = ("rank", "mlp_width")
TRAINING_FIELDS = ("batch_size", "adapted_blocks", "test_examples", "validation_examples")


@dataclass(frozen=True)
class Lever(Generic[SpecOf]):
    """Something that can be lowered: what it is now, and the spec with less of it, down to 1; unit: of the number."""

    name: str
    now: int
    lowered: Callable[[int], SpecOf]
    unit: str = ""

    def to(self, value: int) -> str:
        """The move, in words."""
        return f"{self.name} from {self.now:,}{self.unit} to {value:,}{self.unit}"


Levers = Callable[[SpecOf], Sequence[Lever[SpecOf]]]


def check_race(race: Race) -> None:
    """`SpecError` where a race would take more memory, or tell more, than a job may.

    `TaskError` where its task is not here.
    """
    most = MOST_TOLD // len(race.runs)
    if race.steps > most:
        raise SpecError(
            f"steps must be at most {most:,} for {len(race.runs)} runs, since all that a race tells is kept in memory, "
            f"got {race.steps:,}."
        )
    check_memory(race, "race", race_bytes, _race_levers)


def needed_bytes(kind: str, spec: Mapping[str, Any]) -> int:
    """What a job is reckoned to take, in bytes: a study, which fits its batches to what there is, all that it may."""
    if kind == "study":
        return job_bytes()
    return race_bytes(Race.from_dict(spec)) if kind == "race" else 0


def check_memory(spec: SpecOf, noun: str, need: Callable[[SpecOf], int], levers: Levers[SpecOf]) -> None:
    """`SpecError` where a spec needs more bytes than a job may take.

    noun: what it is, 'race'. Where one lever is enough, those are named that have to be moved least.
    """
    wanted, most = need(spec), job_bytes()
    if wanted <= most:
        return

    def fits(lowered: SpecOf) -> bool:
        return need(lowered) <= most

    found = [(each, value) for each in levers(spec) if (value := _largest(each, fits))]
    found.sort(key=lambda way: way[1] / way[0].now, reverse=True)
    ways = " or ".join(each.to(value) for each, value in found[:WAYS]) or " and ".join(
        _together(spec, need, levers, fits)
    )
    raise SpecError(
        f"This {noun} would take about {wanted / GIGABYTE:.1f} GB of memory, and a job may take "
        f"{most / GIGABYTE:.1f} GB here. {f'Lower {ways}' if ways else 'Take a smaller backbone or task'}."
    )


def fields_levers(spec: SpecOf, fields: Sequence[str]) -> list[Lever[SpecOf]]:
    """Whole numbers among a spec's own fields."""
    held = cast(Any, spec)

    def lever(name: str) -> Lever[SpecOf]:
        return Lever(name, getattr(spec, name), lambda value: dataclasses.replace(held, **{name: value}))

    return [lever(name) for name in fields]


def _race_levers(race: Race) -> list[Lever[Race]]:
    def with_runs(change: Callable[[Run], Run]) -> Race:
        return dataclasses.replace(race, runs=tuple(map(change, race.runs)))

    def of_methods(name: str) -> Lever[Race]:
        def lowered(run: Run, value: int) -> Run:
            method = dataclasses.replace(run.method, **{name: min(getattr(run.method, name), value)})
            return dataclasses.replace(run, method=method)

        now: int = max(getattr(run.method, name) for run in race.runs)
        return Lever(name, now, lambda value: with_runs(lambda run: lowered(run, value)))

    def with_share(value: int) -> Race:
        share = value / 100
        return with_runs(lambda run: dataclasses.replace(run, data_fraction=min(run.data_fraction, share)))

    return [
        Lever(RUNS, len(race.runs), lambda value: dataclasses.replace(race, runs=race.runs[:value])),
        *fields_levers(race, TRAINING_FIELDS),
        *map(of_methods, METHOD_FIELDS),
        Lever("data_fraction", round(100 * max(run.data_fraction for run in race.runs)), with_share, " %"),
    ]


def _largest(lever: Lever[SpecOf], fits: Callable[[SpecOf], bool]) -> int:
    """The largest value with which the spec fits, in two digits; 0 where there is none."""
    low, high = 0, lever.now
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(lever.lowered(middle)) else (low, middle)
    step: int = 10 ** max(0, len(str(low)) - 2)
    return low - low % step


def _together(
    spec: SpecOf, need: Callable[[SpecOf], int], levers: Levers[SpecOf], fits: Callable[[SpecOf], bool]
) -> list[str]:
    """The moves that make a spec fit together, halving what takes most; none where that is not enough."""
    lowered = spec
    while not fits(lowered):
        halves = [each.lowered(each.now // 2) for each in levers(lowered) if each.now > 1]
        best = min(halves, key=need, default=lowered)
        if need(best) >= need(lowered):
            return []
        lowered = best
    pairs = zip(levers(spec), levers(lowered), strict=True)
    return [before.to(after.now) for before, after in pairs if after.now < before.now]
