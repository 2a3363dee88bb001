"""A study of teachers and students as CSV and in words: a row a run, a row a cell, and what a student has come to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from replora.methods import PROJECTIONS
from replora.statistics.intervals import Interval
from replora.studies.events import StudentFinished, StudyEvent
from replora.studies.table import results_of, runs_csv
from replora.studies.teachers.summary import TeacherSummary, summarize_teacher
from replora.wording import count

CSV_NAMES = (
    *("student", "examples", "rate", "seed", "error", "validation_error"),
    *(f"{name}_{projection}" for name in ("delta_error", "angle") for projection in PROJECTIONS),
    "diverged",
)


def teacher_csv(events: Iterable[StudyEvent]) -> str:
    """One row a run, with a header; a diverged run has empty results and says so."""
    events = list(events)
    summary = summarize_teacher(events)
    chosen = {cell.key for cell in summary.cells if cell.chosen} if summary else set()
    return runs_csv(results_of(events, StudentFinished), chosen, CSV_NAMES, _row)


def _row(run: StudentFinished) -> list[Any]:
    nothing = ("",) * len(PROJECTIONS)
    found = [run.error, run.validation_error, *(run.delta_errors or nothing), *(run.angles or nothing)]
    return [*run.key, run.seed, *found, run.diverged]


def table_of(summary: TeacherSummary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, and the grid of students, examples and rates as text; errors are shares of what no adaptation has."""
    off_names = [f"{projection} off" for projection in PROJECTIONS]
    headings = ("student", "examples", "rate", "error", "95 % interval", *off_names, "angle")
    rows = []
    for cell in summary.cells:
        error, off = cell.error, cell.delta_errors
        row = (
            summary.spec.titles[cell.student],
            count(cell.examples),
            f"{cell.rate:g}",
            "diverged" if error is None else f"{error.mean:.3g}",
            "" if error is None or error.low is None else f"{error.low:.3g} to {error.high:.3g}",
            *(("",) * len(PROJECTIONS) if off is None else (f"{error_of:.2f}" for error_of in off)),
            "" if cell.angles is None else f"{sum(cell.angles) / len(cell.angles):.0f}°",
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
