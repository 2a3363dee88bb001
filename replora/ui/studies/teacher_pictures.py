"""From the summary of teachers and students to what the page shows: cards, figures and heat maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replora.config import STUDENT_TITLES
from replora.figures.heatmaps import Column, Matrix
from replora.figures.studies.estimates import Estimate
from replora.figures.studies.teacher import Found, TeacherPicture
from replora.statistics.intervals import Interval
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT
from replora.studies.events import Sketch, StudentFinished
from replora.studies.spec import TeacherStudy
from replora.studies.teachers.summary import ErrorRatio, StudentCell, TeacherSummary
from replora.ui.parts.cards import BLANK, card, row_of
from replora.ui.studies.state import ShownStudy

ShownTeacherStudy = ShownStudy[TeacherSummary]

NO_BREAK = "\u00a0"
CARD_STYLES = {  # classes of the style sheet that go with the dashes of the curves
    "lora": "lora",
    "lora_tied": "lora dotted",
    "trunk": "replora",
    "tied": "replora dashed",
    "separate": "replora dotted",
}


def teacher_cards(spec: TeacherStudy, summary: TeacherSummary | None, examples: int) -> str:
    """A card a student: its error, what it is of LoRA's, how far its updates are off, its rate."""
    return row_of([_card(name, summary, examples) for name in spec.students], "study")


def _card(student: str, summary: TeacherSummary | None, examples: int) -> str:
    cell = summary.chosen(student, examples) if summary else None
    ratio = (
        next((r for r in summary.ratios if (r.student, r.examples) == (student, examples)), None) if summary else None
    )
    error = cell.error if cell else None
    value = BLANK if error is None else f"{_percent(error.mean)}<small> %</small>"
    if cell is not None and error is None:
        value = "<em>diverged</em>"
    notes = [
        _times(ratio.interval) if ratio and ratio.interval else "&nbsp;",
        f"update off by {_pair(cell.delta_errors, 100, ' %')}" if cell and cell.delta_errors else "&nbsp;",
        f"its spaces by {_pair(cell.angles, 1, '°')}" if cell and cell.angles else "&nbsp;",
        f"rate {cell.rate:g}" if cell else "&nbsp;",
    ]
    lost = sum(each.diverged for each in summary.cells if each.student == student) if summary else 0
    if lost and summary:
        runs = sum(
            (each.error.n if each.error else 0) + each.diverged for each in summary.cells if each.student == student
        )
        notes.append(f"<b>{lost} of {runs} runs diverged</b>")
    title = f'<i class="swatch"></i>{STUDENT_TITLES[student]}'
    return card(CARD_STYLES[student], title, value, "test error", notes)


def _percent(share: float) -> str:
    """Two digits at least: '12.3', '2.0', '0.52'."""
    return f"{100 * share:.1f}" if share >= 0.01 else f"{100 * share:.2f}"


def _times(found: Interval) -> str:
    """'0.61 × LoRA's [0.57, 0.65]', the interval from three seeds on."""
    lead = f"{found.mean:.2f} \u00d7 LoRA's"
    if found.low is None or found.high is None or found.n < SEEDS_FOR_A_VERDICT:
        return lead
    return f"{lead} [{found.low:.2f}, {found.high:.2f}]"


def _pair(pair: tuple[float, float], times: float, unit: str) -> str:
    """'61 %', or of query and value where they differ: '272 and 85 %'."""
    query, value = (f"{times * each:.0f}" for each in pair)
    unit = unit.replace(" ", NO_BREAK)
    return f"{query}{unit}" if query == value else f"{query} and{NO_BREAK}{value}{unit}"


def teacher_picture(shown: ShownTeacherStudy, examples: int) -> TeacherPicture:
    """What the figures show; `examples`: the number that steps and found updates are shown for."""
    spec, summary = shown.spec, shown.summary
    assert isinstance(spec, TeacherStudy)
    by_rate = len(spec.examples) == 1
    x = spec.rates if by_rate else [float(each) for each in spec.examples]
    common = {
        "by_rate": by_rate,
        "counts": spec.examples,
        "examples": examples,
        "recorded": shown.recorded,
        "message": shown.standing.message,
    }
    levels = spec.levels()
    if summary is None:
        return TeacherPicture(x, step_range=(levels[0], levels[-1]), **common)  # type: ignore[arg-type]
    cells = {name: [each for each in summary.cells if each.student == name] for name in spec.students}
    chosen = {name: each for name in spec.students if (each := summary.chosen(name, examples))}
    return TeacherPicture(
        x,
        error={
            name: [_estimate(each, by_rate) for each in own if by_rate or each.chosen] for name, own in cells.items()
        },
        ratios={
            name: [_ratio(each) for each in summary.ratios if each.student == name]
            for name in spec.students
            if name != "lora"
        },
        steps={name: each.curve for name, each in chosen.items()},
        step_range=(levels[0], levels[-1]),
        found={
            name: Found(each.delta_errors, each.angles)
            for name, each in chosen.items()
            if each.delta_errors and each.angles
        },
        **common,  # type: ignore[arg-type]
    )


def _estimate(cell: StudentCell, by_rate: bool) -> Estimate:
    """An interval from three seeds on, as in the verdict."""
    x, found = cell.rate if by_rate else float(cell.examples), cell.error
    if found is None:
        return Estimate(x, diverged=cell.diverged)
    low, high = (found.low, found.high) if found.n >= SEEDS_FOR_A_VERDICT else (None, None)
    return Estimate(x, found.mean, low, high, found.n, cell.diverged)


def _ratio(found: ErrorRatio) -> Estimate:
    """With the single seeds; an interval from three of them on."""
    x, interval = float(found.examples), found.interval
    if interval is None:
        return Estimate(x)
    low, high = (interval.low, interval.high) if interval.n >= SEEDS_FOR_A_VERDICT else (None, None)
    return Estimate(x, interval.mean, low, high, interval.n, seeds=found.ratios)


def sketched_layers(summary: TeacherSummary) -> int:
    """How many adapted layers there are to look at."""
    return len(summary.teachers.sketches) if summary.teachers else 0


def heatmap_columns(shown: ShownTeacherStudy, examples: int, layer: int) -> list[Column]:
    """The hidden update of one layer, and what the first seed's students have made of it at their chosen rates."""
    spec, summary = shown.spec, shown.summary
    assert isinstance(spec, TeacherStudy)
    if summary is None or summary.teachers is None:
        return []
    seed = summary.teachers.seed
    found = {
        (each.student, each.rate): each
        for each in shown.events
        if isinstance(each, StudentFinished) and each.seed == seed and each.examples == examples and each.sketches
    }
    columns = [Column("Hidden update", f"teacher of seed {seed}", _matrices(summary.teachers.sketches[layer]))]
    for student in spec.students:
        cell = summary.chosen(student, examples)
        own = found.get((student, cell.rate)) if cell else None
        if own is not None and own.delta_errors and own.angles:
            note = f"all layers off by {_pair(own.delta_errors, 100, ' %')}"
            series = CARD_STYLES[student]
            columns.append(Column(STUDENT_TITLES[student], note, _matrices(own.sketches[layer]), series))
    return columns


def _matrices(sketch: Sketch) -> list[tuple[str, Matrix]]:
    return [
        ("query", _product(sketch.b_query, sketch.a_query)),
        ("value", _product(sketch.b_value, sketch.a_value)),
    ]


def _product(b: Sequence[Sequence[float]], a: Sequence[Sequence[float]]) -> Matrix:
    product: Matrix = np.array(b) @ np.array(a)
    return product
