"""What the runs of races come to, cell by cell of the grid, and method against method, paired by seed. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev

import numpy as np

from replora.statistics.intervals import Interval, crossed_interval, p_value, paired, t_interval
from replora.statistics.metrics import ACCURACY, METRICS, Metric
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, lost_sentence, verdict
from replora.studies.answers import unpack_answers
from replora.studies.events import CellFinished, Key
from replora.studies.spec import RaceStudy
from replora.studies.table import Table

DIGITS = 9  # of a mean accuracy: beyond them is rounding, and rates that are equal to it tie


@dataclass(frozen=True)
class Cell:
    """All seeds of one method, fraction and rate.

    Means and the 95 % interval are over the `n` runs that finished, None without any; `diverged` counts the others.
    deviation: over seeds, None below two. chosen: this is the method's rate at this fraction.
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

    @property
    def key(self) -> Key:
        """Method, fraction and rate."""
        return self.method, self.fraction, self.rate


@dataclass(frozen=True)
class Comparison:
    """`method` minus `reference` at one fraction, paired by seed, each at the rate that `rates` names.

    protocol: 'one rate' for both, or 'tuned'. differences: by seed, as measured. interval: Student's over seeds;
    with_examples: over seeds and test examples; None without pairs, or where nobody told the answers. p: of the paired
    t test, from three seeds on. measure: the noun of the metric.
    """

    protocol: str
    fraction: float
    method: str
    reference: str
    rates: Mapping[str, float]
    differences: Mapping[int, float]
    interval: Interval | None
    with_examples: Interval | None
    p: float | None
    verdict: str
    measure: str = ACCURACY.noun

    @property
    def metric(self) -> Metric:
        """What is compared."""
        return METRICS[self.measure]

    @property
    def ahead(self) -> str:
        """Who has the better mean; '' without one."""
        if self.interval is None:
            return ""
        return self.method if self.metric.lead(self.interval.mean) > 0 else self.reference


class RaceTable(Table[CellFinished]):
    """The finished runs by method, fraction and rate; the best mean on validation examples is chosen."""

    def __init__(self, spec: RaceStudy, results: Sequence[CellFinished], test_examples: int) -> None:
        self.metric = spec.metric
        super().__init__(spec, results, partial(_badness, self.metric))
        self.spec: RaceStudy = spec
        self.test_examples = test_examples

    def finals(self, method: str, fraction: float, rate: float | None) -> dict[int, float]:
        """What the runs that did not diverge are judged by, by seed."""
        runs = self.runs(method, fraction, rate)
        return {seed: final for seed, run in runs.items() if (final := final_of(run, self.metric)) is not None}

    def curve(self, method: str) -> dict[int, list[float]]:
        """By seed the results at all fractions, each at the rate chosen there, of seeds that finished at all."""
        rates = {fraction: self.chosen.get((method, fraction)) for fraction in self.spec.all_fractions}
        points = [self.finals(method, fraction, rate) for fraction, rate in rates.items()]
        return {seed: [point[seed] for point in points] for seed in set(points[0]).intersection(*points)}

    def cell(self, method: str, fraction: float, rate: float) -> Cell:
        """One cell of the grid, which has runs."""
        runs = self.runs(method, fraction, rate)
        finals = list(self.finals(method, fraction, rate).values())
        interval = t_interval(finals)
        return Cell(
            method=method,
            fraction=fraction,
            rate=rate,
            examples=next(iter(runs.values())).examples,
            mean=interval.mean if interval else None,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            deviation=stdev(finals) if len(finals) > 1 else None,
            n=len(finals),
            diverged=sum(run.diverged for run in runs.values()),
            loss=_mean(run.loss for run in runs.values()),
            validation=_mean(validated(run, self.metric) for run in runs.values()),
            chosen=self.is_chosen((method, fraction, rate)),
        )

    def compare(self, protocol: str, fraction: float, rates: Mapping[str, float], pair: tuple[str, str]) -> Comparison:
        """`pair` is method and reference, each at its rate in `rates`; one without a rate has no runs."""
        method, reference = pair
        ours, theirs = (self.finals(name, fraction, rates.get(name)) for name in pair)
        differences = paired(ours, theirs)
        values = list(differences.values())
        trained = [(name, run) for name in pair for run in self.runs(name, fraction, rates.get(name)).values()]
        lost = [(name, run.rate, run.seed) for name, run in trained if run.diverged]
        return Comparison(
            protocol=protocol,
            fraction=fraction,
            method=method,
            reference=reference,
            rates=dict(rates),
            differences=differences,
            interval=t_interval(values),
            with_examples=self._with_examples(fraction, rates, pair, list(differences)),
            p=p_value(values) if len(values) >= SEEDS_FOR_A_VERDICT else None,
            verdict=verdict(values, method, reference, lost=lost_sentence(lost, len(trained)), metric=self.metric),
            measure=self.metric.noun,
        )

    def _with_examples(
        self, fraction: float, rates: Mapping[str, float], pair: tuple[str, str], seeds: Sequence[int]
    ) -> Interval | None:
        texts = [[self.runs(name, fraction, rates[name])[seed].answers for seed in seeds] for name in pair if seeds]
        if not texts or not all(all(told) for told in texts):
            return None
        ours, theirs = (np.array([unpack_answers(text, self.test_examples) for text in told]) for told in texts)
        return crossed_interval(ours, theirs)


def final_of(run: CellFinished, metric: Metric) -> float | None:
    """What a run is judged by; None of one that diverged."""
    return run.accuracy if metric.is_share else run.loss


def validated(run: CellFinished, metric: Metric) -> float | None:
    """The same on the examples held out."""
    return run.validation_accuracy if metric.is_share else run.validation_loss


def _badness(metric: Metric, runs: Sequence[CellFinished]) -> float:
    mean = _mean(validated(run, metric) for run in runs)
    return float("inf") if mean is None else -metric.lead(round(mean, DIGITS))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
