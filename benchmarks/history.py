"""`python -m benchmarks.history`: how long the run history takes with 10,000 runs in it.

A fresh folder is filled; then medians over a few rounds: one row recorded (on disk when it returns), the first page,
the last page, the count, the choices, each filter's first page and count, and all rows as CSV. No torch.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from replora.catalog import TASKS
from replora.config import RaceOptions
from replora.jobs.engine import JobState
from replora.jobs.storage.database import FILE
from replora.jobs.storage.history import History
from replora.jobs.storage.rows import HistoryFilter, RunRow
from replora.result_card import spec_hash

PAGE = 100
BATCH = 500
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
STATES = (JobState.FINISHED, JobState.FINISHED, JobState.FINISHED, JobState.CANCELLED, JobState.FAILED)
METHODS: tuple[Any, ...] = (("lora", "replora"), ("lora",), ("head", "lora", "replora"))
FILTERS = {
    "by_kind": HistoryFilter(kind="race"),
    "by_task": HistoryFilter(task="emoji"),
    "by_state": HistoryFilter(state="failed"),
    "by_method": HistoryFilter(method="head"),
    "by_text": HistoryFilter(text="ahead seeds"),
    "by_text_not_there": HistoryFilter(text="nowhere"),
    "by_all": HistoryFilter(kind="race", task="emoji", state="finished", method="lora", text="ahead"),
    "oldest_first": HistoryFilter(oldest_first=True),
}


def row(number: int) -> RunRow:
    """A race of six runs, as large as real ones are."""
    task = list(TASKS)[number % len(TASKS)]
    options = RaceOptions(task=task, methods=METHODS[number % len(METHODS)], seeds=(number, number + 1, number + 2))
    spec = options.race().to_dict()
    created = (BEGINNING + timedelta(seconds=37 * number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return RunRow(
        id=f"run{number:08d}",
        kind="race",
        state=STATES[number % len(STATES)],
        created=created,
        ended=created,
        task=task,
        methods=options.methods,
        seeds=options.seeds,
        device="CPU (x86_64)",
        spec_hash=spec_hash(spec),
        verdict=f"RepLoRA minus LoRA: {number % 97 / 10:.1f} ± 2.0 points over 3 paired seeds: not distinguishable.",
        summary={"accuracies": {name: {str(seed): 0.5 for seed in options.seeds} for name in options.methods}},
        spec=spec,
    )


def filtered(history: History, wanted: HistoryFilter) -> tuple[Sequence[RunRow], int]:
    """What the page asks for once a filter is set."""
    return history.list(wanted, PAGE), history.count(wanted)


def median_ms(call: Callable[[], object], rounds: int) -> float:
    """Milliseconds of one call."""
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return round(1000 * statistics.median(seconds), 2)


def measure(runs: int, rounds: int) -> dict[str, Any]:
    """Sizes, and milliseconds by what is done."""
    with tempfile.TemporaryDirectory() as folder:
        history = History(folder)
        rows = [row(number) for number in range(runs)]
        begun = time.perf_counter()
        for start in range(0, runs, BATCH):
            history.record(*rows[start : start + BATCH])
        filled = time.perf_counter() - begun
        found: dict[str, Any] = {
            "runs": runs,
            "fill_seconds": round(filled, 2),
            "megabytes": round((Path(folder) / FILE).stat().st_size / 2**20, 1),
            "record_one": median_ms(lambda: history.record(rows[runs // 2]), rounds),
            "first_page": median_ms(lambda: history.list(limit=PAGE), rounds),
            "last_page": median_ms(lambda: history.list(limit=PAGE, offset=max(0, runs - PAGE)), rounds),
            "count": median_ms(history.count, rounds),
            "choices": median_ms(history.choices, rounds),
        }
        for name, wanted in FILTERS.items():
            found[name] = median_ms(partial(filtered, history, wanted), rounds)
        found["whole_page"] = median_ms(lambda: (history.choices(), history.count(), history.list(limit=PAGE)), rounds)
        found["csv_of_all"] = median_ms(history.to_csv, max(1, rounds // 5))
    return found


@click.command()
@click.option("--runs", default=10_000, show_default=True, type=click.IntRange(1), help="Rows in the history.")
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(1), help="Calls a median.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(runs: int, rounds: int, as_json: bool) -> None:
    """Time lists, filters and writes of a large run history; milliseconds unless named otherwise."""
    found = measure(runs, rounds)
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
