"""`python -m benchmarks.lens`: how long a page that looks into a race waits for the job host, by kind of interaction.

Asked through the engine as a page does, on the recorded races, one question after another, the kinds interleaved.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from replora.catalog import ASSETS
from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store
from replora.lens.answers import HeadAnswer, InsideAnswer
from replora.lens.questions import Edit, Example, Graft, HeadQuestion, InsideQuestion, Question

TASKS = ("digits", "wordnet_topics")
WARM_UP = 3
LORA, REPLORA = 1, 2
Ask = Callable[[int], Question]


def interactions(task: str) -> dict[str, Ask]:
    """What a visitor does, as the question number n of a kind; no two of a kind are alike."""
    folder = str(ASSETS / "recorded" / f"lens_{task}")

    def inside(n: int, layer: int, **facts: Any) -> InsideQuestion:
        return InsideQuestion(folder=folder, run=REPLORA, beside=LORA, layer=layer, **facts)

    def edit(n: int) -> tuple[Edit, ...]:
        return (Edit(tensor="g_a.0.latent", row=n % 4, factor=1.1 + n / 100),)

    return {
        "another example": lambda n: HeadQuestion(
            folder=folder, runs=(LORA, REPLORA, 0), example=Example(index=n), layer=-1
        ),
        "another step": lambda n: HeadQuestion(folder=folder, runs=(LORA, REPLORA, 0), step=10 * (n % 11)),
        "another head": lambda n: HeadQuestion(folder=folder, runs=(LORA, REPLORA, 0), layer=n % 3, head=n % 6),
        "drag, first adapted layer": lambda n: inside(n, 0, edits=edit(n)),
        "drag, last adapted layer": lambda n: inside(n, 2, edits=edit(n)),
        "graft": lambda n: inside(n, 1, edits=edit(n), graft=Graft(activation=("identity", "gelu", "tanh")[n % 3])),
    }


@click.command()
@click.option("--rounds", default=40, show_default=True, type=click.IntRange(5))
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
def main(rounds: int, as_json: bool) -> None:
    """Print median and 95th percentile of each interaction in milliseconds."""
    with tempfile.TemporaryDirectory() as data:
        engine = LocalEngine(store=Store(Path(data)))
        try:
            found = {task: _measure(engine, task, rounds) for task in TASKS}
        finally:
            engine.close()
    if as_json:
        click.echo(json.dumps(found))
        return
    for task, kinds in found.items():
        for name, facts in kinds.items():
            click.echo(f"{task:16}{name:28}median {facts['median']:6.1f} ms   p95 {facts['p95']:6.1f} ms")


def _measure(engine: LocalEngine, task: str, rounds: int) -> dict[str, dict[str, float]]:
    kinds = interactions(task)
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for n in range(WARM_UP + rounds):
        for name, make in kinds.items():
            question = make(n)
            begun = time.perf_counter()
            answer = engine.ask(question.to_dict(), patience=60)
            (HeadAnswer if isinstance(question, HeadQuestion) else InsideAnswer).from_dict(answer)
            if n >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - begun))
    return {
        name: {"median": float(np.median(each)), "p95": float(np.quantile(each, 0.95))} for name, each in times.items()
    }


if __name__ == "__main__":
    main()
