"""`python -m benchmarks.precision`: does bfloat16 change what the default race finds?

The default race over several seeds in both precisions: seconds, final test accuracies, and the paired change of
accuracy from float32 to bfloat16 beside the spread from seed to seed.
"""

from __future__ import annotations

import dataclasses
import json
from statistics import fmean, stdev
from typing import Any

import click

from benchmarks.timing import machine
from replora.config import Precision, RaceOptions
from replora.summary import RaceSummary, summarize
from replora.training.race import race

TASKS = ("digits", "wordnet_topics")


def finals(options: RaceOptions, precision: Precision) -> RaceSummary:
    """The default race in one precision."""
    spec = dataclasses.replace(options, precision=precision)
    summary = summarize(race(spec.race()))
    assert summary is not None  # a race that ends without an error has started
    return summary


def compare(task: str, seeds: int) -> dict[str, Any]:
    """Per method, in points: mean accuracy in both precisions, mean paired change, standard deviation over seeds."""
    options = RaceOptions(task=task, seeds=tuple(range(seeds)))
    exact, rounded = finals(options, "float32"), finals(options, "bfloat16")
    found: dict[str, Any] = {"seconds": {"float32": round(exact.seconds, 1), "bfloat16": round(rounded.seconds, 1)}}
    for method in options.methods:
        pairs = [
            (100 * (a.final_accuracy or 0), 100 * (b.final_accuracy or 0))
            for a, b in zip(exact.runs, rounded.runs, strict=True)
            if a.method == method
        ]
        found[method] = {
            "float32": round(fmean(a for a, _ in pairs), 2),
            "bfloat16": round(fmean(b for _, b in pairs), 2),
            "change": round(fmean(b - a for a, b in pairs), 2),
            "seed_spread": round(stdev(a for a, _ in pairs), 2),
        }
    return found


@click.command()
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(2), help="Seeds a method and precision.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(seeds: int, as_json: bool) -> None:
    """Compare the default race in float32 and bfloat16."""
    found: dict[str, Any] = {"machine": machine()}
    for task in TASKS:
        found[task] = compare(task, seeds)
        if not as_json:
            click.echo(f"{task}: {found[task]}")
    if as_json:
        click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
