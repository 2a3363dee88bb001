"""`python -m benchmarks.cluster`: what the engine on a cluster costs a race, and what it gains a study.

The default race on the local engine and on a cluster of this machine in turns, both engines up: seconds from submit to
the first step and to the end, medians, and the median of what each round's cluster took more. Then a study on one place
and on two in turns: two GPUs where the machine has two, else two nodes of one thread each, which share its processors.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.race import TASKS, play
from replora.jobs.cluster.settings import ClusterSettings
from replora.jobs.engine import JobState
from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store
from replora.studies.base import Study
from replora.studies.events import StudyStarted
from replora.studies.lines import from_line as study_event
from replora.studies.spec import RateStudy, study_to_dict

LOOK_SECONDS = 0.005
NO_LIMIT = 1e6


@contextmanager
def engine(cluster: ClusterSettings | None, threads: int | None = None) -> Iterator[LocalEngine]:
    """An engine on a folder of its own that is ready."""
    with TemporaryDirectory() as folder:
        made = LocalEngine(store=Store(Path(folder)), cluster=cluster, threads=threads)
        try:
            while not made.ready:
                time.sleep(LOOK_SECONDS)
            yield made
        finally:
            made.close()


def in_turns(sides: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """What each side returned in each round, after one that does not count; every other round in opposite order."""
    found: dict[str, list[Any]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            result = sides[name]()
            if number:
                found[name].append(result)
    return found


def races(rounds: int) -> dict[str, Any]:
    """Of each task, seconds to the first step and of the whole race on both engines, and what the cluster adds."""
    found: dict[str, Any] = {}
    with engine(None) as local, engine(ClusterSettings()) as cluster:
        for task in TASKS:
            sides = {"local": partial(play, local, task), "cluster": partial(play, cluster, task)}
            told = in_turns(sides, rounds)
            values: dict[str, Any] = {"device": told["local"][0][2]}
            for place, name in enumerate(("first_step", "whole_race")):
                here, there = ([each[place] for each in told[side]] for side in sides)
                more = statistics.median(b - a for a, b in zip(here, there, strict=True))
                ratio = statistics.median(b / a for a, b in zip(here, there, strict=True))
                values[name] = {
                    "local": round(statistics.median(here), 3),
                    "cluster": round(statistics.median(there), 3),
                    "more": round(more, 3),
                    "ratio": round(ratio, 3),
                }
            found[task] = values
    return found


def gpus() -> int:
    """How many GPUs NVIDIA's driver knows of."""
    if shutil.which("nvidia-smi") is None:
        return 0
    with suppress(subprocess.SubprocessError):
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
        return sum(line.startswith("GPU ") for line in told.splitlines())
    return 0


def train(on: LocalEngine, spec: Study) -> tuple[float, StudyStarted]:
    """Seconds of a study from submit to its end, and how it started."""
    begun = time.perf_counter()
    job = on.submit("study", study_to_dict(spec), time_limit=NO_LIMIT)
    while not (status := on.status(job)).state.final:
        time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - begun
    if status.state is not JobState.FINISHED:
        raise click.ClickException(f"The study did not run: {status.message}")
    started = study_event(on.events(job)[0])
    assert isinstance(started, StudyStarted)
    return seconds, started


def studies(spec: Study, rounds: int) -> dict[str, Any]:
    """The same study on one place and on two; medians, and the median of the rounds' ratios."""
    with ExitStack() as stack:
        if gpus() >= 2:
            places = "GPUs of one host"
            made = {n: stack.enter_context(engine(ClusterSettings(ray_gpus=n))) for n in (1, 2)}
        else:
            from benchmarks.two_nodes import TwoNodes

            places = f"nodes of one thread each on {os.cpu_count()} processors that they share"
            nodes = TwoNodes()
            stack.callback(nodes.close)
            one = stack.enter_context(engine(ClusterSettings(), threads=1))
            os.environ.update(nodes.environment)
            made = {1: one, 2: stack.enter_context(engine(ClusterSettings(ray_address=nodes.address), threads=1))}
            while made[2]._dispatcher._line._slots < 2:
                time.sleep(LOOK_SECONDS)
        told = in_turns({str(n): partial(train, each, spec) for n, each in made.items()}, rounds)
    seconds = {n: [each for each, _ in told[n]] for n in told}
    started = {n: told[n][0][1] for n in told}
    return {
        "places": places,
        "runs": spec.count(),
        "steps": spec.steps,
        "device": started["2"].device,
        "pieces": {n: each.batches for n, each in started.items()},
        "one": round(statistics.median(seconds["1"]), 2),
        "two": round(statistics.median(seconds["2"]), 2),
        "ratio": round(statistics.median(b / a for a, b in zip(seconds["1"], seconds["2"], strict=True)), 3),
    }


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(0), help="Races of a task on each engine.")
@click.option("--study-rounds", default=1, show_default=True, type=click.IntRange(0), help="Studies on each.")
@click.option("--runs", default=375, show_default=True, type=click.IntRange(5, 5000), help="Runs of a study.")
@click.option("--steps", default=100, show_default=True, type=click.IntRange(1), help="Of a study's run.")
@click.option("--task", default="wordnet_topics", show_default=True, help="Of the study.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(rounds: int, study_rounds: int, runs: int, steps: int, task: str, as_json: bool) -> None:
    """Time races on both engines, and a study on one place and on two."""
    found: dict[str, Any] = {}
    if rounds:
        found["races"] = races(rounds)
    if study_rounds:
        spec = RateStudy(task=task, seeds=tuple(range(runs // 5)), methods=("replora",), steps=steps,
                         rates=(1e-4, 1e-3, 3e-3, 1e-2, 3e-2))  # fmt: skip
        found["study"] = studies(spec, study_rounds)
    click.echo(json.dumps(found) if as_json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
