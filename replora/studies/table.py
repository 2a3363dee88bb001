"""The finished runs of a study by cell of its grid, the rates that are chosen, and rows for CSV. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from replora.csv_text import csv_text
from replora.studies.base import Study
from replora.studies.events import CellFinished, Key, StudentFinished, StudyEvent

Result = TypeVar("Result", bound=CellFinished | StudentFinished)


def results_of(events: Iterable[StudyEvent], kind: type[Result]) -> list[Result]:
    """What the runs of a study have come to so far."""
    return [event for event in events if isinstance(event, kind)]


class Table(Generic[Result]):
    """The finished runs of a study. badness: of the runs of one cell by validation, the smaller the better."""

    def __init__(self, spec: Study, results: Sequence[Result], badness: Callable[[Sequence[Result]], float]) -> None:
        self.spec, self.badness = spec, badness
        self.found: dict[Key, dict[int, Result]] = {}
        for result in results:
            self.found.setdefault(result.key, {})[result.seed] = result
        self.chosen: dict[tuple[str, float], float] = {
            (name, amount): rate
            for name in spec.titles
            for amount in spec.all_amounts
            if (rate := self._choose(name, amount)) is not None
        }

    def runs(self, name: str, amount: float, rate: float | None) -> Mapping[int, Result]:
        """The runs of one cell by seed."""
        return {} if rate is None else self.found.get((name, amount, rate), {})

    def is_chosen(self, key: Key) -> bool:
        """Whether a cell is at the rate that is chosen there."""
        return self.chosen.get(key[:2]) == key[2]

    def trials(self) -> dict[str, list[tuple[float, float, int]]]:
        """Amount, rate and seed of all runs done, by whose they are."""
        trials: dict[str, list[tuple[float, float, int]]] = {}
        for (name, amount, rate), runs in self.found.items():
            trials.setdefault(name, []).extend((amount, rate, seed) for seed in runs)
        return trials

    def _choose(self, name: str, amount: float) -> float | None:
        """The rate that validates best; one where a run diverged only if all others did too.

        Of equal rates the smaller. The one rate there is where nothing is tuned; None before any run is done.
        """
        scores = [
            (any(run.diverged for run in runs), self.badness(runs), rate)
            for rate in self.spec.rates_of(name)
            if (runs := list(self.runs(name, amount, rate).values()))
        ]
        return min(scores)[2] if scores else None


def runs_csv(
    results: Iterable[Result], chosen: set[Key], names: Sequence[str], values: Callable[[Result], Sequence[Any]]
) -> str:
    """One row a run, with a header, and last whether its rate is the chosen one."""
    return csv_text([*names, "chosen_rate"], [[*values(result), result.key in chosen] for result in results])
