"""`python -m benchmarks.race`: the default race as the app runs it, from Play to the end.

A job engine is started as the web process starts it. Seconds until its host is ready, then for each task, over a few
races: from submit to the first step, and to the end, evaluations included.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from replora.config import RaceOptions
from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store

POLL_SECONDS = 0.005
TASKS = ("digits", "wordnet_topics")


def play(engine: LocalEngine, task: str) -> tuple[float, float, str]:
    """Seconds from submit to the first step, and to the end, of the default race of a task; and its device."""
    begun = time.perf_counter()
    job = engine.submit("race", RaceOptions(task=task).race().to_dict())
    first = None
    while not (status := engine.status(job)).state.final:
        if first is None and any(json.loads(line)["event"] == "step" for line in engine.events(job)):
            first = time.perf_counter() - begun
        time.sleep(POLL_SECONDS)
    if first is None or status.message:
        raise click.ClickException(f"The race of {task} did not run: {status.message}")
    whole = time.perf_counter() - begun
    return first, whole, json.loads(next(iter(engine.events(job))))["device"]


def measure(races: int) -> dict[str, Any]:
    """Medians over `races` default races a task; all in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        engine = LocalEngine(store=Store(Path(folder)))
        constructed = time.perf_counter() - begun
        while not engine.ready:
            time.sleep(POLL_SECONDS)
        found: dict[str, Any] = {
            "engine_constructed": round(constructed, 4),
            "host_ready": round(time.perf_counter() - begun, 2),
        }
        for task in TASKS:
            times = [play(engine, task) for _ in range(races)]
            found[task] = {
                "first_step": round(statistics.median(first for first, _, _ in times), 2),
                "whole_race": round(statistics.median(whole for _, whole, _ in times), 2),
                "device": times[0][2],
            }
        engine.close()
    return found


@click.command()
@click.option("--races", default=3, show_default=True, type=click.IntRange(1), help="Races a task.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(races: int, as_json: bool) -> None:
    """Time the default race from Play to the end."""
    found = measure(races)
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
