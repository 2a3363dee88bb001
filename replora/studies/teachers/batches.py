"""A study of teachers and students as batches of students of the same teachers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from replora.events import Step
from replora.studies.batches import BatchFacts, Told
from replora.studies.events import MethodSizes, StudentFinished
from replora.studies.teachers.spec import Student, TeacherStudy
from replora.studies.teachers.students import StudentBatch
from replora.studies.teachers.teacher import Teachers
from replora.training.device import device_name, repeatable, versions


class Students:
    """Students of the same teachers, batch by batch."""

    def __init__(self, spec: TeacherStudy, device: torch.device, folder: Path | None) -> None:
        self.spec, self.device = spec, device
        self.runs = spec.runs()
        self.teachers: Teachers | None = None

    def batches(self, at_once: int) -> list[Sequence[Student]]:
        return self.spec.batches(at_once)

    def steps_of(self, runs: Sequence[Student]) -> int:
        return self.spec.steps_of(runs)

    def train(self, runs: Sequence[Student]) -> Iterator[Told]:
        with repeatable(self.device):
            if self.teachers is None:
                self.teachers = Teachers(self.spec, self.device)
            batch = StudentBatch(self.teachers, runs)
            yield self._begun(batch, len(self.teachers.test.split))
            yield self.teachers.drawn()
            for event in batch.events():
                if isinstance(event, Step | StudentFinished):  # the student's result says whether it diverged
                    yield event

    def _begun(self, batch: StudentBatch, test_examples: int) -> BatchFacts:
        sizes = {
            student.name: MethodSizes(student.name, *batch.stack.adapter_sizes(place))
            for place, student in enumerate(batch.students)
        }
        return BatchFacts(
            methods=tuple(sizes.values()),
            test_examples=test_examples,
            backbone=batch.stack.backbone.name,
            device=device_name(self.device),
            precision=str(batch.stack.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            versions=versions(),
        )
