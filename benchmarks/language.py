"""`python -m benchmarks.language`: how well texts are continued after training on few, some and all pieces of a corpus.

At each size LoRA and RepLoRA train at all rates and seeds as one batch, on pieces of 64 tokens. Each method's rate is
the one with the lowest mean loss on pieces held out of the training split; what is told is the loss in nats a token,
that of the untouched model beside it, and Student's interval of the paired difference over the seeds: each at its own
rate, and both at the rate `--same`; on the test split (of the plays one that nobody has read) and on what was held out,
which is nearer to what was read and flatters what was chosen by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import click

from benchmarks.timing import machine
from replora.catalog import CORPORA
from replora.config import Method, MethodName, Race, Run
from replora.events import Evaluated, Event
from replora.statistics.intervals import t_interval
from replora.tasks import load_task
from replora.training.device import choose_device, device_name
from replora.training.race import race

Split = Literal["test", "held_out"]

METHODS: tuple[MethodName, ...] = ("lora", "replora")
SPLITS: tuple[Split, ...] = ("test", "held_out")
RATES = (1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2)
SIZES = (16, 256)  # pieces, beside all of them
RANK, BATCH = 4, 8


@dataclass(frozen=True)
class Ended:
    """Losses of one run in nats a token: before the first step, after the last; these None for one that diverged."""

    method: str
    rate: float
    seed: int
    untouched: Mapping[Split, float]
    test: float | None
    held_out: float | None


def spec_of(task: str, fraction: float, *, seeds: Sequence[int], **settings: Any) -> Race:
    """All methods, rates and seeds on one share of the corpus."""
    runs = tuple(
        Run(method=Method(name=method, rank=RANK), seed=seed, learning_rate=rate, data_fraction=fraction)
        for method in METHODS
        for rate in RATES
        for seed in seeds
    )
    return Race(task=task, runs=runs, batch_size=BATCH, evaluate_every=settings["steps"], **settings)


def ended(spec: Race, told: Iterator[Event]) -> list[Ended]:
    """What each run of a race has come to."""
    tests = [event for event in told if isinstance(event, Evaluated)]
    first, last = tests[0], tests[-1]
    found = []
    for place, run in enumerate(spec.runs):
        test, held_out = first.losses[place], first.validation_losses[place]
        assert test is not None  # nothing has been trained yet
        assert held_out is not None
        start: dict[Split, float] = {"test": test, "held_out": held_out}
        end = (last.losses[place], last.validation_losses[place])
        found.append(Ended(run.method.name, run.learning_rate, run.seed, start, *end))
    return found


def at_rate(runs: Sequence[Ended], method: str, rate: float) -> dict[int, Ended]:
    """By seed."""
    return {run.seed: run for run in runs if (run.method, run.rate) == (method, rate)}


def best_rate(runs: Sequence[Ended], method: str) -> float:
    """The rate with the lowest mean loss on what was held out, among those where no run diverged."""
    means = {}
    for rate in RATES:
        losses = [run.held_out for run in at_rate(runs, method, rate).values()]
        whole = [loss for loss in losses if loss is not None]
        if len(whole) == len(losses):
            means[rate] = fmean(whole)
    return min(means, key=means.__getitem__)


def compared(runs: Sequence[Ended], rates: Mapping[str, float], split: Split) -> dict[str, Any]:
    """Mean losses of both methods at these rates, and RepLoRA's minus LoRA's with its interval over seeds."""
    losses = {
        method: {
            seed: loss for seed, run in at_rate(runs, method, rate).items() if (loss := getattr(run, split)) is not None
        }
        for method, rate in rates.items()
    }
    lora, replora = (losses[method] for method in METHODS)
    found = t_interval([replora[seed] - lora[seed] for seed in sorted(lora.keys() & replora.keys())])
    return {
        **{method: round(fmean(each.values()), 4) if each else None for method, each in losses.items()},
        "difference": None if found is None else round(found.mean, 4),
        "interval": None
        if found is None or found.low is None or found.high is None
        else [round(found.low, 4), round(found.high, 4)],
        "seeds": len(lora.keys() & replora.keys()),
    }


@click.command()
@click.option("--task", default="plays", show_default=True, type=click.Choice(list(CORPORA)), help="Which corpus.")
@click.option("--steps", default=150, show_default=True, type=click.IntRange(1), help="Optimizer steps.")
@click.option("--blocks", default=30, show_default=True, type=click.IntRange(1), help="The last blocks, adapted.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Seeds 0, 1, ...")
@click.option("--held-out", default=128, show_default=True, type=click.IntRange(1), help="Pieces that choose rates.")
@click.option("--test-examples", default=10_000, show_default=True, type=click.IntRange(1), help="Pieces at most.")
@click.option("--same", default=3e-4, show_default=True, type=click.FloatRange(0), help="One of the rates, for both.")
@click.option("--backbone", default="auto", show_default=True, help="Which language model.")
@click.option("--device", default="auto", show_default=True, help="Where.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(
    task: str,
    steps: int,
    blocks: int,
    seeds: int,
    held_out: int,
    test_examples: int,
    same: float,
    as_json: bool,
    **where: str,
) -> None:
    """Train both methods at three sizes of a corpus and many rates, and tell what is left of their difference."""
    if same not in RATES:
        raise click.UsageError(f"--same must be one of {', '.join(f'{rate:g}' for rate in RATES)}, got {same:g}.")
    pool = len(load_task(task).train) - held_out
    found: dict[str, Any] = {
        "machine": {**machine(), "device": device_name(choose_device(where["device"]))},
        "steps": steps,
        "blocks": blocks,
        "sizes": {},
    }
    for size in (*(each for each in SIZES if each < pool), pool):
        spec = spec_of(
            task,
            size / pool,
            seeds=range(seeds),
            steps=steps,
            adapted_blocks=blocks,
            validation_examples=held_out,
            test_examples=test_examples,
            backbone=where["backbone"],
            device=where["device"],
        )
        runs = ended(spec, race(spec))
        own = {str(method): best_rate(runs, method) for method in METHODS}
        chosen = {"own": own, "same": {str(method): same for method in METHODS}}
        figures: dict[str, Any] = {"diverged": sum(run.test is None for run in runs)}
        for name, rates in chosen.items():
            edge = sorted(method for method, rate in rates.items() if rate in (RATES[0], RATES[-1]))
            figures[f"{name} rates"] = {"rates": rates, "at_the_edge": edge} | {
                split: compared(runs, rates, split) for split in SPLITS
            }
        figures["untouched"] = {split: round(fmean(run.untouched[split] for run in runs), 4) for split in SPLITS}
        found["sizes"][str(size)] = figures
        if not as_json:
            click.echo(f"{size} pieces: {figures}")
    if as_json:
        click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
