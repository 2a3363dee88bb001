"""Students: a batch of runs that regress the features of their seeds' teachers, and what they have found in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from replora.backbones import Rows
from replora.methods import PROJECTIONS
from replora.studies.events import StudentFinished
from replora.studies.teachers.recovery import mean_angle, relative_error, sketches
from replora.studies.teachers.spec import Student
from replora.studies.teachers.teacher import Teachers, updates_of
from replora.tasks import Indices, batches_of_runs
from replora.training.stack import RunStack
from replora.training.steps import Steps, Tests, Told


class StudentBatch:
    """One batch of students, whose prefix the teachers have computed."""

    def __init__(self, teachers: Teachers, students: Sequence[Student]) -> None:
        self.teachers, self.students = teachers, students
        spec, self.pace = teachers.spec, teachers.pace
        self.stack = stack = RunStack(spec.training(), students, teachers.task, teachers.device)
        stack.optimize()
        seeds = [spec.seeds.index(each.seed) for each in students]
        self.seeds = torch.tensor(seeds, device=teachers.device)  # (students,)
        self.subsets = teachers.subsets[seeds]  # (students, examples)
        counts = [min(each.examples, self.subsets.shape[1]) for each in students]
        self.orders = batches_of_runs(counts, spec.batch_size, spec.steps, [each.seed for each in students])
        graphs, levels = self.pace.graphs(), len(spec.levels())
        self.steps = Steps(stack, teachers.train, self._losses, graphs)
        self.tests = {
            name: Tests(stack, cache, partial(self._distances, name), graphs, levels)
            for name, cache in teachers.held_out.items()
        }

    def events(self) -> Iterator[Told | StudentFinished]:
        """The steps, and at the end what each student has found."""
        spec, levels = self.teachers.spec, set(self.teachers.spec.levels())
        curves: list[list[tuple[int, float]]] = [[] for _ in self.students]
        done = 0
        while done < spec.steps:
            ends = [level for level in (*levels, spec.steps) if level > done]
            first, done = done, min(done + self.pace.block, *ends)
            yield from self.steps.take(first, np.stack([self._picks() for _ in range(first, done)]))
            if done in levels:
                for curve, error in zip(curves, self._errors("test"), strict=True):
                    if error is not None:
                        curve.append((done, error))
        validation = self._errors("validation")
        for place, (student, curve) in enumerate(zip(self.students, curves, strict=True)):
            yield self._finished(place, student, curve, validation[place])

    def _picks(self) -> Indices:
        """The next step's examples, (2, students, batch): their places in the training split, and in the subsets."""
        order = next(self.orders)
        return np.stack([np.take_along_axis(self.subsets, order, axis=1), order])

    def _losses(self, rows: Rows, picks: Tensor) -> Tensor:
        """Mean distance of each student on its batch, (students,)."""
        return self._distances("train", rows, picks[1]).mean(dim=1)

    def _distances(self, name: str, rows: Rows, places: Tensor) -> Tensor:
        """Distances (students, batch) of rows; places: which target each has, (students, batch) or one for all."""
        features = self.stack.features(rows)  # (students, batch, width)
        return self.teachers.distances(name, features, self.seeds, places.expand(len(self.students), -1))

    def _errors(self, name: str) -> list[float | None]:
        """Each student's error on a held-out split, relative to that of no adapter; None where it has diverged."""
        errors = self.tests[name].scores().mean(dim=1) / self.teachers.base_errors[name][self.seeds]
        return list(self.stack.known(errors))

    def _finished(
        self, place: int, student: Student, curve: list[tuple[int, float]], validation: float | None
    ) -> StudentFinished:
        facts = (student.name, student.examples, student.learning_rate, student.seed)
        if validation is None or self.stack.factors is None or not curve or curve[-1][0] != self.stack.spec.steps:
            return StudentFinished(*facts, None, None, None, None, tuple(curve), diverged=True)
        found, hidden = updates_of(self.stack.factors, place), self.teachers.hidden(int(self.seeds[place]))
        return StudentFinished(
            *facts,
            error=curve[-1][1],
            validation_error=validation,
            delta_errors=tuple(relative_error(found[name], hidden[name]) for name in PROJECTIONS),
            angles=tuple(mean_angle(found[name], hidden[name]) for name in PROJECTIONS),
            curve=tuple(curve),
            diverged=False,
            sketches=sketches(found) if student.seed == self.teachers.spec.seeds[0] else (),
        )
