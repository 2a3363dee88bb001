"""A study in numbers and in a sentence: pure functions of its events, finished or not. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from replora.config import METHOD_TITLES
from replora.csv_text import csv_text
from replora.statistics.intervals import Interval, bootstrap_interval, paired, t_interval, two_level_bootstrap
from replora.statistics.verdict import lost_sentence, verdict
from replora.studies.answers import unpack_answers
from replora.studies.events import CellFinished, Progress, StudyEvent, StudyFinished, StudyStarted, started_of
from replora.studies.fairness import FairnessItem, fairness
from replora.studies.read_offs import DataNeeded, GoodRegion, data_needed, good_region
from replora.studies.spec import RaceStudy, study_to_dict

Lost = tuple[str, float, int]


@dataclass(frozen=True)
class Cell:
    """All seeds of one method, fraction and rate.

    Means and the 95 % interval are over the `n` runs that finished, None without any; `diverged` counts the others.
    deviation: of the accuracy over seeds, None below two. chosen: this is the method's rate at this fraction.
    """

    method: str
    fraction: float
    rate: float
    examples: int
    mean: float | None
    low: float | None
    high: float | None
    deviation: float | None
    n: int
    diverged: int
    loss: float | None
    validation: float | None
    chosen: bool


@dataclass(frozen=True)
class Comparison:
    """`method` minus `reference` at one fraction, paired by seed, each at the rate that `rates` names.

    protocol: 'one rate' for both, or 'tuned'. differences: by seed, of accuracy. interval: Student's, bootstrap: over
    seeds, with_examples: over seeds and test examples; None without pairs, or where nobody told the answers.
    """

    protocol: str
    fraction: float
    method: str
    reference: str
    rates: Mapping[str, float]
    differences: Mapping[int, float]
    interval: Interval | None
    bootstrap: Interval | None
    with_examples: Interval | None
    verdict: str


@dataclass(frozen=True)
class StudySummary:
    """A whole study so far. `data_needed`: both directions, for studies of several fractions."""

    spec: RaceStudy
    started: StudyStarted
    runs_done: int
    diverged: int
    finished: bool
    seconds: float
    runs_per_second: float | None
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...]
    data_needed: tuple[DataNeeded, ...]
    good_regions: Mapping[str, GoodRegion]
    fairness: tuple[FairnessItem, ...]
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        spec, started = self.spec, self.started
        return {
            "study": spec.name,
            "task": spec.task,
            "backbone": started.backbone,
            "device": started.device,
            "precision": started.precision,
            "threads": started.threads,
            "versions": dict(started.versions),
            "spec": study_to_dict(spec),
            "parameters": {
                each.method: {"trained": each.trained_parameters, "deployed": each.deployed_parameters}
                for each in started.methods
            },
            "test_examples": started.test_examples,
            "grid": {
                "methods": list(spec.methods),
                "fractions": list(spec.all_fractions),
                "rates": list(spec.all_rates),
                "seeds": list(spec.seeds),
            },
            "runs": started.runs,
            "runs_done": self.runs_done,
            "diverged": self.diverged,
            "finished": self.finished,
            "cells": [
                {**_without(each, "low", "high"), "interval": None if each.low is None else [each.low, each.high]}
                for each in self.cells
            ],
            "paired_differences": [
                {**dataclasses.asdict(each), "differences": {str(seed): v for seed, v in each.differences.items()}}
                for each in self.comparisons
            ],
            "data_needed": [{**dataclasses.asdict(each), "sentence": each.sentence()} for each in self.data_needed],
            "good_regions": {
                method: {**dataclasses.asdict(each), "decades": each.decades}
                for method, each in self.good_regions.items()
            },
            "fairness": [dataclasses.asdict(each) for each in self.fairness],
            "verdict": self.verdict,
            "seconds": self.seconds,
            "runs_per_second": self.runs_per_second,
        }


def summarize_study(events: Iterable[StudyEvent]) -> StudySummary | None:
    """The summary of the events so far; None before the study has started."""
    events = list(events)
    started = started_of(events)
    if started is None:
        return None
    spec = started.spec
    if not isinstance(spec, RaceStudy):
        raise TypeError(f"A study of {spec.name} has a summary of its own.")
    done = [each for each in events if isinstance(each, CellFinished)]
    clock = next((each for each in reversed(events) if isinstance(each, Progress | StudyFinished)), None)
    seconds = clock.seconds if clock else 0.0
    table = _Table(spec, done, started.test_examples)
    chosen: dict[tuple[str, float], float] = {
        (method, fraction): rate
        for method in spec.methods
        for fraction in spec.all_fractions
        if (rate := table.choose(method, fraction)) is not None
    }
    cells = tuple(
        table.cell(method, fraction, rate, chosen.get((method, fraction)) == rate)
        for fraction in spec.all_fractions
        for rate in spec.all_rates
        for method in spec.methods
        if rate in spec.rates_of(method) and table.runs(method, fraction, rate)
    )
    pair = compared(spec)
    comparisons = _comparisons(table, chosen, pair) if pair else ()
    needed = _needed(table, chosen, pair) if pair and len(spec.all_fractions) > 1 else ()
    lost = [(each.method, each.rate, each.seed) for each in done if each.diverged]
    finished = isinstance(events[-1], StudyFinished)
    return StudySummary(
        spec=spec,
        started=started,
        runs_done=len(done),
        diverged=len(lost),
        finished=finished,
        seconds=seconds,
        runs_per_second=len(done) / seconds if done and seconds > 0 else None,
        cells=cells,
        comparisons=comparisons,
        data_needed=needed,
        good_regions=_regions(spec, cells),
        fairness=fairness(spec, chosen, _trials(done), started.methods),
        verdict=_verdict(spec, comparisons, needed, lost, len(done), started.runs),
    )


def compared(spec: RaceStudy) -> tuple[str, str] | None:
    """Method and reference: RepLoRA and LoRA where both are there, else the second and the first; None for one."""
    if {"lora", "replora"} <= set(spec.methods):
        return "replora", "lora"
    return (spec.methods[1], spec.methods[0]) if len(spec.methods) > 1 else None


def study_csv(events: Iterable[StudyEvent]) -> str:
    """One row a run, with a header; a diverged run has empty results and says so."""
    events = list(events)
    summary = summarize_study(events)
    chosen = {(each.method, each.fraction, each.rate) for each in summary.cells if each.chosen} if summary else set()
    names = [each.name for each in dataclasses.fields(CellFinished) if each.name != "answers"]
    rows = [
        [*(getattr(each, name) for name in names), (each.method, each.fraction, each.rate) in chosen]
        for each in events
        if isinstance(each, CellFinished)
    ]
    return csv_text([*names, "chosen_rate"], rows)


def table_of(summary: StudySummary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, and the grid of methods, fractions and rates as text."""
    headings = ("method", "data", "rate", "accuracy", "95 % interval", "runs", "diverged", "validation", "")
    rows: list[tuple[str, ...]] = [
        (
            METHOD_TITLES[cell.method],
            f"{100 * cell.fraction:g} %",
            f"{cell.rate:g}",
            "diverged" if cell.mean is None else f"{100 * cell.mean:.1f} %",
            "" if cell.low is None or cell.high is None else f"{100 * cell.low:.1f} to {100 * cell.high:.1f}",
            str(cell.n),
            str(cell.diverged or ""),
            "" if cell.validation is None else f"{100 * cell.validation:.1f} %",
            "chosen" if cell.chosen and summary.spec.is_tuned else "",
        )
        for cell in summary.cells
    ]
    return headings, rows


def result_of(summary: StudySummary, method: str) -> str:
    """A method's accuracy at each amount of data, at the rate that was chosen there."""
    return "; ".join(
        f"{summary.spec.amount_in_words(cell.fraction)}: "
        + ("diverged" if cell.mean is None else f"{100 * cell.mean:.1f} %")
        + f" at rate {cell.rate:g}"
        for cell in summary.cells
        if cell.chosen and cell.method == method
    )


class _Table:
    """The finished runs by method, fraction and rate."""

    def __init__(self, spec: RaceStudy, done: Sequence[CellFinished], test_examples: int) -> None:
        self.spec = spec
        self.test_examples = test_examples
        self.found: dict[tuple[str, float, float], dict[int, CellFinished]] = {}
        for each in done:
            self.found.setdefault((each.method, each.fraction, each.rate), {})[each.seed] = each

    def runs(self, method: str, fraction: float, rate: float) -> dict[int, CellFinished]:
        return self.found.get((method, fraction, rate), {})

    def accuracies(self, method: str, fraction: float, rate: float | None) -> dict[int, float]:
        """Accuracy by seed of the runs that did not diverge."""
        if rate is None:
            return {}
        runs = self.runs(method, fraction, rate)
        return {seed: each.accuracy for seed, each in runs.items() if each.accuracy is not None}

    def choose(self, method: str, fraction: float) -> float | None:
        """The rate with the best mean validation accuracy; one where a run diverged only if all others did too.

        Of equal rates the smaller. The one rate there is where nothing is tuned; None before any run is done.
        """
        best: tuple[bool, float] | None = None
        choice = None
        for rate in self.spec.rates_of(method):
            runs = list(self.runs(method, fraction, rate).values())
            known = [each.validation_accuracy for each in runs if each.validation_accuracy is not None]
            if not runs:
                continue
            score = (not any(each.diverged for each in runs), fmean(known) if known else -1.0)
            if best is None or score > best:
                best, choice = score, rate
        return choice

    def cell(self, method: str, fraction: float, rate: float, chosen: bool) -> Cell:
        runs = self.runs(method, fraction, rate)
        accuracies = list(self.accuracies(method, fraction, rate).values())
        interval = t_interval(accuracies)
        return Cell(
            method=method,
            fraction=fraction,
            rate=rate,
            examples=next(iter(runs.values())).examples,
            mean=interval.mean if interval else None,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            deviation=stdev(accuracies) if len(accuracies) > 1 else None,
            n=len(accuracies),
            diverged=sum(each.diverged for each in runs.values()),
            loss=_mean([each.loss for each in runs.values()]),
            validation=_mean([each.validation_accuracy for each in runs.values()]),
            chosen=chosen,
        )

    def compare(self, protocol: str, fraction: float, rates: Mapping[str, float], pair: tuple[str, str]) -> Comparison:
        method, reference = pair
        sides = [self.accuracies(each, fraction, rates.get(each)) for each in pair]
        differences = paired(sides[0], sides[1])
        values = list(differences.values())
        lost = [
            (each, rates[each], seed)
            for each in pair
            if each in rates
            for seed, run in self.runs(each, fraction, rates[each]).items()
            if run.diverged
        ]
        runs = sum(len(self.runs(each, fraction, rates[each])) for each in pair if each in rates)
        return Comparison(
            protocol=protocol,
            fraction=fraction,
            method=method,
            reference=reference,
            rates=dict(rates),
            differences=differences,
            interval=t_interval(values),
            bootstrap=bootstrap_interval(values),
            with_examples=self._with_examples(fraction, rates, pair, list(differences)),
            verdict=verdict(values, method, reference, lost=lost_sentence(lost, runs)),
        )

    def _with_examples(
        self, fraction: float, rates: Mapping[str, float], pair: tuple[str, str], seeds: Sequence[int]
    ) -> Interval | None:
        texts = [[self.runs(each, fraction, rates[each])[seed].answers for seed in seeds] for each in pair if seeds]
        if not texts or not all(all(each) for each in texts):
            return None
        ours, theirs = (np.array([unpack_answers(text, self.test_examples) for text in each]) for each in texts)
        return two_level_bootstrap(ours, theirs)


def _comparisons(
    table: _Table, chosen: Mapping[tuple[str, float], float], pair: tuple[str, str]
) -> tuple[Comparison, ...]:
    """At every fraction: both at each rate of the grid where one fraction is swept, and both at their chosen rates."""
    spec = table.spec
    found = []
    for fraction in spec.all_fractions:
        if len(spec.all_fractions) == 1 or not spec.is_tuned:
            for rate in spec.all_rates:
                rates = {each: spec.rates_of(each)[0] if each == "head" else rate for each in pair}
                if all(table.runs(each, fraction, rates[each]) for each in pair):
                    found.append(table.compare("one rate", fraction, rates, pair))
        rates = {each: chosen[each, fraction] for each in pair if (each, fraction) in chosen}
        if spec.is_tuned and len(rates) == 2:
            found.append(table.compare("tuned", fraction, rates, pair))
    return tuple(found)


def _needed(table: _Table, chosen: Mapping[tuple[str, float], float], pair: tuple[str, str]) -> tuple[DataNeeded, ...]:
    """Data needed of `method` to reach `reference`, and the other way round, over seeds that finished everywhere."""
    fractions = table.spec.all_fractions
    curves = {
        each: [table.accuracies(each, fraction, chosen.get((each, fraction))) for fraction in fractions]
        for each in pair
    }
    seeds = [seed for seed in table.spec.seeds if all(seed in point for curve in curves.values() for point in curve)]
    values = {
        each: np.array([[point[seed] for point in curve] for seed in seeds]).reshape(len(seeds), len(fractions))
        for each, curve in curves.items()
    }
    return tuple(data_needed(fractions, values[a], values[b], a, b) for a, b in (pair, pair[::-1]))


def _regions(spec: RaceStudy, cells: Sequence[Cell]) -> dict[str, GoodRegion]:
    """The good region of each adapted method, where one fraction is swept over several rates."""
    found: dict[str, GoodRegion] = {}
    if len(spec.all_fractions) > 1 or len(spec.all_rates) < 2:
        return found
    for method in spec.methods:
        own = [each for each in cells if each.method == method]
        if method == "head" or not own:
            continue
        region = good_region(
            [each.rate for each in own],
            [each.mean for each in own],
            [each.deviation for each in own],
            [each.diverged for each in own],
        )
        if region:
            found[method] = region
    return found


def _trials(done: Sequence[CellFinished]) -> dict[str, list[tuple[float, float, int]]]:
    found: dict[str, list[tuple[float, float, int]]] = {}
    for each in done:
        found.setdefault(each.method, []).append((each.fraction, each.rate, each.seed))
    return found


def _verdict(
    spec: RaceStudy,
    comparisons: Sequence[Comparison],
    needed: Sequence[DataNeeded],
    lost: Sequence[Lost],
    done: int,
    runs: int,
) -> str:
    """The sentences of a study: at the least and the most data, or with rates tuned; data needed; diverged runs.

    Data needed is said both ways: where curves are flat, each method reaches the other with little.
    """
    main = [each for each in comparisons if each.protocol == ("tuned" if spec.is_tuned else "one rate")]
    parts = [f"After {done} of {runs} runs."] if done < runs else []
    for each in [*main[:1], *main[1:][-1:]]:
        said = verdict(list(each.differences.values()), each.method, each.reference)
        parts.append(f"With {100 * each.fraction:g} % of the data and {_rates_in_words(each)}: {said}")
    if not main:
        parts.append("There is no pair of runs to compare.")
    parts += [each.sentence() for each in needed]
    parts += [said] if (said := lost_sentence(lost, done)) else []
    return " ".join(parts)


def _rates_in_words(comparison: Comparison) -> str:
    if comparison.protocol == "tuned":
        return "rates tuned for each"
    return f"one rate, {comparison.rates[comparison.method]:g}"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _without(value: Cell, *names: str) -> dict[str, Any]:
    return {name: each for name, each in dataclasses.asdict(value).items() if name not in names}
