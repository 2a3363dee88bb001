"""Summaries of teachers and students by hand: what is chosen, compared and said."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math

import pytest
from present import present
from scipy import stats

from replora.event_lines import EventError
from replora.statistics.intervals import geometric_interval, t_interval
from replora.statistics.verdict import ratio_verdict
from replora.studies.events import MethodSizes, Progress, StudentFinished, StudyFinished, StudyStarted
from replora.studies.fairness import fix
from replora.studies.lines import from_line, to_line
from replora.studies.spec import DataStudy, TeacherStudy
from replora.studies.teachers.summary import summarize_teacher
from replora.studies.teachers.text import teacher_csv

SPEC = TeacherStudy(students=("lora", "tied"), examples=(16, 64), rates=(1e-3, 3e-3, 1e-2), seeds=(0, 1, 2))
ERRORS: dict[str, dict[float, float | None]] = {
    "lora": {1e-3: 0.2, 3e-3: 0.1, 1e-2: 0.4},
    "tied": {1e-3: 0.06, 3e-3: 0.05, 1e-2: None},
}


def told(spec=SPEC, finished=True, only=lambda student: True):
    sizes = tuple(MethodSizes(name, 100, 10) for name in spec.students)
    yield StudyStarted(spec, spec.count(), 1, sizes, 20, "dinov2_small_6", "CPU", "float32", 2, {"replora": "0"})
    done = 0
    for each in filter(only, spec.runs()):
        error = ERRORS[each.name].get(each.learning_rate, 0.3)
        error = None if error is None else error * (1 + 0.1 * each.seed) * 16 / each.examples
        found = (error, error, None if error is None else (0.5, 1.5), None if error is None else (30.0, 60.0))
        curve = () if error is None else ((50, 1.0), (100, error))
        done += 1
        yield StudentFinished(each.name, each.examples, each.learning_rate, each.seed, *found, curve, error is None)
    yield Progress(done, spec.count(), done / spec.count(), 9.0, 0.0)
    if finished:
        yield StudyFinished(9.0)


def test_each_student_is_compared_with_lora_at_its_own_best_rate():
    summary = present(summarize_teacher(told()))
    assert {(each.student, each.rate) for each in summary.cells if each.chosen} == {("lora", 3e-3), ("tied", 3e-3)}
    assert [(each.student, each.examples) for each in summary.ratios] == [("tied", 16), ("tied", 64)]
    assert list(summary.ratios[0].ratios.values()) == pytest.approx([0.5] * 3)
    assert present(summary.ratios[0].interval).mean == pytest.approx(0.5)
    cell = present(summary.chosen("lora", 64))
    assert present(cell.error).mean == pytest.approx(0.025 * (1 * 1.1 * 1.2) ** (1 / 3))
    assert cell.curve[0] == (50, 1.0)
    assert cell.delta_errors == (0.5, 1.5)
    assert summary.diverged == 6
    assert summary.verdict.startswith("Teacher tied, 16 examples, rates tuned for each: The error of RepLoRA, tied is")
    assert "6 of 36 runs diverged and are not counted: RepLoRA, tied at rate 0.01 (seeds 0, 1, 2)." in summary.verdict
    assert [item.name for item in summary.fairness if not item.met] == ["interval narrow enough to decide"]
    assert summary.to_dict()["paired_ratios"][0]["ratios"]["1"] == pytest.approx(0.5)


def test_ratios_are_told_singly_and_corrected_for_how_many_there_are():
    spread = {("tied", 16): 1.071, ("tied", 64): 1.083}  # p = 0.03 and 0.04
    spec = dataclasses.replace(SPEC, rates=(3e-3,))

    def uneven(event):
        if not isinstance(event, StudentFinished) or event.student == "lora":
            return event
        factor = 0.8 * spread[event.student, event.examples] ** (event.seed - 1)
        return dataclasses.replace(event, error=factor * (1 + 0.1 * event.seed) * 0.1 * 16 / event.examples)

    summary = present(summarize_teacher(map(uneven, told(spec))))
    for ratio in summary.ratios:
        logs = [math.log(each) for each in ratio.ratios.values()]
        assert ratio.p == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    said = "Of 2 ratios looked at, 2 exclude 1, each by itself; corrected for so many (Holm), none do."
    assert said in summary.verdict
    assert "ratios looked at" not in present(summarize_teacher(told(dataclasses.replace(spec, examples=(16,))))).verdict
    assert "ratios looked at" not in present(summarize_teacher(told(dataclasses.replace(spec, seeds=(0, 1))))).verdict


def test_a_study_that_is_not_finished_says_how_far_it_is():
    summary = present(summarize_teacher(told(finished=False, only=lambda each: each.seed == 0)))
    assert summary.verdict.startswith("After 12 of 36 runs.")
    assert "over one seed: an anecdote" in summary.verdict
    assert not summary.finished
    assert summarize_teacher([]) is None


def test_a_best_rate_at_the_end_of_the_grid_asks_for_a_wider_one():
    narrow = TeacherStudy(students=("lora", "tied"), rates=(3e-3, 1e-2), seeds=(0, 1, 2))
    inside = next(
        item for item in present(summarize_teacher(told(narrow))).fairness if item.name.startswith("best rate")
    )
    assert not inside.met
    assert fix(narrow, inside).rates == (9e-4, 3e-3, 1e-2)
    single = TeacherStudy(students=("lora", "tied"), rates=(3e-3,), seeds=(0,))
    items = {item.name: item for item in present(summarize_teacher(told(single))).fairness}
    assert not items["rates tuned per method"].met
    assert len(fix(single, items["rates tuned per method"]).rates) > 1
    assert fix(single, items["at least 3 seeds"]).seeds == (0, 1, 2)


def test_geometric_means_are_students_on_logarithms():
    values = [0.4, 0.5, 0.9, 1.4]
    found, logs = present(geometric_interval(values)), present(t_interval([math.log(each) for each in values]))
    assert found.mean == pytest.approx(math.exp(logs.mean))
    assert (found.low, found.high) == pytest.approx((math.exp(present(logs.low)), math.exp(present(logs.high))))
    assert geometric_interval([]) is None
    assert present(geometric_interval([2.0])).low is None


@pytest.mark.parametrize(
    ("ratios", "end"),
    [
        ([0.5, 0.6, 0.55], "over 3 paired seeds: A is ahead."),
        ([1.5, 1.6, 1.55], "over 3 paired seeds: B is ahead."),
        ([0.5, 1.6, 1.0], "over 3 paired seeds: not distinguishable."),
        ([0.5, 0.5, 0.5], "0.50 times that of B on each of 3 paired seeds."),
        ([0.5], "over one seed: an anecdote, not a finding."),
        ([], "There is no pair of runs of A and B to compare."),
    ],
)
def test_the_sentence_claims_what_the_ratios_allow(ratios, end):
    assert ratio_verdict(ratios, "A", "B").endswith(end)


def test_the_table_has_a_row_a_run_and_names_the_diverged():
    rows = list(csv.DictReader(io.StringIO(teacher_csv(told()))))
    assert len(rows) == 36
    lost = [row for row in rows if row["diverged"] == "true"]
    assert len(lost) == 6
    assert all(row["error"] == "" and row["angle_value"] == "" for row in lost)
    assert sum(row["chosen_rate"] == "true" for row in rows) == 12


def test_another_study_has_another_summary():
    spec = DataStudy()
    started = StudyStarted(spec, 1, 1, (), 1, "minilm_l3", "CPU", "float32", 2, {})
    with pytest.raises(TypeError, match="A TeacherStudy is needed, got a DataStudy"):
        summarize_teacher([started])


@pytest.mark.parametrize("field", ["delta_errors", "angles"])
def test_a_line_that_leaves_a_projection_out_is_refused(field):
    done = next(event for event in told() if isinstance(event, StudentFinished))
    assert from_line(to_line(done)) == done
    short = json.loads(to_line(done)) | {field: [0.5]}
    with pytest.raises(EventError, match=f"{field} must hold 2 numbers, got 1"):
        from_line(json.dumps(short))
