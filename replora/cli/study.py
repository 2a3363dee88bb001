"""`python -m replora study`: grids of races, their statistics and a verdict. Options and help come from the specs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from replora.cli.engine import StudyEngine, chosen_engine, engine_options
from replora.cli.own_data import data_options, own_task
from replora.cli.spec_options import Command, flag_of, spec_option, unasked_kept
from replora.config import METHOD_TITLES, STUDENT_TITLES
from replora.options import UserError, default_of, kind_of, options
from replora.studies.events import CellFinished, StudentFinished, StudyEvent, StudyStarted
from replora.studies.events import Progress as ProgressTold
from replora.studies.kinds import KINDS, StudyKind
from replora.studies.lines import to_line
from replora.studies.spec import Study
from replora.studies.summary import Summary

TITLES = {**METHOD_TITLES, **STUDENT_TITLES}


def study_options(spec: type[Study]) -> Callable[[Command], Command]:
    """Adds an option for each field of a study, a plain flag for `tuned`, and where results go."""

    def add(command: Command) -> Command:
        command = click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")(command)
        command = engine_options(data_options(command))
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


def command_of(name: str, kind: StudyKind) -> click.Command:
    """The command of one kind of study."""

    @click.command(name, help=kind.title)
    @study_options(kind.spec)
    def command(
        engine: str, address: str, events_file: Path | None, csv_file: Path | None, as_json: bool, **values: Any
    ) -> None:
        run_study(kind, values, events_file, csv_file, as_json, chosen_engine(engine, address))

    return command


for name, kind in KINDS.items():
    study_command.add_command(command_of(name, kind))


def run_study(
    kind: StudyKind,
    values: dict[str, Any],
    events_file: Path | None,
    csv_file: Path | None,
    as_json: bool,
    engine: StudyEngine,
) -> None:
    """Run a study, write what is asked for, print its summary."""
    try:
        with contextlib.ExitStack() as stack:
            asked = stack.enter_context(own_task(values))
            spec = unasked_kept(kind.spec, asked)
            spec.check_memory()
            sink = stack.enter_context(events_file.open("w", encoding="utf-8", buffering=1)) if events_file else None
            table = stack.enter_context(csv_file.open("w", encoding="utf-8", newline="")) if csv_file else None
            events: list[StudyEvent] = []
            told = stack.enter_context(contextlib.closing(engine.events(spec)))
            for event in told if as_json else _watched(told, spec.count(), engine):
                events.append(event)
                if sink:
                    sink.write(to_line(event) + "\n")
            if table:
                table.write(kind.csv(events))
    except (UserError, OSError) as error:
        raise click.ClickException(str(error)) from error
    summary = kind.summarize(events)
    assert summary is not None  # a study that ends without an error has started
    if as_json:
        click.echo(json.dumps(summary.to_dict(), allow_nan=False))
        return
    console = Console(file=sys.stdout)
    console.print(grid_table(kind, summary))
    print_findings(summary, console)


def _watched(events: Iterable[StudyEvent], runs: int, engine: StudyEngine) -> Iterator[StudyEvent]:
    """Passes events on beside a progress bar; a diverged run is said as it is told."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar, done = progress.add_task("preparing", total=runs), 0
        engine.say = progress.console.print
        for event in events:
            if isinstance(event, StudyStarted):
                progress.update(bar, description=f"{event.batches} batch{'es' if event.batches > 1 else ''}")
            elif isinstance(event, ProgressTold):
                left = f"{event.seconds_left:.0f} s left"
                told = ", ".join(filter(None, (engine.progress, left)))
                progress.update(bar, completed=int(event.share * runs), description=told)
            elif isinstance(event, CellFinished | StudentFinished):
                done += 1
                progress.update(bar, completed=done)
                if event.diverged:
                    name = event.method if isinstance(event, CellFinished) else event.student
                    progress.console.print(f"{TITLES[name]} diverged at rate {event.rate:g}, seed {event.seed}")
            yield event


def grid_table(kind: StudyKind, summary: Summary[Any]) -> Table:
    """The whole grid."""
    spec = summary.spec
    title = f"{spec.task} on {summary.started.backbone}, {spec.steps_in_words} of {spec.batch_size}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    headings, rows = kind.table(summary)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def print_findings(summary: Summary[Any], console: Console) -> None:
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
