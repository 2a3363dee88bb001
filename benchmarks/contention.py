"""`python -m benchmarks.contention`: a training step while something else uses a processor.

torch's threads wait for each other awake, and where a browser or another job takes one processor they wait for long.
The job host has them fall asleep sooner (`replora.jobs.host_process.SPIN_COUNT`). Both ways are timed in turns, each
in a process of its own since the setting is read at start, first with the machine as it is, then beside busy processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from typing import Any

import click

from benchmarks.timing import machine
from replora.config import RaceOptions
from replora.events import Step
from replora.jobs.host_process import SPIN_COUNT

STEPS = 30
SETTINGS = {"default": None, "host": SPIN_COUNT}


def step_milliseconds(task: str) -> float:
    """Median step of the default pair of runs, in this process."""
    from replora.training.race import race

    spec = RaceOptions(task=task, steps=STEPS, evaluate_every=STEPS, test_examples=20, data_fraction=0.05).race()
    seconds = [each.seconds for each in race(spec) if isinstance(each, Step)]
    return 1000 * median(after - before for before, after in pairwise(seconds))


def in_a_process(task: str, spin_count: str | None) -> float:
    """`step_milliseconds` in a fresh process with a setting of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spin_count:
        environment["GOMP_SPINCOUNT"] = spin_count
    code = f"from benchmarks.contention import step_milliseconds; print(step_milliseconds({task!r}))"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(found.stdout)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that each keep one processor busy."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def compare(task: str, neighbours: int, rounds: int) -> dict[str, Any]:
    """Median milliseconds of both settings, in turns, and their ratio."""
    with busy(neighbours):
        times = [{name: in_a_process(task, value) for name, value in SETTINGS.items()} for _ in range(rounds)]
    found = {name: round(median(each[name] for each in times), 1) for name in SETTINGS}
    return {**found, "ratio": round(median(each["host"] / each["default"] for each in times), 2)}


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--task", default="digits", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(rounds: int, task: str, as_json: bool) -> None:
    """Time a step with the host's setting and with the default one, beside no, one and two busy processes."""
    found: dict[str, Any] = {str(each): compare(task, each, rounds) for each in (0, 1, 2)}
    for each, values in found.items():
        click.echo(f"{each} busy: default {values['default']} ms, host's {values['host']} ms, ratio {values['ratio']}")
    if as_json:
        click.echo(json.dumps({"machine": machine(), "task": task, "busy_processes": found}))


if __name__ == "__main__":
    main()
