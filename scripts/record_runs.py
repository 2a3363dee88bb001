"""`python -m scripts.record_runs [TASK ...]`: records the default race of each task, for first paint.

The files, assets/recorded/race_TASK.jsonl, say in their first line on what they were made. Beside each stands a second
race, with the head-only run and with snapshots of its factors to look into: assets/recorded/lens_TASK/.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import torch

from replora.catalog import ASSETS, TASKS
from replora.config import RaceOptions
from replora.events import write_events
from replora.summary import race_verdict, summarize
from replora.training.race import race
from replora.training.snapshots import EVENTS_FILE, SnapshotWriter


def record(task: str, folder: Path) -> str:
    """Record one task's default race; a sentence on what came out. The file is replaced once the race is whole."""
    path = folder / f"race_{task}.jsonl"
    draft = path.with_suffix(".part")
    with draft.open("w", encoding="utf-8") as sink:
        summary = summarize(write_events(race(RaceOptions(task=task).race()), sink))
    draft.replace(path)
    assert summary is not None  # a race that ends without an error has started
    return f"{task}: {summary.seconds:.1f} s, {summary.precision}, {summary.threads} threads. {race_verdict(summary)}"


def record_lens(task: str, folder: Path) -> str:
    """Record one task's race to look into; the folder is replaced once the race is whole."""
    path = folder / f"lens_{task}"
    draft = folder / f"lens_{task}.part"
    shutil.rmtree(draft, ignore_errors=True)
    spec = RaceOptions(task=task, methods=("head", "lora", "replora")).race()
    writer = SnapshotWriter(draft, spec, torch.float16)
    draft.mkdir(parents=True)
    with (draft / EVENTS_FILE).open("w", encoding="utf-8") as sink:
        summary = summarize(write_events(race(spec, snapshots=writer), sink))
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)
    assert summary is not None  # a race that ends without an error has started
    size = sum(each.stat().st_size for each in path.iterdir()) / 1e6
    return f"{task}, to look into: {size:.1f} MB."


@click.command()
@click.argument("tasks", nargs=-1, type=click.Choice(list(TASKS)))
@click.option("--output", default=ASSETS / "recorded", show_default=True, type=click.Path(path_type=Path))
@click.option("--lens-only", is_flag=True, help="Only the races to look into.")
def main(tasks: tuple[str, ...], output: Path, lens_only: bool) -> None:
    """Record the default race of TASKS (all, if none is named)."""
    output.mkdir(parents=True, exist_ok=True)
    for task in tasks or TASKS:
        if not lens_only:
            click.echo(record(task, output))
        click.echo(record_lens(task, output))


if __name__ == "__main__":
    main()
