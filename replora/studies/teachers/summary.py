"""A study of teachers and students in numbers and in a sentence: pure functions of its events. No torch.

Errors are positive and differ by factors, so means are geometric and differences are ratios, paired by seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from replora.csv_text import csv_text
from replora.statistics.intervals import Interval, geometric_interval
from replora.statistics.verdict import lost_sentence, ratio_verdict
from replora.studies.events import (
    Progress,
    StudentFinished,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    TeachersDrawn,
    started_of,
)
from replora.studies.fairness import FairnessItem, fairness
from replora.studies.spec import TeacherStudy, study_to_dict

Key = tuple[str, int, float]  # student, examples, rate

CSV_NAMES = (
    *("student", "examples", "rate", "seed", "error", "validation_error"),
    *("delta_error_query", "delta_error_value", "angle_query", "angle_value", "diverged", "chosen_rate"),
)


@dataclass(frozen=True)
class StudentCell:
    """All seeds of one student, number of examples and rate.

    error: geometric mean over the `n` runs that finished and its 95 % interval, relative to no adaptation; `diverged`
    counts the others. delta_errors and angles: means for query and value. curve: geometric mean error by step.
    chosen: this is the student's rate with so many examples.
    """

    student: str
    examples: int
    rate: float
    error: Interval | None
    validation: float | None
    delta_errors: tuple[float, float] | None
    angles: tuple[float, float] | None
    curve: tuple[tuple[int, float], ...]
    diverged: int
    chosen: bool


@dataclass(frozen=True)
class ErrorRatio:
    """The error of a student over that of LoRA with so many examples, by seed, each at its chosen rate."""

    student: str
    reference: str
    examples: int
    rates: Mapping[str, float]
    ratios: Mapping[int, float]
    interval: Interval | None
    verdict: str


@dataclass(frozen=True)
class TeacherSummary:
    """A whole study so far."""

    spec: TeacherStudy
    started: StudyStarted
    teachers: TeachersDrawn | None
    runs_done: int
    diverged: int
    finished: bool
    seconds: float
    runs_per_second: float | None
    cells: tuple[StudentCell, ...]
    ratios: tuple[ErrorRatio, ...]
    fairness: tuple[FairnessItem, ...]
    verdict: str

    def chosen(self, student: str, examples: int) -> StudentCell | None:
        """The cell of a student at its chosen rate; None before any run is done."""
        return next((c for c in self.cells if c.chosen and (c.student, c.examples) == (student, examples)), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        spec, started = self.spec, self.started
        return {
            "study": spec.name,
            "task": spec.task,
            "teacher": spec.teacher,
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
            "base_errors": dict(self.teachers.base_errors) if self.teachers else {},
            "grid": {
                "students": list(spec.students),
                "examples": list(spec.examples),
                "rates": list(spec.rates),
                "seeds": list(spec.seeds),
            },
            "runs": started.runs,
            "runs_done": self.runs_done,
            "diverged": self.diverged,
            "finished": self.finished,
            "cells": [dataclasses.asdict(each) for each in self.cells],
            "paired_ratios": [
                {**dataclasses.asdict(each), "ratios": {str(seed): value for seed, value in each.ratios.items()}}
                for each in self.ratios
            ],
            "fairness": [dataclasses.asdict(each) for each in self.fairness],
            "verdict": self.verdict,
            "seconds": self.seconds,
            "runs_per_second": self.runs_per_second,
        }


def summarize_teacher(events: Iterable[StudyEvent]) -> TeacherSummary | None:
    """The summary of the events so far; None before the study has started."""
    events = list(events)
    started = started_of(events)
    if started is None:
        return None
    spec = started.spec
    if not isinstance(spec, TeacherStudy):
        raise TypeError(f"A study of {spec.name} has a summary of its own.")
    done = [each for each in events if isinstance(each, StudentFinished)]
    found: dict[Key, dict[int, StudentFinished]] = {}
    for each in done:
        found.setdefault((each.student, each.examples, each.rate), {})[each.seed] = each
    chosen: dict[tuple[str, float], float] = {
        (student, examples): rate
        for student in spec.students
        for examples in spec.examples
        if (rate := _choose(spec, found, student, examples)) is not None
    }
    cells = tuple(
        _cell(key, runs, chosen.get(key[:2]) == key[2])
        for examples in spec.examples
        for student in spec.students
        for rate in spec.rates
        if (runs := found.get(key := (student, examples, rate)))
    )
    ratios = tuple(
        _ratio(spec, found, chosen, student, examples)
        for examples in spec.examples
        for student in spec.students
        if student != "lora" and {("lora", examples), (student, examples)} <= set(chosen)
    )
    clock = next((each for each in reversed(events) if isinstance(each, Progress | StudyFinished)), None)
    seconds = clock.seconds if clock else 0.0
    trials: dict[str, list[tuple[float, float, int]]] = {}
    for each in done:
        trials.setdefault(each.student, []).append((each.examples, each.rate, each.seed))
    lost = [(spec.titles.get(each.student, each.student), each.rate, each.seed) for each in done if each.diverged]
    return TeacherSummary(
        spec=spec,
        started=started,
        teachers=next((each for each in events if isinstance(each, TeachersDrawn)), None),
        runs_done=len(done),
        diverged=len(lost),
        finished=isinstance(events[-1], StudyFinished),
        seconds=seconds,
        runs_per_second=len(done) / seconds if done and seconds > 0 else None,
        cells=cells,
        ratios=ratios,
        fairness=fairness(spec, chosen, trials, started.methods),
        verdict=_verdict(spec, ratios, lost, len(done), started.runs),
    )


def teacher_csv(events: Iterable[StudyEvent]) -> str:
    """One row a run, with a header; a diverged run has empty results and says so."""
    events = list(events)
    summary = summarize_teacher(events)
    chosen = {(each.student, each.examples, each.rate) for each in summary.cells if each.chosen} if summary else set()
    rows: list[list[Any]] = []
    for each in events:
        if isinstance(each, StudentFinished):
            nothing = ("", "")
            values = [each.error, each.validation_error, *(each.delta_errors or nothing), *(each.angles or nothing)]
            facts = [each.diverged, (each.student, each.examples, each.rate) in chosen]
            rows.append([each.student, each.examples, each.rate, each.seed, *values, *facts])
    return csv_text(CSV_NAMES, rows)


def table_of(summary: TeacherSummary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, and the grid of students, examples and rates as text; errors are shares of what no adaptation has."""
    headings = ("student", "examples", "rate", "error", "95 % interval", "query off", "value off", "angle")
    rows = []
    for cell in summary.cells:
        error, off = cell.error, cell.delta_errors
        row = (
            summary.spec.titles[cell.student],
            f"{cell.examples:,}",
            f"{cell.rate:g}",
            "diverged" if error is None else f"{error.mean:.3g}",
            "" if error is None or error.low is None else f"{error.low:.3g} to {error.high:.3g}",
            *(("", "") if off is None else (f"{each:.2f}" for each in off)),
            "" if cell.angles is None else f"{sum(cell.angles) / 2:.0f}°",
            str(cell.diverged or ""),
            "chosen" if cell.chosen and summary.spec.is_tuned else "",
        )
        rows.append(row)
    return (*headings, "diverged", ""), rows


def result_of(summary: TeacherSummary, student: str) -> str:
    """A student's error with each number of examples, at the rate that was chosen there."""
    return "error as a share of that without adapter: " + "; ".join(
        f"{summary.spec.amount_in_words(cell.examples)}: {_error(cell.error)}"
        for cell in summary.cells
        if cell.chosen and cell.student == student
    )


def _error(error: Interval | None) -> str:
    if error is None:
        return "diverged"
    spread = "" if error.low is None or error.high is None else f" [{error.low:.3g}, {error.high:.3g}]"
    return f"{error.mean:.3g}{spread}"


def _choose(
    spec: TeacherStudy, found: Mapping[Key, Mapping[int, StudentFinished]], student: str, examples: int
) -> float | None:
    """The rate with the smallest geometric mean validation error; one where a run diverged only if all others did too.

    Of equal rates the smaller; None before any run is done.
    """
    scores = []
    for rate in spec.rates:
        runs = list(found.get((student, examples, rate), {}).values())
        known = [each.validation_error for each in runs if each.validation_error is not None]
        if runs:
            mean = geometric_interval(known)
            scores.append((any(each.diverged for each in runs), mean.mean if mean else float("inf"), rate))
    return min(scores)[2] if scores else None


def _cell(key: Key, runs: Mapping[int, StudentFinished], chosen: bool) -> StudentCell:
    kept = [each for each in runs.values() if not each.diverged]
    validation = geometric_interval([each.validation_error for each in kept if each.validation_error is not None])
    steps = [step for step, _ in kept[0].curve] if kept else []
    means = [geometric_interval([dict(each.curve)[step] for each in kept]) for step in steps]
    return StudentCell(
        student=key[0],
        examples=key[1],
        rate=key[2],
        error=geometric_interval([each.error for each in kept if each.error is not None]),
        validation=validation.mean if validation else None,
        delta_errors=_means([each.delta_errors for each in kept if each.delta_errors]),
        angles=_means([each.angles for each in kept if each.angles]),
        curve=tuple((step, mean.mean) for step, mean in zip(steps, means, strict=True) if mean),
        diverged=len(runs) - len(kept),
        chosen=chosen,
    )


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    return (fmean(query for query, _ in pairs), fmean(value for _, value in pairs)) if pairs else None


def _ratio(
    spec: TeacherStudy,
    found: Mapping[Key, Mapping[int, StudentFinished]],
    chosen: Mapping[tuple[str, float], float],
    student: str,
    examples: int,
) -> ErrorRatio:
    rates = {name: chosen[name, examples] for name in (student, "lora")}
    ours, theirs = (
        {seed: run.error for seed, run in found[name, examples, rate].items() if run.error is not None}
        for name, rate in rates.items()
    )
    ratios = {seed: ours[seed] / theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}
    values = list(ratios.values())
    return ErrorRatio(
        student=student,
        reference="lora",
        examples=examples,
        rates=rates,
        ratios=ratios,
        interval=geometric_interval(values),
        verdict=ratio_verdict(values, spec.titles[student], spec.titles["lora"]),
    )


def _verdict(
    spec: TeacherStudy, ratios: Sequence[ErrorRatio], lost: Sequence[tuple[str, float, int]], done: int, runs: int
) -> str:
    """The sentences of a study: every student against LoRA, with the fewest examples and the most; diverged runs."""
    parts = [f"After {done} of {runs} runs."] if done < runs else []
    how = "rates tuned for each" if spec.is_tuned else f"one rate, {spec.rates[0]:g}"
    for examples in dict.fromkeys((spec.examples[0], spec.examples[-1])):
        own = [each for each in ratios if each.examples == examples]
        if own:
            parts.append(f"Teacher {spec.teacher}, {spec.amount_in_words(examples)}, {how}:")
            parts += [each.verdict for each in own]
    if not ratios:
        parts.append("There is no pair of LoRA and another student to compare.")
    parts += [said] if (said := lost_sentence(lost, done)) else []
    return " ".join(parts)
