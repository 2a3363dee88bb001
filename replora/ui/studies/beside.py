"""One line below a live study's verdict: the recorded study's answer to the same question beside one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replora.methods import METHOD_TITLES, STUDENT_TITLES
from replora.statistics.intervals import COARSE
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, in_times, in_units
from replora.statistics.width import Width, width_of_difference, width_of_ratio
from replora.studies.races.summary import StudySummary
from replora.studies.spec import Study
from replora.studies.teachers.cells import ErrorRatio
from replora.studies.teachers.summary import TeacherSummary
from replora.ui.studies.state import SelectedStudy, unlike_recorded
from replora.wording import count, counted, listing


@dataclass(frozen=True)
class Beside:
    """One comparison, recorded and one's own. ahead: who is, in one's own study, where it says so."""

    place: str
    recorded: str
    own: Width
    ahead: str


def races_beside(own: StudySummary | None, recorded: SelectedStudy[StudySummary] | None) -> str:
    """With the least and the most data that both studies have; '' where there is nothing to put side by side."""
    if own is None or not own.finished or recorded is None or recorded.summary is None:
        return ""
    theirs = {each.fraction: each for each in recorded.summary.main_comparisons if each.interval}
    shared = [each for each in own.main_comparisons if each.interval and each.fraction in theirs]
    rows = []
    for found in dict.fromkeys((0, len(shared) - 1)) if shared else ():
        each = shared[found]
        place = f"with {own.spec.amount_in_words(each.fraction)}"
        width = width_of_difference(each.interval, place, in_units(each.interval, each.metric))
        told = in_units(theirs[each.fraction].interval, each.metric)
        rows.append(Beside(place, told, width, METHOD_TITLES[each.ahead]))
    return _line(own.spec, recorded.summary.spec, rows)


def students_beside(
    own: TeacherSummary | None, recorded: SelectedStudy[TeacherSummary] | None, student: str, examples: int
) -> str:
    """The ratio of one student's error to LoRA's with so many examples, where both studies have it."""
    if own is None or not own.finished or recorded is None or recorded.summary is None:
        return ""
    ours, theirs = (_ratio(each, student, examples) for each in (own, recorded.summary))
    if ours is None or theirs is None or ours.interval is None or theirs.interval is None:
        return ""
    place = f"{STUDENT_TITLES[student]} over {STUDENT_TITLES[ours.reference]} with {own.spec.amount_in_words(examples)}"
    lead = STUDENT_TITLES[student if ours.interval.mean < 1 else ours.reference]
    row = Beside(place, in_times(theirs.interval), width_of_ratio(ours.interval, place, in_times(ours.interval)), lead)
    return _line(own.spec, recorded.summary.spec, [row])


def _ratio(summary: TeacherSummary, student: str, examples: int) -> ErrorRatio | None:
    return next((each for each in summary.ratios if (each.student, each.examples) == (student, examples)), None)


def _line(own: Study, recorded: Study, rows: Sequence[Beside]) -> str:
    """'Recorded, 400 steps, 5 seeds: -3.3 ± 4.1 points with 1 % of the data; yours, 60 steps, 3 seeds: ...'."""
    if not rows:
        return ""
    others = unlike_recorded(recorded, own)
    other = f" with {listing(others)}" if others else ""
    told = ", ".join(f"{row.recorded} {row.place}" for row in rows)
    mine = ", ".join(f"{row.own.text}: {_word(row)}" for row in rows)
    return f"Recorded{other}, {_size(recorded)}: {told}; yours, {_size(own)}: {mine}."


def _size(spec: Study) -> str:
    return f"{count(spec.steps)} steps, {counted(len(spec.seeds), 'seed')}"


def _word(row: Beside) -> str:
    if row.own.seeds < SEEDS_FOR_A_VERDICT:
        return "an anecdote"
    if row.own.is_coarse:
        return "level" if abs(row.own.middle) < COARSE else "too coarse to tell"
    if row.own.excludes:
        return f"{row.ahead} is ahead"
    return "not distinguishable" if row.own.decides else "too wide to tell"
