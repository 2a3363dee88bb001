"""`python -m replora study`: grids of races, their statistics and a verdict. Options and help come from the specs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from replora.config import METHOD_TITLES, SpecError, UserError, format_value, kind_of, options, parse_value
from replora.studies.events import CellFinished, StudyEvent, StudyStarted, to_line
from replora.studies.events import Progress as ProgressTold
from replora.studies.spec import STUDIES, DataStudy, RateStudy, Study

if TYPE_CHECKING:
    from replora.studies.summary import StudySummary

Command = TypeVar("Command", bound=Callable[..., Any])


class StudyValue(click.ParamType[Any]):
    """A value of a study's field, parsed and checked as everywhere else."""

    def __init__(self, spec: type[Study], field: str) -> None:
        self.field = field
        self.kind = kind_of(spec, field)
        self.facts = options(spec)[field]
        self.many = get_origin(self.kind) is tuple
        self.item = get_args(self.kind)[0] if self.many else self.kind
        self.name = {int: "integer", float: "number", bool: "boolean"}.get(self.item, "text")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_value(self.field, value, self.kind, self.facts)
        except SpecError as error:
            self.fail(str(error), param, ctx)


def study_options(spec: type[Study]) -> Callable[[Command], Command]:
    """Adds an option for each field of a study, a plain flag for `tuned`, and where results go."""
    default = spec()

    def add(command: Command) -> Command:
        command = click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")(command)
        for name, words in (("csv", "Write a row for each run."), ("events", "Write events as lines, a recording.")):
            file = click.Path(dir_okay=False, path_type=Path)
            command = click.option(f"--{name}", f"{name}_file", type=file, help=words)(command)
        for name, facts in reversed(options(spec).items()):
            value = StudyValue(spec, name)
            flag = f"--{name.replace('_', '-')}"
            if value.kind is bool:
                command = click.option(f"{flag}/--no-{flag[2:]}", name, default=getattr(default, name),
                                       show_default=True, help=facts.help)(command)  # fmt: skip
                continue
            many = "comma-separated, each " if value.many else ""
            command = click.option(
                flag,
                *facts.flags,
                name,
                type=value,
                default=format_value(getattr(default, name)),
                show_default=True,
                metavar=value.name.upper(),
                help=f"{facts.help} [{many}{facts.allowed(value.item)}]",
            )(command)
        return command

    return add


@click.group("study")
def study_command() -> None:
    """Many races as one grid: how much data, which learning rate."""


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


def run_study(
    name: str, values: dict[str, Any], events_file: Path | None, csv_file: Path | None, as_json: bool
) -> None:
    """Run a study, write what is asked for, print its summary."""
    from replora.studies.summary import csv_text, summarize_study

    try:
        spec = STUDIES[name](**values)
        with contextlib.ExitStack() as stack:
            sink = stack.enter_context(events_file.open("w", encoding="utf-8", buffering=1)) if events_file else None
            table = stack.enter_context(csv_file.open("w", encoding="utf-8")) if csv_file else None
            from replora.studies.study import study

            events: list[StudyEvent] = []
            for event in study(spec) if as_json else _watched(study(spec), len(spec.runs())):
                events.append(event)
                if sink:
                    sink.write(to_line(event) + "\n")
            if table:
                table.write(csv_text(events))
    except (UserError, OSError) as error:
        raise click.ClickException(str(error)) from error
    summary = summarize_study(events)
    assert summary is not None  # a study that ends without an error has started
    if as_json:
        click.echo(json.dumps(summary.to_dict(), allow_nan=False))
    else:
        print_study(summary, Console(file=sys.stdout))


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
            elif isinstance(event, CellFinished):
                done += 1
                progress.update(bar, completed=done)
                if event.diverged:
                    title = METHOD_TITLES[event.method]
                    progress.console.print(f"{title} diverged at rate {event.rate:g}, seed {event.seed}")
            yield event


def print_study(summary: StudySummary, console: Console) -> None:
    """The grid, what is read off it, the fairness list, the verdict, and what it was measured on."""
    spec, started = summary.spec, summary.started
    table = Table(title=f"{spec.task} on {started.backbone}, {spec.steps} steps of {spec.batch_size}",
                  title_justify="left", box=box.SIMPLE)  # fmt: skip
    for heading in ("method", "data", "rate", "accuracy", "95 % interval", "runs", "diverged", "validation", ""):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for cell in summary.cells:
        table.add_row(
            METHOD_TITLES[cell.method],
            f"{100 * cell.fraction:g} %",
            f"{cell.rate:g}",
            "diverged" if cell.mean is None else f"{100 * cell.mean:.1f} %",
            "" if cell.low is None or cell.high is None else f"{100 * cell.low:.1f} to {100 * cell.high:.1f}",
            str(cell.n),
            str(cell.diverged or ""),
            "" if cell.validation is None else f"{100 * cell.validation:.1f} %",
            "chosen" if cell.chosen and spec.is_tuned else "",
        )
    console.print(table)
    for method, region in summary.good_regions.items():
        least = "at least " if region.open_low or region.open_high else ""
        console.print(
            f"{METHOD_TITLES[method]}: good from {region.low:.2g} to {region.high:.2g}, "
            f"{least}{region.decades:.1f} powers of ten."
        )
    for item in summary.fairness:
        console.print(f"{'yes' if item.met else ' no'}  {item.name}: {item.text}", highlight=False)
    console.print(summary.verdict)
    console.print(
        f"{summary.runs_done} runs in {summary.seconds:.1f} s, {summary.runs_per_second or 0:.2f} a second; "
        f"{started.device}, {started.threads} threads, {started.precision}."
    )
