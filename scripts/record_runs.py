"""`python -m scripts.record_runs [TASK ...]`: records the default race of each task, for first paint.

The files, assets/recorded/race_TASK.jsonl.gz, say in their first line on what they were made. Beside each stands a
second race, with the head-only run and with snapshots of its factors to look into: assets/recorded/lens_TASK/. A text
to continue has none: factors of 30 blocks are too large for every clone. Of the others only what the pages read is kept
(`thin`), and `--thin` makes an older recording so without a race.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import torch
from safetensors import safe_open
from safetensors.torch import save

from replora.catalog import ALL_TASKS, ASSETS, TASKS, is_corpus
from replora.config import Method, RaceOptions
from replora.event_lines import gzipped_lines
from replora.events import write_events
from replora.recorded.half_floats import SUFFIX, pack
from replora.summary import race_verdict, summarize
from replora.training.groups import method_groups
from replora.training.race import race
from replora.training.snapshots import EVENTS_FILE, PARAMETERS_FILE, STEP_FILE, Snapshots, SnapshotWriter

LENS_STEPS = (0, 30, 100)  # the start, under way, the end: each of the slider's steps is 0.11 MB of every clone


def record(task: str, folder: Path) -> str:
    """Record one task's default race; a sentence on what came out. The file is replaced once the race is whole."""
    with gzipped_lines(folder / f"race_{task}.jsonl.gz") as sink:
        summary = summarize(write_events(race(RaceOptions.on(task).race()), sink))
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
    with gzipped_lines(draft / EVENTS_FILE) as sink:
        summary = summarize(write_events(race(spec, snapshots=writer), sink))
    thin(draft)
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)
    assert summary is not None  # a race that ends without an error has started
    return f"{task}, to look into: {megabytes(path):.1f} MB."


def thin(folder: Path) -> None:
    """Keep of a race to look into the snapshots of `LENS_STEPS`, packed, and the parameters of RepLoRA's runs only.

    A LoRA run's parameters are its factors, which the snapshots hold. A second call changes nothing.
    """
    for path in list(folder.iterdir()):
        found = STEP_FILE.fullmatch(path.name)
        if found and int(found[1]) in LENS_STEPS and not found[2]:
            path.with_name(f"{path.name}{SUFFIX}").write_bytes(pack(path.read_bytes()))
        if found and (int(found[1]) not in LENS_STEPS or not found[2]):
            path.unlink()
    methods = list(method_groups(Snapshots(folder).spec.runs))
    plain = folder / PARAMETERS_FILE
    if not plain.is_file():
        return
    with safe_open(plain, "pt") as file:
        metadata = file.metadata()
        read = {name: file.get_tensor(name) for name in sorted(file.keys()) if _generates(methods, name)}
    plain.with_name(f"{plain.name}{SUFFIX}").write_bytes(pack(save(read, metadata=metadata)))
    plain.unlink()


def _generates(methods: list[Method], name: str) -> bool:
    """Whether a parameter, `<group>.<parameter>`, is of a method whose factors arise from others."""
    return methods[int(name.split(".", 1)[0])].name == "replora"


def megabytes(folder: Path) -> float:
    """How much a folder of files holds."""
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


@click.command()
@click.argument("tasks", nargs=-1, type=click.Choice(list(ALL_TASKS)))
@click.option("--output", default=ASSETS / "recorded", show_default=True, type=click.Path(path_type=Path))
@click.option("--lens-only", is_flag=True, help="Only the races to look into.")
@click.option("--thin", "thin_only", is_flag=True, help="Train nothing: thin the recorded races to look into.")
def main(tasks: tuple[str, ...], output: Path, lens_only: bool, thin_only: bool) -> None:
    """Record the default race of TASKS (all that have labels, if none is named)."""
    output.mkdir(parents=True, exist_ok=True)
    for task in tasks or TASKS:
        if is_corpus(task):
            if not (thin_only or lens_only):
                click.echo(record(task, output))
            continue
        if thin_only:
            thin(output / f"lens_{task}")
            continue
        if not lens_only:
            click.echo(record(task, output))
        click.echo(record_lens(task, output))


if __name__ == "__main__":
    main()
