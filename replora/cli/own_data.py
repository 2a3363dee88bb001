"""`--data FILE`: own data as the task of a race or study on the command line, deleted when the command is done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from replora.cli.spec_options import Command, spec_option
from replora.own_data.examples import Examples
from replora.own_data.limits import Limits, OwnError, shown
from replora.own_data.split import LONGEST_TITLE, OwnTask, SplitOptions, split_task
from replora.own_data.store import delete_task, keep_task
from replora.own_data.tables.columns import NO_LABEL, guess_columns
from replora.own_data.texts.corpus import column_corpus, examples_of
from replora.own_data.upload import read_upload

SPLIT = ("split_seed", "test_share", "official_split")
OURS = (*SPLIT, "data", "text_column", "label_column", "corpus")
LOCAL: Mapping[str, Any] = {"max_upload_mb": 1000, "max_examples": 1_000_000}  # on a machine of one's own


def data_options(command: Command) -> Command:
    """Adds --data, the columns of a table, and an option for each field of the split."""
    for name in reversed(SPLIT):
        command = spec_option(SplitOptions, name, of="Of --data: ")(command)
    words = "Of --data: texts to continue, so that a table needs no labels; a text file is that anyway."
    command = click.option("--corpus", is_flag=True, help=words)(command)
    for name in ("label", "text"):
        words = f"Of --data: the column of {name}s; guessed without it."
        command = click.option(f"--{name}-column", metavar="NAME", help=words)(command)
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    words = (
        "Own data in place of --task: CSV, TSV, JSON lines or Parquet with texts and labels, a zip of class folders, "
        "or a text to continue (.txt)."
    )
    return click.option("--data", type=file, help=words)(command)


@contextlib.contextmanager
def own_task(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A spec's values without those of `data_options`; with --data their task is a new one, deleted afterwards.

    Raises `OwnError` where the file cannot be taken, `OSError` where it cannot be read.
    """
    rest = {name: value for name, value in values.items() if name not in OURS}
    if values["data"] is None:
        yield rest
        return
    limits = Limits.from_environment(**LOCAL)
    title = values["data"].stem[:LONGEST_TITLE]
    examples = _examples(values, limits)
    task = split_task(examples, SplitOptions(title=title, **{name: values[name] for name in SPLIT}))
    name = keep_task(task, limits)
    try:
        tested = int(task.tested.sum())
        click.echo(
            f"{values['data'].name}: {len(examples):,} {_kind(task)}, "
            f"{len(examples) - tested:,} to train on, {tested:,} to test on.",
            err=True,
        )
        for note in examples.notes:
            click.echo(note, err=True)
        yield {**rest, "task": name}
    finally:
        delete_task(name)


def _kind(task: OwnTask) -> str:
    if task.examples.modality == "continuation":
        return f"pieces of {len(set(task.examples.groups)):,} texts to continue"
    return f"examples in {len(task.classes)} classes"


def _examples(values: Mapping[str, Any], limits: Limits) -> Examples:
    file: Path = values["data"]
    if file.stat().st_size > limits.upload_bytes:  # said before the file is in memory
        raise OwnError(f"{file.name} has more than the {limits.max_upload_mb:,} MB that are taken.")
    found = read_upload(file.read_bytes(), file.name, limits)
    text, label = values["text_column"], values["label_column"]
    if isinstance(found, Examples):
        whole = found.modality == "continuation"
        if text or label:
            held = "is a text" if whole else "holds pictures"
            raise OwnError(f"text_column and label_column are for tables; {file.name} {held}.")
        if values["corpus"] and not whole:
            raise OwnError(f"corpus is for texts; {file.name} holds pictures.")
        return found
    guess = guess_columns(found, limits)
    text = text or guess.text
    if values["corpus"]:
        if label:
            raise OwnError(f"corpus is for texts without labels; leave out label_column, got {shown(label)}.")
        if text is None:
            columns = ", ".join(map(shown, guess.texts or found.columns))
            raise OwnError(f"{file.name}: choose the column of texts ({columns}). Say it by --text-column.")
        click.echo(f"{file.name}: texts to continue are column {shown(text)}.", err=True)
        return column_corpus(found, text, limits)
    label = guess.label if label is None else label
    if text is None or label is None:
        raise OwnError(f"{guess.question(file.name)} Say it by --text-column and --label-column.")
    labels = f", labels column {shown(label)}" if label != NO_LABEL else ""
    click.echo(f"{file.name}: texts are column {shown(text)}{labels}.", err=True)
    return examples_of(found, text, label, limits)
