"""`python -m scripts.record_texts [CORPUS ...]`: records what the default race of a corpus does to three sentences.

The files, assets/recorded/texts_CORPUS.json.gz, are what the page 'Generated text' shows first, also where the language
model is not installed: the most probable tokens of the untouched model, LoRA and RepLoRA after each snapshot.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from replora.catalog import ASSETS, CORPORA
from replora.config import RaceOptions
from replora.events import Step, to_line
from replora.lens.answers import ContinuationAnswer
from replora.lens.continuation.answer import answer_continuation
from replora.lens.questions import ContinuationQuestion, Part
from replora.lens.subject import subject
from replora.summary import race_verdict, summarize
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter
from replora.ui.inside.generation.prompts import PROMPTS, TOKENS
from replora.ui.inside.generation.recorded import path_of, write_texts


def record(task: str, folder: Path) -> str:
    """Record one corpus; a sentence on what came out."""
    spec = RaceOptions.on(task).race()
    with tempfile.TemporaryDirectory() as kept:
        here = Path(kept) / task
        events = list(race(spec, snapshots=SnapshotWriter(here, spec)))
        about = subject(str(here))
        answers: dict[int, ContinuationAnswer] = {}
        models = ((), *((Part(run=run),) for run in range(len(spec.runs))))
        for step in about.snapshots.steps():
            asked = ContinuationQuestion(folder=str(here), step=step, models=models, prompts=PROMPTS, tokens=TOKENS)
            answers[step] = answer_continuation(about, asked, seconds=float("inf"))
    path = path_of(task, folder)
    lines = [to_line(event) for event in events if not isinstance(event, Step)]
    write_texts(path, lines, PROMPTS, (-1, *range(len(spec.runs))), answers)
    summary = summarize(events)
    assert summary is not None  # a race that ends without an error has started
    return f"{task}: {summary.seconds:.1f} s, {path.stat().st_size:,} bytes. {race_verdict(summary)}"


@click.command()
@click.argument("tasks", nargs=-1, type=click.Choice(list(CORPORA)))
@click.option("--output", default=ASSETS / "recorded", show_default=True, type=click.Path(path_type=Path))
def main(tasks: tuple[str, ...], output: Path) -> None:
    """Record the default race of the corpora TASKS (all, if none is named)."""
    for task in tasks or CORPORA:
        click.echo(record(task, output))


if __name__ == "__main__":
    main()
