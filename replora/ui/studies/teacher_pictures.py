"""From the summary of teachers and students to what the page shows: cards, figures and heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from replora.figures.heatmaps import Column, Matrix
from replora.figures.studies.estimates import Curves, Estimate
from replora.figures.studies.teacher import PlottedTeacherStudy
from replora.methods import METHODS, PROJECTIONS, STUDENT_REFERENCE, STUDENT_TITLES, STUDENTS
from replora.statistics.intervals import Interval
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT
from replora.studies.base import of_kind
from replora.studies.events import Sketch, StudentFinished
from replora.studies.spec import TeacherStudy
from replora.studies.teachers.cells import ErrorRatio, StudentCell
from replora.studies.teachers.summary import TeacherSummary
from replora.ui.parts.cards import BLANK, card, row_of
from replora.ui.studies.state import ShownStudy

ERROR = "Test error: of what no adaptation has, so 100 % has learnt nothing."
OFF = (
    "Update off by, of query and value or of both alike: the norm of what the found update and the teacher's "
    "differ in, over the norm of the teacher's. 100 % is no better than no update."
)
ShownTeacherStudy = ShownStudy[TeacherSummary]

NO_BREAK = "\u00a0"
DASH_CLASSES = {(2, 3): "dotted", (8, 4): "dashed"}  # of the style sheet


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
        f"update off by {_by_projection(cell.delta_errors, 100, ' %')}" if cell and cell.delta_errors else "&nbsp;",
    ]
    lost = sum(each.diverged for each in summary.cells if each.student == student) if summary else 0
    if lost and summary:
        runs = sum(
            (other.error.n if other.error else 0) + other.diverged
            for other in summary.cells
            if other.student == student
        )
        notes.append(f"<b>{lost} of {runs} runs diverged</b>")
    title = f'<i class="swatch"></i>{STUDENT_TITLES[student]}'
    about = [ERROR, OFF]
    if cell and cell.angles:
        about.append(f"The spaces of query and value are off by {_by_projection(cell.angles, 1, '°')}.")
    about += [f"Learning rate, chosen by validation: {cell.rate:g}."] if cell else []
    return card(_card_style(student), title, value, "test error", notes, about=" ".join(about))


def _card_style(student: str) -> str:
    """The style sheet's classes of a card: its method, and its dash where that is not the method's own."""
    facts = STUDENTS[student]
    own = facts.style != METHODS[facts.method].style
    return f"{facts.method} {DASH_CLASSES[facts.style.dash]}" if own else facts.method


def _percent(share: float) -> str:
    """Two digits at least: '12.3', '2.0', '0.52'."""
    return f"{100 * share:.1f}" if share >= 0.01 else f"{100 * share:.2f}"


def _times(found: Interval) -> str:
    """'0.61 × LoRA's [0.57, 0.65]', the interval from three seeds on."""
    lead = f"{found.mean:.2f} \u00d7 LoRA's"
    return f"{lead} [{found.low:.2f}, {found.high:.2f}]" if _has_interval(found) else lead


def _has_interval(found: Interval) -> bool:
    """Whether there is one to show: from three seeds on, that are not all equal."""
    return found.half_width is not None and not found.is_coarse and found.n >= SEEDS_FOR_A_VERDICT


def _by_projection(values: Sequence[float], times: float, unit: str) -> str:
    """'61 %', or of query and value where they differ: '272 and 85 %'."""
    texts = [f"{times * value:.0f}" for value in values]
    shown = texts[:1] if len(set(texts)) == 1 else texts
    return f" and{NO_BREAK}".join(shown) + unit.replace(" ", NO_BREAK)


def plotted_teacher_study(shown: ShownTeacherStudy, examples: int) -> PlottedTeacherStudy:
    """What the figures show; `examples`: the number that steps and found updates are shown for."""
    spec, summary = of_kind(shown.spec, TeacherStudy), shown.summary
    by_rate = len(spec.examples) == 1
    levels = spec.levels()
    plotted = partial(
        PlottedTeacherStudy,
        spec.rates if by_rate else [float(each) for each in spec.examples],
        by_rate=by_rate,
        counts=spec.examples,
        examples=examples,
        step_range=(levels[0], levels[-1]),
        grey=_errors(shown.beside.summary, spec, by_rate) if shown.beside else {},
        grey_ratios=_ratios(shown.beside.summary, spec) if shown.beside else {},
        recorded=shown.recorded,
        message=shown.standing.message,
    )
    if summary is None:
        return plotted()
    chosen = {name: each for name in spec.students if (each := summary.chosen(name, examples))}
    return plotted(
        error=_errors(summary, spec, by_rate),
        ratios=_ratios(summary, spec),
        steps={name: each.curve for name, each in chosen.items()},
        found={name: cell for name, cell in chosen.items() if cell.delta_errors and cell.angles},
    )


def _errors(summary: TeacherSummary | None, spec: TeacherStudy, by_rate: bool) -> Curves:
    """Of a study's students, each against the rate, with the examples of `spec`, or at its own against the examples."""
    cells = [each for each in summary.cells if not by_rate or each.examples in spec.examples] if summary else []
    return {
        name: [_estimate(each, by_rate) for each in cells if each.student == name and (by_rate or each.chosen)]
        for name in spec.students
    }


def _ratios(summary: TeacherSummary | None, spec: TeacherStudy) -> Curves:
    """Of a study's students to LoRA, by examples."""
    ratios = summary.ratios if summary else ()
    return {
        name: [_ratio(each) for each in ratios if each.student == name and each.examples in spec.examples]
        for name in spec.students
        if name != STUDENT_REFERENCE
    }


def _estimate(cell: StudentCell, by_rate: bool) -> Estimate:
    """An interval from three seeds on, as in the verdict."""
    x, found = cell.rate if by_rate else float(cell.examples), cell.error
    if found is None:
        return Estimate(x, diverged=cell.diverged)
    low, high = (found.low, found.high) if _has_interval(found) else (None, None)
    return Estimate(x, found.mean, low, high, found.n, cell.diverged)


def _ratio(found: ErrorRatio) -> Estimate:
    """With the single seeds; an interval from three of them on."""
    x, interval = float(found.examples), found.interval
    if interval is None:
        return Estimate(x)
    low, high = (interval.low, interval.high) if _has_interval(interval) else (None, None)
    return Estimate(x, interval.mean, low, high, interval.n, seeds=found.ratios)


def sketched_layers(summary: TeacherSummary) -> int:
    """How many adapted layers there are to look at."""
    return len(summary.teachers.sketches) if summary.teachers else 0


def heatmap_columns(shown: ShownTeacherStudy, examples: int, layer: int) -> list[Column]:
    """The hidden update of one layer, and what the first seed's students have made of it at their chosen rates."""
    spec, summary = of_kind(shown.spec, TeacherStudy), shown.summary
    if summary is None or summary.teachers is None:
        return []
    seed = summary.teachers.seed
    found = {
        (event.student, event.rate): event
        for event in shown.events
        if isinstance(event, StudentFinished) and event.seed == seed and event.examples == examples and event.sketches
    }
    columns = [Column("Hidden update", f"teacher of seed {seed}", _matrices(summary.teachers.sketches[layer]))]
    for student in spec.students:
        cell = summary.chosen(student, examples)
        own = found.get((student, cell.rate)) if cell else None
        if own is not None and own.delta_errors and own.angles:
            note = f"all layers off by {_by_projection(own.delta_errors, 100, ' %')}"
            series = _card_style(student)
            columns.append(Column(STUDENT_TITLES[student], note, _matrices(own.sketches[layer]), series))
    return columns


def _matrices(sketch: Sketch) -> list[tuple[str, Matrix]]:
    """b a of each projection."""
    factors = {projection: sketch.factors(projection) for projection in PROJECTIONS}
    return [(projection, np.array(b) @ np.array(a)) for projection, (a, b) in factors.items()]
