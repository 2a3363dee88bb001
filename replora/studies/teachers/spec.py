"""Teacher and student: can a hidden low-rank update be recovered? The spec of the study. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from replora.config import STUDENT_TITLES, Activation, Method, Training, labelled_task, method_of
from replora.methods import STUDENTS
from replora.methods import StudentName as StudentName
from replora.options import SpecError, option, options, same_as
from replora.studies.base import Study, in_batches
from replora.wording import counted

Teacher = Literal["tied", "untied"]

LEAST_VALIDATION = 16  # examples; the scale of the features is taken from them
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # shares of the steps at which the error is measured


@dataclass(frozen=True, kw_only=True)
class Student:
    """One run: who learns, from how many examples, with which seed and peak learning rate."""

    name: StudentName
    method: Method
    examples: int
    seed: int
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class TeacherStudy(Study):
    """Students regress the features of a teacher: the same backbone plus a hidden low-rank update of query and value.

    Each seed has a teacher of its own. Errors are relative to those of the backbone without any adapter.
    """

    name = "teacher"
    compares = "students"

    task: str = labelled_task("fashion")
    steps: int = dataclasses.field(default=100, metadata=same_as(Training, "steps").metadata)
    batch_size: int = dataclasses.field(default=16, metadata=same_as(Training, "batch_size").metadata)
    adapted_blocks: int = dataclasses.field(default=1, metadata=same_as(Training, "adapted_blocks").metadata)
    rank: int = dataclasses.field(default=2, metadata=same_as(Method, "rank").metadata)
    alpha: float = dataclasses.field(default=2.0, metadata=same_as(Method, "alpha").metadata)
    activation: Activation = dataclasses.field(default="gelu", metadata=same_as(Method, "activation").metadata)
    teacher: Teacher = option(
        "tied", "Teacher", "tied: one hidden update for query and value. untied: one for each, drawn apart."
    )
    teacher_rank: int = option(2, "Teacher's rank", "Rank of the hidden updates.", low=1, high=64, marks=(1, 2, 4, 8))
    teacher_size: float = option(
        0.1,
        "Teacher's size",
        "Norm of a hidden update, as a share of the norm of the weights it is added to.",
        low=0.01,
        high=2.0,
        marks=(0.1, 0.2, 0.3, 0.5, 1.0),
    )
    students: tuple[StudentName, ...] = option(
        ("lora", "trunk", "tied"),
        "Students",
        "LoRA; LoRA with one A and B for query and value; RepLoRA with a trunk of two heads; tied; separate.",
    )
    examples: tuple[int, ...] = option(
        (64,), "Examples", "How many inputs the students see, each set contained in the next.", low=1, high=100_000
    )
    rates: tuple[float, ...] = option(
        (1e-3, 3e-3, 1e-2, 3e-2),
        "Learning rates",
        "The grid that each student's rate is chosen from.",
        low=1e-7,
        high=1.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_examples < LEAST_VALIDATION:
            raise SpecError(
                f"validation_examples must be at least {LEAST_VALIDATION} for the features' scale, "
                f"got {self.validation_examples}."
            )

    @property
    def titles(self) -> Mapping[str, str]:
        return {name: STUDENT_TITLES[name] for name in self.students}

    @property
    def is_tuned(self) -> bool:
        return len(self.rates) > 1

    @property
    def all_rates(self) -> tuple[float, ...]:
        return self.rates

    @property
    def all_amounts(self) -> tuple[float, ...]:
        return self.examples

    def amount_in_words(self, amount: float) -> str:
        return counted(round(amount), "example")

    @property
    def all_methods(self) -> tuple[Method, ...]:
        return tuple(self.method(name) for name in self.students)

    def used_examples(self, examples: int) -> int:
        return len(self.seeds) * max(self.examples)

    def count(self) -> int:
        return len(self.seeds) * len(self.examples) * len(self.rates) * len(self.students)

    def method(self, name: StudentName) -> Method:
        """How the factors of a student arise."""
        student = STUDENTS[name]
        return dataclasses.replace(method_of(self, student.method), sharing=student.sharing)

    def runs(self) -> tuple[Student, ...]:
        """The whole grid, seed after seed, so that what is finished early is already paired."""
        return tuple(
            Student(name=name, method=self.method(name), examples=examples, seed=seed, learning_rate=rate)
            for seed in self.seeds
            for examples in self.examples
            for rate in self.rates
            for name in self.students
        )

    def batches(self, at_once: int) -> list[Sequence[Student]]:
        return in_batches(self.runs(), at_once)

    def training(self) -> Training:
        """What all students have in common, for the engine."""
        return Training(**{name: getattr(self, name) for name in options(Training) if hasattr(self, name)})

    def levels(self) -> tuple[int, ...]:
        """The steps after which errors are measured, the last one included."""
        return tuple(sorted({max(1, round(level * self.steps)) for level in LEVELS}))
