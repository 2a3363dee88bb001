"""Students: a batch of runs that regress the features of their seeds' teachers, and what they have found in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from replora.events import Diverged, Step
from replora.methods import PROJECTIONS
from replora.studies.events import StudentFinished
from replora.studies.teachers.recovery import mean_angle, relative_error, sketches
from replora.studies.teachers.spec import Student
from replora.studies.teachers.teacher import Teachers, updates_of
from replora.tasks import Indices, batches_of_runs
from replora.training.cache import CHUNK
from replora.training.stack import RunStack


class StudentBatch:
    """One batch of students, whose prefix the teachers have computed."""

    def __init__(self, teachers: Teachers, students: Sequence[Student]) -> None:
        self.teachers, self.students = teachers, students
        spec = teachers.spec
        self.stack = RunStack(spec.training(), students, teachers.task, teachers.device)
        self.stack.optimize()
        device = teachers.device
        seeds = [spec.seeds.index(each.seed) for each in students]
        self.seeds = torch.tensor(seeds, device=device)  # (students,)
        self.subsets = teachers.subsets[seeds]  # (students, examples)
        counts = [min(each.examples, self.subsets.shape[1]) for each in students]
        self.orders = batches_of_runs(counts, spec.batch_size, spec.steps, [each.seed for each in students])

    def events(self) -> Iterator[Step | Diverged | StudentFinished]:
        """The steps, and at the end what each student has found."""
        spec, levels = self.teachers.spec, set(self.teachers.spec.levels())
        curves: list[list[tuple[int, float]]] = [[] for _ in self.students]
        for step in range(spec.steps):
            order = next(self.orders)
            yield from self.stack.step(step, lambda order=order: self._losses(order))  # type: ignore[misc]
            if step + 1 in levels:
                for curve, error in zip(curves, self._errors("test"), strict=True):
                    if error is not None:
                        curve.append((step + 1, error))
        validation = self._errors("validation")
        for place, (student, curve) in enumerate(zip(self.students, curves, strict=True)):
            yield self._finished(place, student, curve, validation[place])

    def _losses(self, order: Indices) -> Tensor:
        """Mean distance of each student on its batch, (students,); order: places in the subsets (students, batch)."""
        places = np.take_along_axis(self.subsets, order, axis=1).ravel()
        features = self.stack.features(self.teachers.train.take(places))  # (students, batch, width)
        chosen = torch.from_numpy(order).to(features.device)
        return self.teachers.distances("train", features, self.seeds, chosen).mean(dim=1)

    @torch.no_grad()
    def _errors(self, name: str) -> list[float | None]:
        """Each student's error on a held-out split, relative to that of no adapter; None where it has diverged."""
        teachers, runs = self.teachers, len(self.students)
        cache = teachers.held_out[name]
        sums = torch.zeros(runs, device=teachers.device)
        with self.stack.held():
            for places, rows in cache.chunks(max(1, 4 * CHUNK[teachers.device.type] // runs)):
                repeated = {key: values.repeat(runs, *[1] * (values.dim() - 1)) for key, values in rows.items()}
                features = self.stack.features(repeated)  # (students, chunk, width)
                chosen = torch.from_numpy(places).to(teachers.device).expand(runs, -1)
                sums += teachers.distances(name, features, self.seeds, chosen).sum(dim=1)
        return list(self.stack.known(sums / len(cache.split) / teachers.base_errors[name][self.seeds]))

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
