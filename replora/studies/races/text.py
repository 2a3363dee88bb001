"""A grid of races as CSV and in words: a row a run, a row a cell, and what a method has come to. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from replora.config import METHOD_TITLES
from replora.studies.events import CellFinished, StudyEvent
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.table import results_of, runs_csv


def study_csv(events: Iterable[StudyEvent]) -> str:
    """One row a run, with a header; a diverged run has empty results and says so."""
    events = list(events)
    summary = summarize_study(events)
    chosen = {cell.key for cell in summary.cells if cell.chosen} if summary else set()
    names = [field.name for field in dataclasses.fields(CellFinished) if field.name != "answers"]
    return runs_csv(results_of(events, CellFinished), chosen, names, lambda run: [getattr(run, name) for name in names])


def table_of(summary: StudySummary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, and the grid of methods, fractions and rates as text."""
    metric = summary.spec.metric
    headings = ("method", "data", "rate", metric.heading, "95 % interval", "runs", "diverged", "validation", "")
    rows: list[tuple[str, ...]] = [
        (
            METHOD_TITLES[cell.method],
            f"{100 * cell.fraction:g} %",
            f"{cell.rate:g}",
            metric.number(cell.mean),
            "" if cell.low is None or cell.high is None else metric.ends(cell.low, cell.high),
            str(cell.n),
            str(cell.diverged or ""),
            "" if cell.validation is None else metric.number(cell.validation),
            "chosen" if cell.chosen and summary.spec.is_tuned else "",
        )
        for cell in summary.cells
    ]
    return headings, rows


def result_of(summary: StudySummary, method: str) -> str:
    """A method's result at each amount of data, at the rate that was chosen there."""
    return "; ".join(
        f"{summary.spec.amount_in_words(cell.fraction)}: "
        + summary.spec.metric.value(cell.mean)
        + f" at rate {cell.rate:g}"
        for cell in summary.cells
        if cell.chosen and cell.method == method
    )
