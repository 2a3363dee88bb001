"""Record the full-size studies that the study pages show before anything has run, on a GPU.

    python -m scripts.record_studies                     all that assets/recorded does not hold yet
    python -m scripts.record_studies --plan              what that is, with estimates; trains nothing
    python -m scripts.record_studies --part epochs       one part; or by name: digits, teacher_tied
    python -m scripts.record_studies --again             also those that are there

Parts: steps (study_TASK.jsonl.gz, the whole grid of five fractions, eight rates from 1e-5 and five seeds, ten of one
task, tuned: what one rate for all gives, and what a sweep at one fraction gives, are parts of it); epochs
(study_TASK_epochs, the same with equal epochs); loraplus, latent and parameters (against LoRA+, with a diagonal for a
latent, and against LoRA that trains as many parameters, three fractions of one task); teachers (teacher_WORLD: all
students of a tied and of an untied teacher, three sizes, in float32, whose noise does not blur small errors); and, only
where it is asked for, texts (study_CORPUS: texts to continue, which take the language model). Each is
a study of `python -m replora study`, by the command that is printed, and only what pages read is kept (`thinned`;
--thin makes older recordings so). Who stops it in between and starts it again loses the study under way.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from replora.catalog import ASSETS, CORPORA, TASKS, is_corpus
from replora.event_lines import EventError, gzipped_lines
from replora.options import default_of
from replora.studies.events import CellFinished, Progress, StudentFinished, StudyEvent, StudyFinished, started_of
from replora.studies.kinds import kind_of_study
from replora.studies.lines import read_study_events, to_line
from replora.studies.races.cells import Comparison
from replora.studies.races.summary import summarize_study
from replora.studies.spec import DataStudy, RaceStudy, Study, TeacherStudy, command
from replora.studies.study import study
from replora.studies.teachers.spec import StudentName, Teacher

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SEEDS = (0, 1, 2, 3, 4)
MANY_SEEDS = tuple(range(10))
CHECKED_TASK = "wordnet_topics"  # of ten seeds, and of the controls
LORA_PLUS = 16.0  # times A's rate, as its authors advise
EQUAL_RANK = 99  # of LoRA, which then trains as many parameters as RepLoRA of rank 4
TEXT_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
TEACHERS: tuple[Teacher, ...] = ("tied", "untied")
STUDENTS: tuple[StudentName, ...] = ("lora", "lora_tied", "trunk", "tied", "separate")
TEACHER_RATES = (2e-3, 4e-3, 1e-2, 2e-2)
TEACHER_SEEDS = (0, 1, 2, 3)  # of six rates and five seeds both worlds would take 23 minutes

# Measured on an H100: milliseconds of a step and run, and of a step however few runs it has.
RUN_STEP = {"auto": 0.23, "float32": 0.34}
LEAST_STEP = 45.0
TEXT_RUN_STEP = 6.0  # of all blocks of SmolLM2, guessed from its size
# Measured: bytes of a gzipped line, of which test examples a run has right, and of the factors that a student found.
LINE, ANSWERS, SKETCHES = 30, 105, 7800


@dataclass(frozen=True)
class Planned:
    """One recording: the name of its file and the study that it holds."""

    part: str
    name: str
    spec: Study

    @property
    def seconds(self) -> float:
        """What it takes on an H100, estimated."""
        spec, counts = self.spec, dict[int, int]()
        for amount in spec.all_amounts:
            steps = spec.steps_with(amount)
            counts[steps] = counts.get(steps, 0) + spec.count() // len(spec.all_amounts)
        each_run = TEXT_RUN_STEP if is_corpus(spec.task) else RUN_STEP[spec.precision]
        return sum(steps * max(LEAST_STEP, each_run * runs) for steps, runs in counts.items()) / 1000

    @property
    def kilobytes(self) -> float:
        """The size of its file, estimated."""
        spec = self.spec
        cells = len(spec.titles) * len(spec.all_amounts)
        if isinstance(spec, TeacherStudy):
            return (spec.count() * 3.5 * LINE + (1 + cells) * SKETCHES / 3) / 1000
        return (spec.count() * LINE + 2 * cells * len(spec.seeds) * ANSWERS) / 1000


def planned() -> Iterator[Planned]:
    """All recordings, in the order in which they are made."""
    for task in TASKS:
        yield Planned("steps", f"study_{task}", grid(task, seeds=MANY_SEEDS if task == CHECKED_TASK else SEEDS))
    for teacher in TEACHERS:
        yield Planned("teachers", f"teacher_{teacher}", teacher_study(teacher))
    for task in TASKS:
        yield Planned("epochs", f"study_{task}_epochs", dataclasses.replace(grid(task), equal="epochs"))
    control = dataclasses.replace(grid(CHECKED_TASK), methods=("lora", "replora"), fractions=(0.01, 0.1, 1.0))
    plus = dataclasses.replace(control, b_rate_ratio=LORA_PLUS)
    yield Planned("loraplus", f"study_{CHECKED_TASK}_loraplus", plus)
    yield Planned(
        "latent", f"study_{CHECKED_TASK}_latent", dataclasses.replace(control, latent="diagonal", mlp_depth=2)
    )
    as_many = dataclasses.replace(control, lora_rank=EQUAL_RANK)
    yield Planned("parameters", f"study_{CHECKED_TASK}_parameters", as_many)


def planned_texts() -> Iterator[Planned]:
    """Recordings that take the language model, made only where they are asked for."""
    for task in CORPORA:
        yield Planned("texts", f"study_{task}", texts(task))


def grid(task: str, seeds: Sequence[int] = SEEDS) -> DataStudy:
    """The whole grid of a task."""
    return DataStudy(
        task=task,
        methods=("head", "lora", "replora"),
        seeds=tuple(seeds),
        fractions=(0.01, 0.03, 0.1, 0.3, 1.0),
        steps=400,
        batch_size=16,
        test_examples=1000,
        validation_examples=200,
        tuned=True,
        rates=RATES,
    )


def texts(task: str) -> DataStudy:
    """The grid of a corpus, all blocks adapted: of few rates and seeds, for a step takes a model ten times as large."""
    return dataclasses.replace(
        DataStudy.on(task),
        adapted_blocks=30,
        seeds=(0, 1, 2),
        fractions=(0.01, 0.1, 1.0),
        steps=150,
        test_examples=200,
        validation_examples=100,
        tuned=True,
        rates=TEXT_RATES,
    )


def teacher_study(teacher: Teacher) -> TeacherStudy:
    """All students of one world, trained until the error is flat."""
    return TeacherStudy(
        teacher=teacher,
        adapted_blocks=3,
        seeds=TEACHER_SEEDS,
        steps=3000,
        batch_size=16,
        test_examples=500,
        precision="float32",
        students=STUDENTS,
        examples=(16, 64, 256),
        rates=TEACHER_RATES,
    )


def record(name: str, spec: Study, folder: Path) -> str:
    """Record one study; its verdict. The file is replaced once the study is whole."""
    events = list(study(spec))
    write(thinned(events), folder / f"{name}.jsonl.gz")
    summary = kind_of_study(spec).summarize(events)
    assert summary is not None  # a study that ends without an error has started
    return f"{summary.seconds:.1f} s on {summary.started.device}. {summary.verdict}"


def write(events: Sequence[StudyEvent], path: Path) -> None:
    """The file of these events, replaced once it is whole."""
    with gzipped_lines(path) as sink:
        sink.writelines(to_line(event) + "\n" for event in events)


def thinned(events: Sequence[StudyEvent]) -> list[StudyEvent]:
    """What pages read of a whole study; thinned again it is the same.

    Which examples are right stays told at the chosen rates and at the one rate that a form begins with, the factors
    that students found at the chosen rates; how far the study was is told by its end.
    """
    started = started_of(events)
    assert started is not None  # a whole study has a start
    summary = kind_of_study(started.spec).summarize(events)
    kept = {cell.key for cell in summary.cells if cell.chosen} if summary else set()
    one_rate = default_of(DataStudy, "learning_rate")
    found: list[StudyEvent] = []
    for event in events:
        if isinstance(event, CellFinished) and event.rate != one_rate and event.key not in kept:
            found.append(dataclasses.replace(event, answers=""))
        elif isinstance(event, StudentFinished) and event.key not in kept:
            found.append(dataclasses.replace(event, sketches=()))
        elif not isinstance(event, Progress):
            found.append(event)
    return found


def is_recorded(plan: Planned, folder: Path) -> bool:
    """Whether the folder holds this very study, whole, with all that its comparisons need."""
    try:
        events = read_study_events(folder / f"{plan.name}.jsonl.gz")
    except EventError:
        return False
    started = started_of(events)
    whole = started is not None and started.spec == plan.spec and isinstance(events[-1], StudyFinished)
    return whole and not untold(events)


def untold(events: Sequence[StudyEvent]) -> list[Comparison]:
    """The comparisons of a study of races that have an interval over seeds and none over seeds and test examples.

    Which examples are right is kept at the rates chosen when a study is recorded; where another rule chooses others
    later, it has to be recorded anew.
    """
    started = started_of(events)
    summary = summarize_study(events) if started and isinstance(started.spec, RaceStudy) else None
    told = summary.main_comparisons if summary else ()
    alone = [found for found in told if found.interval is not None and found.with_examples is None]
    return [found for found in alone if found.metric.is_share]  # of texts nobody tells which tokens are right


EVERY = (*planned(), *planned_texts())


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--part", "parts", multiple=True, type=click.Choice(list(dict.fromkeys(plan.part for plan in EVERY))))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=ASSETS / "recorded")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be recorded, and what it takes.")
@click.option("--again", is_flag=True, help="Also studies that the folder already holds.")
@click.option("--thin", is_flag=True, help="Train nothing: thin the recordings that are there.")
def main(
    names: tuple[str, ...], parts: tuple[str, ...], output: Path, only_plan: bool, again: bool, thin: bool
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    wanted = [
        plan
        for plan in ([*planned(), *planned_texts()] if names or parts else planned())
        if (not names or any(name in plan.name for name in names)) and (not parts or plan.part in parts)
    ]
    if thin:
        for path in (output / f"{plan.name}.jsonl.gz" for plan in wanted):
            if path.is_file():
                write(thinned(read_study_events(path)), path)
        return
    missing = [plan for plan in wanted if again or not is_recorded(plan, output)]
    for plan in missing:
        click.echo(
            f"{plan.name}: {plan.spec.count():,} runs of {plan.spec.steps_in_words}, about {plan.seconds:.0f} s on an "
            f"H100 and {plan.kilobytes:.0f} kB"
        )
    seconds, kilobytes = sum(each.seconds for each in missing), sum(each.kilobytes for each in missing)
    click.echo(f"In all about {seconds:.0f} s and {kilobytes:.0f} kB; {len(wanted) - len(missing)} are there already.")
    for plan in [] if only_plan else missing:
        click.echo(f"{command(plan.spec)}  # {plan.name}.jsonl.gz", color=False)
        begun = time.perf_counter()
        click.echo(f"{record(plan.name, plan.spec, output)} ({time.perf_counter() - begun:.1f} s in all)")


if __name__ == "__main__":
    main()
