"""The kinds of studies: everything that is not the same for all of them, a record each. No torch.

A kind that is added to `KINDS` has its command, card, history, event lines and training by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from replora.options import SpecError
from replora.studies.base import Study
from replora.studies.events import StudyEvent
from replora.studies.races import summary as races
from replora.studies.races import text as races_text
from replora.studies.spec import DataStudy, RateStudy
from replora.studies.summary import Summary
from replora.studies.teachers import summary as teachers
from replora.studies.teachers import text as teachers_text
from replora.studies.teachers.spec import TeacherStudy

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


@dataclass(frozen=True)
class StudyKind:
    """One kind of study.

    spec: what it can be asked for; its `name` names the kind. title: in one sentence. summarize: of the events so far,
    None before the start. csv: one row a run. table: headings and cells of the grid. result: what one of those that are
    compared has come to, for a card. batches: 'module:class', which trains the runs and loads torch.
    """

    spec: type[Study]
    title: str
    summarize: Callable[[Iterable[StudyEvent]], Summary[Any] | None]
    csv: Callable[[Iterable[StudyEvent]], str]
    table: Callable[[Any], Rows]
    result: Callable[[Any, str], str]
    batches: str


def _of_races(spec: type[Study], title: str) -> StudyKind:
    return StudyKind(
        spec=spec,
        title=title,
        summarize=races.summarize_study,
        csv=races_text.study_csv,
        table=races_text.table_of,
        result=races_text.result_of,
        batches="replora.studies.races.batches:Races",
    )


KINDS: dict[str, StudyKind] = {
    "data": _of_races(DataStudy, "Accuracy against data fraction, and the data each method needs."),
    "rate": _of_races(RateStudy, "Accuracy against learning rate, and how wide the good rates are."),
    "teacher": StudyKind(
        spec=TeacherStudy,
        title="Students learn from a backbone with a hidden low-rank update; how near each comes.",
        summarize=teachers.summarize_teacher,
        csv=teachers_text.teacher_csv,
        table=teachers_text.table_of,
        result=teachers_text.result_of,
        batches="replora.studies.teachers.batches:Students",
    ),
}


def kind_of_study(spec: Study) -> StudyKind:
    """The kind of a study; `SpecError` where there is none of its name."""
    if spec.name not in KINDS:
        raise SpecError(f"study must be one of {', '.join(KINDS)}, got {type(spec).__name__}.")
    return KINDS[spec.name]


def study_from_dict(values: Mapping[str, Any]) -> Study:
    """The study of `study_to_dict`; `SpecError` where it is none."""
    name = values.get("study") if isinstance(values, Mapping) else None
    if not isinstance(name, str) or name not in KINDS:
        raise SpecError(f"study must name one of {', '.join(KINDS)}.")
    return KINDS[name].spec.from_dict({field: value for field, value in values.items() if field != "study"})
