"""`python -m replora race`: the same races without a browser. Options, bounds and help come from the specs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import click
from click.core import ParameterSource
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from replora.cli.adapters import adapters_option, keeping
from replora.cli.own_data import data_options, own_task
from replora.cli.spec_options import Command, spec_option, unasked_kept
from replora.config import METHOD_TITLES, RaceOptions
from replora.events import Diverged, Evaluated, Event, PerRun, Started, Step, to_line
from replora.memory.admission import check_race
from replora.options import SpecError, UserError, options
from replora.result_card import read_race
from replora.statistics.intervals import sampling_half_width
from replora.statistics.metrics import ACCURACY, metric_of
from replora.summary import RaceSummary, race_difference, race_verdict, summarize


def race_options(command: Command) -> Command:
    """Adds an option for each field of `RaceOptions`, --data-fraction for data_fraction."""
    for name in reversed(options(RaceOptions)):
        command = spec_option(RaceOptions, name)(command)
    return command


@click.command("race")
@race_options
@data_options
@click.option(
    "--spec",
    "spec_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Run the race of a JSON file, as a result card has it, in place of all options above.",
)
@adapters_option
@click.option("--events", "events_file", type=click.Path(dir_okay=False, path_type=Path), help="Write events as lines.")
@click.option("--json", "as_json", is_flag=True, help="Print one summary object as the last line.")
def race_command(
    spec_file: Path | None, adapters_folder: Path | None, events_file: Path | None, as_json: bool, **values: Any
) -> None:
    """Train every method with every seed side by side and report what came out."""
    try:
        with contextlib.ExitStack() as stack:
            if spec_file:
                _alone("--spec", values)
                spec = read_race(spec_file)
            else:
                spec = _asked(stack.enter_context(own_task(values))).race()
            sink = stack.enter_context(open_sink(events_file)) if events_file else None
            check_race(spec)
            kept = stack.enter_context(keeping(adapters_folder, spec))
            from replora.training.race import race

            told = race(spec, snapshots=kept.snapshots if kept else None)
            events = list(_written(told, sink) if as_json else _watched(_written(told, sink), spec.steps))
            if not as_json:
                print_summary(_summary(events))
            for sentence in kept.write(events) if kept else ():
                click.echo(sentence, err=as_json)
    except (UserError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        summary = _summary(events)
        said = {"difference": race_difference(summary), "verdict": race_verdict(summary)}
        click.echo(json.dumps({**summary.to_dict(), **said}))


def _summary(events: Iterable[Event]) -> RaceSummary:
    summary = summarize(events)
    assert summary is not None  # a race that ends without an error has started
    return summary


def _asked(values: Mapping[str, Any]) -> RaceOptions:
    """The race of the options; those that nobody gave are as the task has them."""
    return unasked_kept(RaceOptions, values)


def _alone(option: str, others: Iterable[str]) -> None:
    """`SpecError` where options are given that `option` takes the place of."""
    context = click.get_current_context()
    given = [name for name in others if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise SpecError(f"{option} holds the whole race; leave out --{given[0].replace('_', '-')}.")


@contextlib.contextmanager
def open_sink(path: Path) -> Iterator[TextIO]:
    """A text file for events; a line is on disk once it is written."""
    with path.open("w", encoding="utf-8", buffering=1) as sink:
        yield sink


def _written(events: Iterable[Event], sink: TextIO | None) -> Iterator[Event]:
    for event in events:
        if sink is not None:
            sink.write(to_line(event) + "\n")
        yield event


def _watched(events: Iterable[Event], steps: int) -> Iterator[Event]:
    """Passes events on beside a progress bar with the latest accuracies; divergence is said as it happens."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("preparing", total=steps)
        titles: list[str] = []
        metric = ACCURACY
        for event in events:
            if isinstance(event, Started):
                titles = [f"{METHOD_TITLES[run.method.name]} (seed {run.seed})" for run in event.spec.runs]
                metric = metric_of(event.spec.task)
                progress.update(bar, description="training")
            elif isinstance(event, Step):
                progress.update(bar, completed=event.step)
            elif isinstance(event, Evaluated):
                values: PerRun = getattr(event, metric.field)
                shown = [metric.number(value) for value in values[:4]]
                progress.update(bar, description=f"{metric.heading} " + " / ".join(shown))
            elif isinstance(event, Diverged):
                progress.console.print(f"{titles[event.run]} diverged at step {event.step}: {event.reason}")
            yield event


def print_summary(summary: RaceSummary) -> None:
    """A table, the verdict, and what it was measured on."""
    console = Console(file=sys.stdout)
    first, metric = summary.runs[0], metric_of(summary.task)
    title = f"{summary.task} on {summary.backbone}, {first.examples:,} examples, learning rate {first.learning_rate:g}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for heading in ("method", "seed", "trained", "deployed", metric.heading, metric.best_heading, metric.beside[0]):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for run in summary.runs:
        table.add_row(
            METHOD_TITLES[run.method],
            str(run.seed),
            f"{run.trained_parameters:,}",
            f"{run.deployed_parameters:,}",
            metric.number(None if run.diverged else getattr(run, metric.final)),
            metric.number(getattr(run, metric.best)),
            metric.told_beside(run.final_loss),
        )
    console.print(table)
    if summary.untouched is not None:
        console.print(f"Untouched, before the first step: {metric.value(summary.untouched)}.")
    console.print(race_verdict(summary))
    known = [run.final_accuracy for run in summary.runs if run.final_accuracy is not None]
    if known and summary.test_examples and metric.is_share:
        most = max(100 * sampling_half_width(share, summary.test_examples) for share in known)
        console.print(
            f"All on the same {summary.test_examples:,} test examples; others would move a single accuracy by up to "
            f"{most:.1f} points (95 %)."
        )
    speed = "" if summary.steps_per_second is None else f", {summary.steps_per_second:.1f} steps a second"
    console.print(
        f"{summary.step} steps in {summary.seconds:.1f} s{speed}; "
        f"{summary.device}, {summary.threads} threads, {summary.precision}."
    )
