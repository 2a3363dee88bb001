"""A grid of races in numbers and in a sentence: pure functions of its events, finished or not. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from replora.methods import METHOD_TITLES, OURS, REFERENCE, has_adapter
from replora.statistics.data_needed import DataNeeded, data_needed
from replora.statistics.good_region import GoodRegion, good_region
from replora.statistics.verdict import in_units, verdict
from replora.statistics.width import Width, width_of_difference
from replora.studies.base import of_kind
from replora.studies.events import CellFinished, StudyEvent, started_of
from replora.studies.fairness import fairness
from replora.studies.races.cells import Cell, Comparison, RaceTable
from replora.studies.races.looks import Looks, at_fractions
from replora.studies.spec import RaceStudy
from replora.studies.summary import Summary, reached, whole_verdict
from replora.studies.table import results_of
from replora.wording import count, listing


@dataclass(frozen=True, kw_only=True)
class StudySummary(Summary[RaceStudy]):
    """A whole grid of races so far. `data_needed`: both directions, for studies of several fractions."""

    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...]
    data_needed: tuple[DataNeeded, ...]
    good_regions: Mapping[str, GoodRegion]

    @property
    def main_comparisons(self) -> Sequence[Comparison]:
        """Those of the study's own protocol, a fraction each; of a sweep of one rate that rate's."""
        return _main(self.spec, self.comparisons)

    def found(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "grid": {
                "methods": list(spec.methods),
                "fractions": list(spec.all_fractions),
                "rates": list(spec.all_rates),
                "seeds": list(spec.seeds),
            },
            "cells": [
                {**_without(cell, "low", "high"), "interval": None if cell.low is None else [cell.low, cell.high]}
                for cell in self.cells
            ],
            "paired_differences": [
                {**dataclasses.asdict(found), "differences": {str(seed): v for seed, v in found.differences.items()}}
                for found in self.comparisons
            ],
            "data_needed": [
                {**dataclasses.asdict(needed), "sentence": needed.sentence()} for needed in self.data_needed
            ],
            "good_regions": {
                method: {**dataclasses.asdict(region), "decades": region.decades}
                for method, region in self.good_regions.items()
            },
        }


def summarize_study(events: Iterable[StudyEvent]) -> StudySummary | None:
    """The summary of the events so far; None before the study has started."""
    events = list(events)
    started = started_of(events)
    if started is None:
        return None
    spec = of_kind(started.spec, RaceStudy)
    done = results_of(events, CellFinished)
    so_far = reached(events, started, done)
    table = RaceTable(spec, done, started.test_examples)
    cells = tuple(
        table.cell(method, fraction, rate)
        for fraction in spec.all_fractions
        for rate in spec.all_rates
        for method in spec.methods
        if rate in spec.rates_of(method) and table.runs(method, fraction, rate)
    )
    pair = compared(spec)
    comparisons = _comparisons(spec, table, pair) if pair else ()
    needed = _needed(spec, table, pair) if pair and len(spec.all_fractions) > 1 else ()
    return StudySummary(
        **vars(so_far),
        spec=spec,
        cells=cells,
        comparisons=comparisons,
        data_needed=needed,
        good_regions=_regions(spec, cells),
        fairness=fairness(spec, table.chosen, table.trials(), started.methods, _widths(spec, comparisons)),
        verdict=whole_verdict(so_far, [*_sentences(spec, comparisons, needed), *_labels(spec, cells)], done),
    )


def compared(spec: RaceStudy) -> tuple[str, str] | None:
    """Method and reference: RepLoRA and LoRA where both are there, else the second and the first; None for one."""
    if {OURS, REFERENCE} <= set(spec.methods):
        return OURS, REFERENCE
    return (spec.methods[1], spec.methods[0]) if len(spec.methods) > 1 else None


def _main(spec: RaceStudy, comparisons: Iterable[Comparison]) -> list[Comparison]:
    return [found for found in comparisons if found.protocol == ("tuned" if spec.is_tuned else "one rate")]


def _comparisons(spec: RaceStudy, table: RaceTable, pair: tuple[str, str]) -> tuple[Comparison, ...]:
    """At every fraction: both at each rate of the grid where one fraction is swept, and both at their chosen rates."""
    found = []
    for fraction in spec.all_fractions:
        if len(spec.all_fractions) == 1 or not spec.is_tuned:
            for rate in spec.all_rates:
                rates = {name: rate if has_adapter(name) else spec.rates_of(name)[0] for name in pair}
                if all(table.runs(name, fraction, rates[name]) for name in pair):
                    found.append(table.compare("one rate", fraction, rates, pair))
        rates = {name: table.chosen[name, fraction] for name in pair if (name, fraction) in table.chosen}
        if spec.is_tuned and len(rates) == 2:
            found.append(table.compare("tuned", fraction, rates, pair))
    return tuple(found)


def _needed(spec: RaceStudy, table: RaceTable, pair: tuple[str, str]) -> tuple[DataNeeded, ...]:
    """Data needed of `method` to reach `reference`, and the other way round, over seeds that finished everywhere."""
    fractions = spec.all_fractions
    curves = {name: table.curve(name) for name in pair}
    seeds = sorted(set(curves[pair[0]]) & set(curves[pair[1]]))
    values = {
        name: np.array([curve[seed] for seed in seeds]).reshape(len(seeds), len(fractions))
        for name, curve in curves.items()
    }
    both = (pair, pair[::-1])
    return tuple(data_needed(fractions, values[a], values[b], a, b, metric=spec.metric) for a, b in both)


def _regions(spec: RaceStudy, cells: Sequence[Cell]) -> dict[str, GoodRegion]:
    """The good region of each adapted method, where one fraction is swept over several rates."""
    found: dict[str, GoodRegion] = {}
    if len(spec.all_fractions) > 1 or len(spec.all_rates) < 2:
        return found
    for method in filter(has_adapter, spec.methods):
        own = [cell for cell in cells if cell.method == method]
        region = good_region(
            [cell.rate for cell in own],
            [cell.mean for cell in own],
            [cell.deviation for cell in own],
            [cell.diverged for cell in own],
            lower_is_better=spec.metric.lower_is_better,
        )
        if region:
            found[method] = region
    return found


def _sentences(spec: RaceStudy, comparisons: Sequence[Comparison], needed: Sequence[DataNeeded]) -> list[str]:
    """What was found: at the least and the most data, or with rates tuned; data needed.

    Data needed is said both ways: where curves are flat, each method reaches the other with little.
    """
    main = _main(spec, comparisons)
    said = [] if main else ["There is no pair of runs to compare."]
    for found in [*main[:1], *main[1:][-1:]]:
        sentence = verdict(list(found.differences.values()), found.method, found.reference, metric=spec.metric)
        said.append(f"With {100 * found.fraction:g} % of the data and {_rates_in_words(spec, found)}: {sentence}")
    shortest, longest = spec.step_range
    if said and shortest != longest:
        said[0] = f"At equal epochs ({spec.steps_in_words}): {said[0][:1].lower()}{said[0][1:]}"
    return [*said, *at_fractions(Looks.of(main)), *(read_off.sentence() for read_off in needed)]


def _labels(spec: RaceStudy, cells: Sequence[Cell]) -> list[str]:
    """Where rates are tuned on more labels than are trained on: nothing for other studies."""
    few = {cell.fraction: cell.examples for cell in cells if cell.examples < spec.validation_examples}
    if not spec.is_tuned or not few:
        return []
    held = "labels" if spec.metric.is_share else "pieces"
    named = listing([f"{count(examples)} with {100 * fraction:g} %" for fraction, examples in sorted(few.items())])
    return [
        f"Rates are tuned on {count(spec.validation_examples)} {held} held out, more than are trained on: {named} of "
        "the data."
    ]


def _widths(spec: RaceStudy, comparisons: Sequence[Comparison]) -> list[Width]:
    return [
        width_of_difference(
            found.interval, f"with {spec.amount_in_words(found.fraction)}", in_units(found.interval, spec.metric)
        )
        for found in _main(spec, comparisons)
    ]


def _rates_in_words(spec: RaceStudy, comparison: Comparison) -> str:
    """'one rate, 0.0003', 'rates tuned for each (RepLoRA's the lowest of the grid: a better one may lie beyond)'."""
    if comparison.protocol != "tuned":
        return f"one rate, {comparison.rates[comparison.method]:g}"
    return f"rates tuned for each{at_the_end(spec, comparison)}"


def at_the_end(spec: RaceStudy, comparison: Comparison) -> str:
    """' (RepLoRA's the lowest of the grid: a better one may lie beyond)'; '' where tuned rates are inside it."""
    rates, at_end = spec.all_rates, dict[str, list[str]]()
    for name, rate in comparison.rates.items():
        if has_adapter(name) and len(rates) > 1 and rate in (rates[0], rates[-1]):
            at_end.setdefault("lowest" if rate == rates[0] else "highest", []).append(f"{METHOD_TITLES[name]}'s")
    flags = [f"{listing(names)} the {end} of the grid" for end, names in at_end.items()]
    return f" ({listing(flags)}: a better one may lie beyond)" if flags else ""


def _without(value: Cell, *names: str) -> dict[str, Any]:
    return {name: own for name, own in dataclasses.asdict(value).items() if name not in names}
