"""`python -m scripts.record_runs [TASK ...]`: records the default race of each task, for first paint.

The files, assets/recorded/race_TASK.jsonl, say in their first line on what they were made.
"""

from __future__ import annotations

from pathlib import Path

import click

from replora.catalog import ASSETS, TASKS
from replora.config import RaceOptions
from replora.events import write_events
from replora.summary import summarize, verdict
from replora.training.race import race


def record(task: str, folder: Path) -> str:
    """Record one task's default race; a sentence on what came out. The file is replaced once the race is whole."""
    path = folder / f"race_{task}.jsonl"
    draft = path.with_suffix(".part")
    with draft.open("w", encoding="utf-8") as sink:
        summary = summarize(write_events(race(RaceOptions(task=task).race()), sink))
    draft.replace(path)
    assert summary is not None  # a race that ends without an error has started
    return f"{task}: {summary.seconds:.1f} s, {summary.precision}, {summary.threads} threads. {verdict(summary)}"


@click.command()
@click.argument("tasks", nargs=-1, type=click.Choice(list(TASKS)))
@click.option("--output", default=ASSETS / "recorded", show_default=True, type=click.Path(path_type=Path))
def main(tasks: tuple[str, ...], output: Path) -> None:
    """Record the default race of TASKS (all, if none is named)."""
    output.mkdir(parents=True, exist_ok=True)
    for task in tasks or TASKS:
        click.echo(record(task, output))


if __name__ == "__main__":
    main()
