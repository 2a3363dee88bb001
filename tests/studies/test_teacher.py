"""Teachers and students on the embedded text model, against merged models, single runs and known answers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from present import present

from replora.adapters.attach import attach_factors, find_attention, merge
from replora.backbones import load_backbone
from replora.cli import main
from replora.events import Diverged
from replora.jobs.kinds import job_function
from replora.options import SpecError
from replora.studies.events import Progress, StudentFinished, StudyFinished, StudyStarted, TeachersDrawn
from replora.studies.kinds import study_from_dict
from replora.studies.lines import from_line, to_line
from replora.studies.spec import TeacherStudy, study_to_dict
from replora.studies.study import study
from replora.studies.teachers.recovery import SHOWN
from replora.studies.teachers.students import StudentBatch
from replora.studies.teachers.summary import summarize_teacher
from replora.studies.teachers.teacher import Teachers, draw_updates, updates_of
from replora.studies.teachers.text import teacher_csv

CPU = torch.device("cpu")
QUICK = TeacherStudy(
    task="wordnet_topics",
    students=("lora", "lora_tied", "trunk", "tied", "separate"),
    examples=(8, 24),
    rates=(1e-3, 1e-2),
    seeds=(0, 1),
    steps=6,
    batch_size=4,
    adapted_blocks=1,
    mlp_width=8,
    test_examples=24,
    validation_examples=20,
    device="cpu",
    precision="float32",
)


@pytest.fixture(scope="module")
def teachers():
    return Teachers(QUICK, CPU)


@pytest.fixture(scope="module")
def events():
    return list(study(QUICK))


def students_of(events):
    return [each for each in events if isinstance(each, StudentFinished)]


@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_hidden_updates_have_the_rank_and_size_asked_for(kind):
    spec = dataclasses.replace(QUICK, teacher=kind, teacher_rank=3, teacher_size=0.2)
    backbone = load_backbone("minilm_l3")
    factors = draw_updates(spec, backbone)
    attention: Any = backbone.model.get_submodule(find_attention(backbone.model)[-1].path)
    norm = (attention.query.weight.norm() * attention.value.weight.norm()).sqrt().item()
    for seed in (0, 1):
        updates = updates_of(factors, seed)
        (query,), (value,) = (updates[name].delta_weights() for name in ("query", "value"))
        for matrix in (query, value):
            assert np.linalg.matrix_rank(matrix, tol=1e-6) == 3
            assert np.linalg.norm(matrix) == pytest.approx(0.2 * norm, rel=1e-5)
        assert np.array_equal(query, value) == (kind == "tied")


def test_a_seeds_teacher_is_the_same_in_whatever_company():
    backbone = load_backbone("minilm_l3")
    together = draw_updates(QUICK, backbone)
    alone = draw_updates(dataclasses.replace(QUICK, seeds=(1,)), backbone)
    assert torch.allclose(together.delta_weights(1)[0][0], alone.delta_weights(0)[0][0], atol=1e-7)
    assert not torch.allclose(together.delta_weights(0)[0][0], alone.delta_weights(0)[0][0], atol=1e-3)


def test_targets_are_the_features_of_the_backbone_with_the_hidden_update_merged(teachers):
    backbone = load_backbone("minilm_l3")
    adapted = attach_factors(backbone.model, draw_updates(QUICK, backbone), [2])
    for seed in (0, 1):
        plain = backbone.with_model(merge(adapted, run=seed))
        texts = [teachers.task.train.examples[place] for place in teachers.subsets[seed]]
        with torch.no_grad():
            expected = plain.features(plain.prefix(plain.encode(texts), 2), 2)
        assert torch.allclose(teachers.targets["train"][seed], expected, atol=2e-5)


def test_before_the_first_step_every_error_is_that_of_no_adaptation(teachers):
    lesson = StudentBatch(teachers, QUICK.runs()[:10])
    assert lesson._errors("test") == pytest.approx([1.0] * 10, abs=1e-5)
    assert all(each > 0 for each in teachers.base_errors["test"])


def test_a_student_that_has_the_hidden_update_makes_no_error(teachers):
    students = [each for each in QUICK.runs() if each.name == "lora_tied" and each.seed == 1][:1]
    lesson = StudentBatch(teachers, students)
    with torch.no_grad():
        factors: Any = present(lesson.stack.factors)
        own, hidden = factors.groups[0], teachers.factors
        own.a_query[0] = hidden.a_query[1]
        own.b_query[0] = hidden.b_query[1] * hidden.scaling[1] / own.scaling[0]
    assert present(lesson._errors("test")[0]) < 1e-8
    finished = lesson._finished(0, students[0], [(QUICK.steps, 0.0)], 0.0)
    assert finished.delta_errors == pytest.approx((0.0, 0.0), abs=1e-10)
    assert finished.angles == pytest.approx((0.0, 0.0), abs=0.1)


def test_smaller_sets_of_examples_are_contained_in_larger_ones(teachers):
    lesson = StudentBatch(teachers, [each for each in QUICK.runs() if each.name == "lora"])
    orders = np.stack(list(lesson.orders), axis=1)  # (students, steps, batch_size)
    for student, order in zip(lesson.students, orders, strict=True):
        assert set(order.ravel().tolist()) <= set(range(student.examples))
    assert len(set(teachers.subsets[0])) == 24


@pytest.mark.slow
def test_any_batch_of_students_learns_what_each_learns_alone(events):
    apart = list(study(QUICK, at_once=11))
    assert [each.student for each in students_of(apart)] == [each.student for each in students_of(events)]
    for ours, theirs in zip(students_of(apart), students_of(events), strict=True):
        assert ours.error == pytest.approx(theirs.error, rel=2e-3, abs=1e-5)
        assert ours.delta_errors == pytest.approx(theirs.delta_errors, rel=2e-3)


def test_events_come_in_order_once_and_survive_a_file(events):
    kinds = [type(each) for each in events if not isinstance(each, Progress)]
    assert kinds == [StudyStarted, TeachersDrawn, *[StudentFinished] * QUICK.count(), StudyFinished]
    assert [to_line(from_line(to_line(each))) for each in events] == [to_line(each) for each in events]
    assert from_line(to_line(students_of(events)[0])) == students_of(events)[0]
    sketched = {each.seed for each in students_of(events) if each.sketches}
    assert sketched == {0}
    assert np.array(students_of(events)[0].sketches[0].a_query).shape == (2, SHOWN)
    assert [step for step, _ in students_of(events)[0].curve] == list(QUICK.levels())


@pytest.mark.slow
def test_students_learn_and_tied_ones_have_one_update_for_query_and_value():
    spec = dataclasses.replace(QUICK, seeds=(0,), examples=(24,), rates=(1e-2,), steps=80)
    for each in students_of(study(spec)):
        assert each.error < 0.85
        errors, angles = each.delta_errors, each.angles
        assert (errors[0] == errors[1]) == (each.student in ("lora_tied", "tied"))
        assert all(0 < angle <= 90 for angle in angles)


@pytest.mark.slow
def test_a_student_that_diverges_says_so_and_harms_no_neighbour():
    spec = dataclasses.replace(QUICK, seeds=(0,), examples=(8,), rates=(1e-3, 1.0), students=("lora", "tied"), steps=12)
    found = {(each.student, each.rate): each for each in students_of(study(spec))}
    alone = {(each.student, each.rate): each for each in students_of(study(dataclasses.replace(spec, rates=(1e-3,))))}
    lost = [each for each in found.values() if each.diverged]
    assert lost
    assert all(each.rate == 1.0 and each.error is None and not each.sketches for each in lost)
    for key, each in alone.items():
        assert found[key].error == pytest.approx(each.error, rel=1e-3)
    summary = present(summarize_teacher([each for each in study(spec) if not isinstance(each, Diverged)]))
    assert summary.diverged == len(lost)
    assert "diverged" in summary.verdict


@pytest.mark.slow
def test_a_job_tells_the_same_lines(tmp_path):
    spec = dataclasses.replace(QUICK, students=("lora", "tied"), examples=(8,), rates=(1e-2,), steps=3)
    lines = list(job_function("study")(study_to_dict(spec), lambda: None, tmp_path))
    assert students_of(map(from_line, lines)) == students_of(study(spec))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"validation_examples": 4}, "validation_examples must be at least 16"),
        ({"teacher": "free"}, "teacher must be one of tied, untied"),
        ({"students": ("head",)}, "students must be one of lora, lora_tied, trunk, tied, separate"),
        ({"examples": (0,)}, "examples must be a whole number from 1"),
        ({"teacher_size": 0.0}, "teacher_size must be a number from 0.01 to 2"),
        ({"teacher_rank": 65}, "teacher_rank must be a whole number from 1 to 64"),
    ],
)
def test_a_bad_value_is_one_sentence(values, sentence):
    with pytest.raises(SpecError, match=sentence):
        dataclasses.replace(QUICK, **values)
    assert study_from_dict(study_to_dict(QUICK)) == QUICK


@pytest.mark.slow
def test_the_command_line_prints_one_object_and_writes_rows(tmp_path):
    table = tmp_path / "students.csv"
    arguments = ["study", "teacher", "--json", "--csv", str(table), "--task", "wordnet_topics", "--seeds", "0"]
    arguments += ["--steps", "3", "--examples", "8", "--rates", "0.001,0.01", "--adapted-blocks", "1"]
    arguments += ["--test-examples", "12", "--validation-examples", "16", "--students", "lora,tied", "--device", "cpu"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.output.strip().splitlines()[-1])
    assert found["study"] == "teacher"
    assert found["runs_done"] == 4
    assert {each["student"] for each in found["cells"]} == {"lora", "tied"}
    assert found["paired_ratios"][0]["reference"] == "lora"
    assert "an anecdote" in found["verdict"]
    rows = table.read_text(encoding="utf-8").splitlines()
    assert len(rows) == 5
    assert rows[0].startswith("student,examples,rate,seed,error")
    plain = CliRunner().invoke(main, [each for each in arguments if each != "--json"])
    assert "RepLoRA, tied" in plain.output


def test_more_examples_than_there_are_is_all_of_them():
    spec = dataclasses.replace(QUICK, examples=(100_000,), rates=(1e-3,), seeds=(0,), students=("lora",), steps=2)
    teachers = Teachers(dataclasses.replace(spec, examples=(30,)), CPU)
    assert teachers.subsets.shape == (1, 30)
    assert teacher_csv([]) == teacher_csv([]).splitlines()[0] + "\n"
