"""`python -m replora study`: grids of races, their statistics and a verdict. Options and help come from the specs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from replora.cli.own_data import data_options, own_task
from replora.cli.spec_options import Command, flag_of, spec_option
from replora.config import METHOD_TITLES, STUDENT_TITLES
from replora.options import UserError, default_of, kind_of, options
from replora.studies.events import CellFinished, StudentFinished, StudyEvent, StudyStarted
from replora.studies.events import Progress as ProgressTold
from replora.studies.lines import to_line
from replora.studies.spec import STUDIES, DataStudy, RateStudy, Study, TeacherStudy

if TYPE_CHECKING:
    from replora.studies.summary import StudySummary
    from replora.studies.teacher_summary import TeacherSummary

TITLES = {**METHOD_TITLES, **STUDENT_TITLES}


def study_options(spec: type[Study]) -> Callable[[Command], Command]:
    """Adds an option for each field of a study, a plain flag for `tuned`, and where results go."""

    def add(command: Command) -> Command:
        command = click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")(command)
        command = data_options(command)
        for name, words in (("csv", "Write a row for each run."), ("events", "Write events as lines, a recording.")):
            file = click.Path(dir_okay=False, path_type=Path)
            command = click.option(f"--{name}", f"{name}_file", type=file, help=words)(command)
        for name, facts in reversed(options(spec).items()):
            flag = flag_of(name)
            if kind_of(spec, name) is bool:
                command = click.option(f"{flag}/--no-{flag[2:]}", name, default=default_of(spec, name),
                                       show_default=True, help=facts.help)(command)  # fmt: skip
            else:
                command = spec_option(spec, name)(command)
        return command

    return add


@click.group("study")
def study_command() -> None:
    """Many runs as one grid: how much data, which learning rate, can a known update be recovered."""


@study_command.command("data")
@study_options(DataStudy)
def data_command(events_file: Path | None, csv_file: Path | None, as_json: bool, **values: Any) -> None:
    """Accuracy against data fraction, and the data each method needs."""
    run_study("data", values, events_file, csv_file, as_json)


@study_command.command("rate")
@study_options(RateStudy)
def rate_command(events_file: Path | None, csv_file: Path | None, as_json: bool, **values: Any) -> None:
    """Accuracy against learning rate, and how wide the good rates are."""
    run_study("rate", values, events_file, csv_file, as_json)


@study_command.command("teacher")
@study_options(TeacherStudy)
def teacher_command(events_file: Path | None, csv_file: Path | None, as_json: bool, **values: Any) -> None:
    """Students learn from a backbone with a hidden low-rank update; how near each comes."""
    run_study("teacher", values, events_file, csv_file, as_json)


def run_study(
    name: str, values: dict[str, Any], events_file: Path | None, csv_file: Path | None, as_json: bool
) -> None:
    """Run a study, write what is asked for, print its summary."""
    from replora.studies.summary import csv_text, summarize_study
    from replora.studies.teacher_summary import TeacherSummary, summarize_teacher, teacher_csv

    try:
        with contextlib.ExitStack() as stack:
            spec = STUDIES[name](**stack.enter_context(own_task(values)))
            is_teacher = isinstance(spec, TeacherStudy)
            sink = stack.enter_context(events_file.open("w", encoding="utf-8", buffering=1)) if events_file else None
            table = stack.enter_context(csv_file.open("w", encoding="utf-8")) if csv_file else None
            from replora.studies.study import study

            events: list[StudyEvent] = []
            for event in study(spec) if as_json else _watched(study(spec), spec.count()):
                events.append(event)
                if sink:
                    sink.write(to_line(event) + "\n")
            if table:
                table.write(teacher_csv(events) if is_teacher else csv_text(events))
    except (UserError, OSError) as error:
        raise click.ClickException(str(error)) from error
    summary = summarize_teacher(events) if is_teacher else summarize_study(events)
    assert summary is not None  # a study that ends without an error has started
    if as_json:
        click.echo(json.dumps(summary.to_dict(), allow_nan=False))
        return
    console = Console(file=sys.stdout)
    console.print(students_table(summary) if isinstance(summary, TeacherSummary) else methods_table(summary))
    print_findings(summary, console)


def _watched(events: Iterable[StudyEvent], runs: int) -> Iterator[StudyEvent]:
    """Passes events on beside a progress bar; a diverged run is said as it is told."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar, done = progress.add_task("preparing", total=runs), 0
        for event in events:
            if isinstance(event, StudyStarted):
                progress.update(bar, description=f"{event.batches} batch{'es' if event.batches > 1 else ''}")
            elif isinstance(event, ProgressTold):
                left = f"{event.seconds_left:.0f} s left"
                progress.update(bar, completed=int(event.share * runs), description=left)
            elif isinstance(event, CellFinished | StudentFinished):
                done += 1
                progress.update(bar, completed=done)
                if event.diverged:
                    name = event.method if isinstance(event, CellFinished) else event.student
                    progress.console.print(f"{TITLES[name]} diverged at rate {event.rate:g}, seed {event.seed}")
            yield event


def methods_table(summary: StudySummary) -> Table:
    """The grid of methods, fractions and rates."""
    spec = summary.spec
    table = _table(summary, "method", "data", "rate", "accuracy", "95 % interval", "runs", "diverged", "validation", "")
    for cell in summary.cells:
        table.add_row(
            TITLES[cell.method],
            f"{100 * cell.fraction:g} %",
            f"{cell.rate:g}",
            "diverged" if cell.mean is None else f"{100 * cell.mean:.1f} %",
            "" if cell.low is None or cell.high is None else f"{100 * cell.low:.1f} to {100 * cell.high:.1f}",
            str(cell.n),
            str(cell.diverged or ""),
            "" if cell.validation is None else f"{100 * cell.validation:.1f} %",
            "chosen" if cell.chosen and spec.is_tuned else "",
        )
    return table


def students_table(summary: TeacherSummary) -> Table:
    """The grid of students, examples and rates; errors are shares of what no adaptation has."""
    names = ("student", "examples", "rate", "error", "95 % interval", "query off", "value off", "angle", "diverged", "")
    table = _table(summary, *names)
    for cell in summary.cells:
        error, off, angles = cell.error, cell.delta_errors, cell.angles
        table.add_row(
            TITLES[cell.student],
            f"{cell.examples:,}",
            f"{cell.rate:g}",
            "diverged" if error is None else f"{error.mean:.3g}",
            "" if error is None or error.low is None else f"{error.low:.3g} to {error.high:.3g}",
            *(("", "") if off is None else (f"{each:.2f}" for each in off)),
            "" if angles is None else f"{sum(angles) / 2:.0f}°",
            str(cell.diverged or ""),
            "chosen" if cell.chosen and summary.spec.is_tuned else "",
        )
    return table


def _table(summary: StudySummary | TeacherSummary, *headings: str) -> Table:
    spec = summary.spec
    title = f"{spec.task} on {summary.started.backbone}, {spec.steps} steps of {spec.batch_size}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def print_findings(summary: StudySummary | TeacherSummary, console: Console) -> None:
    """What is read off the grid, the fairness list, the verdict, and what it was measured on."""
    started = summary.started
    for method, region in getattr(summary, "good_regions", {}).items():
        least = "at least " if region.open_low or region.open_high else ""
        console.print(
            f"{TITLES[method]}: good from {region.low:.2g} to {region.high:.2g}, "
            f"{least}{region.decades:.1f} powers of ten."
        )
    for item in summary.fairness:
        console.print(f"{'yes' if item.met else ' no'}  {item.name}: {item.text}", highlight=False)
    console.print(summary.verdict)
    console.print(
        f"{summary.runs_done} runs in {summary.seconds:.1f} s, {summary.runs_per_second or 0:.2f} a second; "
        f"{started.device}, {started.threads} threads, {started.precision}."
    )
