"""A study of teachers and students in numbers and in a sentence: pure functions of its events. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from replora.methods import ABLATION, STUDENT_REFERENCE, STUDENT_TITLES
from replora.statistics.looks import looked_at
from replora.statistics.verdict import in_times
from replora.statistics.width import Width, width_of_ratio
from replora.studies.base import of_kind
from replora.studies.events import StudentFinished, StudyEvent, TeachersDrawn, started_of
from replora.studies.fairness import fairness
from replora.studies.summary import Summary, reached, whole_verdict
from replora.studies.table import results_of
from replora.studies.teachers.cells import ErrorRatio, StudentCell, StudentTable
from replora.studies.teachers.spec import TeacherStudy


@dataclass(frozen=True, kw_only=True)
class TeacherSummary(Summary[TeacherStudy]):
    """A whole study of teachers and students so far; `teachers`: None before they are drawn.

    ratios: of each student to LoRA. ablations: of RepLoRA to LoRA, both tied, which is what the MLPs do.
    """

    teachers: TeachersDrawn | None
    cells: tuple[StudentCell, ...]
    ratios: tuple[ErrorRatio, ...]
    ablations: tuple[ErrorRatio, ...]

    def chosen(self, student: str, examples: int) -> StudentCell | None:
        """The cell of a student at its chosen rate; None before any run is done."""
        own = (cell for cell in self.cells if cell.chosen)
        return next((cell for cell in own if (cell.student, cell.examples) == (student, examples)), None)

    def found(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "teacher": spec.teacher,
            "base_errors": dict(self.teachers.base_errors) if self.teachers else {},
            "grid": {
                "students": list(spec.students),
                "examples": list(spec.examples),
                "rates": list(spec.rates),
                "seeds": list(spec.seeds),
            },
            "cells": [dataclasses.asdict(cell) for cell in self.cells],
            "paired_ratios": [
                {**dataclasses.asdict(found), "ratios": {str(seed): ratio for seed, ratio in found.ratios.items()}}
                for found in (*self.ratios, *self.ablations)
            ],
        }


def summarize_teacher(events: Iterable[StudyEvent]) -> TeacherSummary | None:
    """The summary of the events so far; None before the study has started."""
    events = list(events)
    started = started_of(events)
    if started is None:
        return None
    spec = of_kind(started.spec, TeacherStudy)
    done = results_of(events, StudentFinished)
    so_far = reached(events, started, done)
    table = StudentTable(spec, done)
    cells = tuple(
        table.cell(student, examples, rate)
        for examples in spec.examples
        for student in spec.students
        for rate in spec.rates
        if table.runs(student, examples, rate)
    )
    against_lora = [(student, STUDENT_REFERENCE) for student in spec.students if student != STUDENT_REFERENCE]
    ratios, ablations = _ratios(spec, table, against_lora), _ratios(spec, table, [ABLATION])
    return TeacherSummary(
        **vars(so_far),
        spec=spec,
        teachers=next((event for event in events if isinstance(event, TeachersDrawn)), None),
        cells=cells,
        ratios=ratios,
        ablations=ablations,
        fairness=fairness(spec, table.chosen, table.trials(), started.methods, _widths(spec, ratios)),
        verdict=whole_verdict(so_far, _sentences(spec, (*ratios, *ablations)), done),
    )


def _ratios(spec: TeacherStudy, table: StudentTable, pairs: Sequence[tuple[str, str]]) -> tuple[ErrorRatio, ...]:
    """Of each pair with each number of examples, where both have a chosen rate."""
    return tuple(
        table.ratio(student, reference, examples)
        for examples in spec.examples
        for student, reference in pairs
        if {(reference, examples), (student, examples)} <= set(table.chosen)
    )


def _widths(spec: TeacherStudy, ratios: Sequence[ErrorRatio]) -> list[Width]:
    return [
        width_of_ratio(
            found.interval,
            f"{STUDENT_TITLES[found.student]} with {spec.amount_in_words(found.examples)}",
            in_times(found.interval),
        )
        for found in ratios
    ]


def _sentences(spec: TeacherStudy, ratios: Sequence[ErrorRatio]) -> list[str]:
    """What was found, with the fewest examples and the most: every student against LoRA, and the ablation."""
    said = []
    how = "rates tuned for each" if spec.is_tuned else f"one rate, {spec.rates[0]:g}"
    for examples in dict.fromkeys((spec.examples[0], spec.examples[-1])):
        own = [ratio.verdict for ratio in ratios if ratio.examples == examples]
        if own:
            said += [f"Teacher {spec.teacher}, {spec.amount_in_words(examples)}, {how}:", *own]
    said += filter(None, [looked_at([ratio.p for ratio in ratios if ratio.p is not None], "ratios", "1")])
    return said or [f"There is no pair of {STUDENT_TITLES[STUDENT_REFERENCE]} and another student to compare."]
