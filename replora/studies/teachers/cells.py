"""What students come to, cell by cell of the grid, and each against LoRA, paired by seed. No torch.

Errors are positive and differ by factors, so means are geometric and differences are ratios.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from replora.statistics.intervals import Interval, geometric_interval, p_value
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, ratio_verdict
from replora.studies.events import Key, StudentFinished
from replora.studies.table import Table
from replora.studies.teachers.spec import TeacherStudy


@dataclass(frozen=True)
class StudentCell:
    """All seeds of one student, number of examples and rate.

    error: geometric mean over the `n` runs that finished and its 95 % interval, relative to no adaptation; `diverged`
    counts the others. delta_errors and angles: means, in the order of PROJECTIONS. curve: geometric mean error by step.
    chosen: this is the student's rate with so many examples.
    """

    student: str
    examples: int
    rate: float
    error: Interval | None
    validation: float | None
    delta_errors: tuple[float, ...] | None
    angles: tuple[float, ...] | None
    curve: tuple[tuple[int, float], ...]
    diverged: int
    chosen: bool

    @property
    def key(self) -> Key:
        """Student, examples and rate."""
        return self.student, self.examples, self.rate


@dataclass(frozen=True)
class ErrorRatio:
    """The error of a student over that of the reference with so many examples, by seed, each at its chosen rate.

    p: of the paired t test on logarithms, that both have equal errors; from three seeds on.
    """

    student: str
    reference: str
    examples: int
    rates: Mapping[str, float]
    ratios: Mapping[int, float]
    interval: Interval | None
    p: float | None
    verdict: str


class StudentTable(Table[StudentFinished]):
    """The finished students by examples and rate; the smallest geometric mean validation error is chosen."""

    def __init__(self, spec: TeacherStudy, results: Sequence[StudentFinished]) -> None:
        super().__init__(spec, results, _badness)

    def cell(self, student: str, examples: int, rate: float) -> StudentCell:
        """One cell of the grid, which has runs."""
        runs = self.runs(student, examples, rate)
        kept = [run for run in runs.values() if not run.diverged]
        steps = [step for step, _ in kept[0].curve] if kept else []
        means = [geometric_interval([dict(run.curve)[step] for run in kept]) for step in steps]
        return StudentCell(
            student=student,
            examples=examples,
            rate=rate,
            error=geometric_interval([run.error for run in kept if run.error is not None]),
            validation=_validation(kept),
            delta_errors=_means([run.delta_errors for run in kept if run.delta_errors]),
            angles=_means([run.angles for run in kept if run.angles]),
            curve=tuple((step, mean.mean) for step, mean in zip(steps, means, strict=True) if mean),
            diverged=len(runs) - len(kept),
            chosen=self.is_chosen((student, examples, rate)),
        )

    def ratio(self, student: str, reference: str, examples: int) -> ErrorRatio:
        """Both at their chosen rates, which there are."""
        rates = {name: self.chosen[name, examples] for name in (student, reference)}
        ours, theirs = (
            {seed: run.error for seed, run in self.runs(name, examples, rate).items() if run.error is not None}
            for name, rate in rates.items()
        )
        ratios = {seed: ours[seed] / theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}
        values, titles = list(ratios.values()), self.spec.titles
        return ErrorRatio(
            student=student,
            reference=reference,
            examples=examples,
            rates=rates,
            ratios=ratios,
            interval=geometric_interval(values),
            p=p_value([math.log(ratio) for ratio in values]) if len(values) >= SEEDS_FOR_A_VERDICT else None,
            verdict=ratio_verdict(values, titles[student], titles[reference]),
        )


def _badness(runs: Sequence[StudentFinished]) -> float:
    mean = _validation(runs)
    return float("inf") if mean is None else mean


def _validation(runs: Sequence[StudentFinished]) -> float | None:
    """Geometric mean of the validation errors that there are."""
    found = geometric_interval([run.validation_error for run in runs if run.validation_error is not None])
    return found.mean if found else None


def _means(rows: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    """Means by projection."""
    return tuple(fmean(values) for values in zip(*rows, strict=True)) if rows else None
