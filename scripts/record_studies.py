"""Record the full-size studies that the study pages show before anything has run.

    python -m scripts.record_studies                     all, into assets/recorded
    python -m scripts.record_studies digits --output FOLDER

study_TASK.jsonl.gz: the whole grid of five fractions, seven rates and five seeds, tuned; what one rate for all gives,
and what a sweep at one fraction gives, are parts of it. teacher_WORLD.jsonl.gz: all students of a tied and of an untied
teacher, in float32, whose noise does not blur small errors. Each is a study of `python -m replora study`, by the
command that is printed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from replora.catalog import ASSETS, TASKS
from replora.event_lines import gzipped_lines
from replora.studies.kinds import kind_of_study
from replora.studies.lines import to_line
from replora.studies.spec import DataStudy, Study, TeacherStudy, command
from replora.studies.study import study
from replora.studies.teachers.spec import StudentName, Teacher

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SEEDS = (0, 1, 2, 3, 4)
TEACHERS: tuple[Teacher, ...] = ("tied", "untied")
STUDENTS: tuple[StudentName, ...] = ("lora", "lora_tied", "trunk", "tied", "separate")


def full_size() -> Iterator[tuple[str, Study]]:
    """The recorded studies by the name of their file."""
    for task in TASKS:
        yield (
            f"study_{task}",
            DataStudy(
                task=task,
                methods=("head", "lora", "replora"),
                seeds=SEEDS,
                fractions=(0.01, 0.03, 0.1, 0.3, 1.0),
                steps=400,
                batch_size=16,
                test_examples=1000,
                validation_examples=200,
                tuned=True,
                rates=RATES,
            ),
        )
    for teacher in TEACHERS:
        yield (
            f"teacher_{teacher}",
            TeacherStudy(
                teacher=teacher,
                adapted_blocks=3,
                seeds=SEEDS,
                steps=1000,
                batch_size=16,
                test_examples=500,
                precision="float32",
                students=STUDENTS,
                examples=(16, 64, 256),
                rates=(1e-3, 3e-3, 1e-2, 3e-2),
            ),
        )


def record(name: str, spec: Study, folder: Path) -> str:
    """Record one study; its verdict. The file is replaced once the study is whole."""
    events = []
    with gzipped_lines(folder / f"{name}.jsonl.gz") as sink:
        for event in study(spec):
            sink.write(to_line(event) + "\n")
            events.append(event)
    summary = kind_of_study(spec).summarize(events)
    assert summary is not None  # a study that ends without an error has started
    return f"{summary.seconds:.1f} s on {summary.started.device}. {summary.verdict}"


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=ASSETS / "recorded")
def main(names: tuple[str, ...], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, spec in full_size():
        if names and not any(each in name for each in names):
            continue
        click.echo(f"{command(spec)}  # {name}.jsonl.gz", color=False)
        begun = time.perf_counter()
        click.echo(f"{record(name, spec, output)} ({time.perf_counter() - begun:.1f} s in all)")


if __name__ == "__main__":
    main()
