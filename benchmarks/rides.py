"""`python -m benchmarks.rides`: a class whose races run one by one, and the same class whose races ride together.

All press Play at once, each its own seed, on the real engine with its processes, without pages. Both ways in turns, in
the same process; of each the seconds until the first and until the last result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from replora.config import RaceOptions
from replora.events import Started, from_line
from replora.jobs.engine import JobState, Submitter
from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store
from replora.jobs.turns.limits import Waiting

LOOK_SECONDS = 0.1
ROOM = Waiting(max_waiting=1000, max_waiting_address=1000)


def class_seconds(engine: LocalEngine, races: Sequence[RaceOptions]) -> tuple[float, float]:
    """Seconds until the first and until the last race has finished."""
    begun, ends = time.monotonic(), dict[str, float]()
    jobs = [
        engine.submit("race", race.race().to_dict(), by=Submitter(f"visitor {place}", "127.0.0.1"))
        for place, race in enumerate(races)
    ]
    while len(ends) < len(jobs):
        time.sleep(LOOK_SECONDS)
        for job in jobs:
            status = engine.status(job)
            if job not in ends and status.state.final:
                if status.state is not JobState.FINISHED:
                    raise RuntimeError(f"A race has not finished: {status.message}")
                ends[job] = time.monotonic() - begun
    return min(ends.values()), max(ends.values())


def compare(races: Sequence[RaceOptions], shared_runs: int, rounds: int) -> tuple[dict[str, Any], str]:
    """Medians of both ways and their ratios, and the device."""
    found: dict[int, list[tuple[float, float]]] = {1: [], shared_runs: []}
    device = ""
    for place in range(rounds):
        for most in list(found)[:: 1 if place % 2 else -1]:
            with TemporaryDirectory() as folder:
                engine = LocalEngine(store=Store(Path(folder)), shared_runs=most, waiting=ROOM)
                try:
                    alone = engine.submit("race", races[0].race().to_dict())  # from it the engine knows the pace
                    while not engine.status(alone).state.final:
                        time.sleep(LOOK_SECONDS)
                    started = from_line(engine.events(alone)[0])
                    device = started.device if isinstance(started, Started) else device
                    found[most].append(class_seconds(engine, races))
                finally:
                    engine.close()
    values: dict[str, Any] = {}
    for place, name in enumerate(("first", "last")):
        one_by_one, together = (median(each[place] for each in found[most]) for most in (1, shared_runs))
        ratio = median(ride[place] / alone[place] for alone, ride in zip(found[1], found[shared_runs], strict=True))
        values[name] = {"one_by_one": round(one_by_one, 1), "together": round(together, 1), "ratio": round(ratio, 2)}
    return values, device


@click.command()
@click.option("--users", default=30, show_default=True, type=click.IntRange(2, 1000))
@click.option("--shared-runs", default=8, show_default=True, type=click.IntRange(2, 1024), help="Runs in one batch.")
@click.option("--steps", default=100, show_default=True, type=click.IntRange(10))
@click.option("--task", default="wordnet_topics", show_default=True)
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(users: int, shared_runs: int, steps: int, task: str, rounds: int, as_json: bool) -> None:
    """Time a class one by one and together."""
    races = [RaceOptions(task=task, steps=steps, seeds=(seed,)) for seed in range(users)]
    found, device = compare(races, shared_runs, rounds)
    for name, values in found.items():
        click.echo(
            f"{name} result: one by one {values['one_by_one']} s, together {values['together']} s, "
            f"ratio {values['ratio']} ({device})"
        )
    if as_json:
        facts = {"device": device, "users": users, "shared_runs": shared_runs, "steps": steps, "task": task}
        click.echo(json.dumps({**facts, "rounds": rounds, **found}))


if __name__ == "__main__":
    main()
