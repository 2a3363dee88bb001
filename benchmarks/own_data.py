"""`python -m benchmarks.own_data`: 5,000 own texts or pictures that fill 5 MB, from upload to the first step of a race.

As the app does it: read and checked, split, kept as a file, then raced by a job engine whose host is ready. The race
is the default one with all of the data; the median of a few, in seconds.
"""

from __future__ import annotations

import csv
import io
import json
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from replora.config import RaceOptions
from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store
from replora.own_data.examples import Examples, choose_columns
from replora.own_data.limits import Limits
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import delete_task, keep_task
from replora.own_data.upload import read_upload

EXAMPLES = 5000
CLASSES = 10
WORDS = 170  # of a text
SIDE = 48  # pixels of a picture
POLL_SECONDS = 0.005


def texts() -> tuple[str, bytes]:
    """A CSV file of random words."""
    generator = np.random.default_rng(0)
    known = [f"{first}{second}" for first in ("ba", "mo", "ri", "ta", "len") for second in ("nk", "st", "ver", "ble")]
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(("text", "label"))
    writer.writerows((" ".join(generator.choice(known, WORDS)), f"class {n % CLASSES}") for n in range(EXAMPLES))
    return "texts.csv", sink.getvalue().encode()


def pictures() -> tuple[str, bytes]:
    """A zip of random JPEG pictures."""
    generator = np.random.default_rng(0)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(EXAMPLES):
            coarse = Image.fromarray(generator.integers(0, 255, (4, 4, 3), dtype=np.uint8))
            file = io.BytesIO()
            coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=60)
            archive.writestr(f"class {number % CLASSES}/{number}.jpg", file.getvalue())
    return "pictures.zip", sink.getvalue()


def keep(file: str, data: bytes, limits: Limits) -> str:
    """The task of an upload, as the page makes it."""
    found = read_upload(data, file, limits)
    examples = found if isinstance(found, Examples) else choose_columns(found, "text", "label", limits)
    return keep_task(split_task(examples, SplitOptions()), limits)


def first_step(engine: LocalEngine, task: str) -> float:
    """Seconds from submit to the first step of a race."""
    begun = time.perf_counter()
    job = engine.submit("race", RaceOptions(task=task, data_fraction=1.0).race().to_dict())
    while not any(json.loads(line)["event"] == "step" for line in engine.events(job)):
        if (status := engine.status(job)).state.final:
            raise click.ClickException(f"The race did not run: {status.message}")
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - begun
    engine.cancel(job)
    while not engine.status(job).state.final:
        time.sleep(POLL_SECONDS)
    return seconds


def measure(engine: LocalEngine, make: Callable[[], tuple[str, bytes]], rounds: int) -> dict[str, float]:
    """Medians of the seconds to read and keep a file, to the first step, and of both together."""
    file, data = make()
    kept, stepped = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        task = keep(file, data, Limits(max_upload_mb=50))
        kept.append(time.perf_counter() - begun)
        stepped.append(first_step(engine, task))
        delete_task(task)
    return {
        "megabytes": round(len(data) / 2**20, 2),
        "read_and_kept": round(statistics.median(kept), 2),
        "play_to_first_step": round(statistics.median(stepped), 2),
        "upload_to_first_step": round(statistics.median(map(sum, zip(kept, stepped, strict=True))), 2),
    }


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Uploads and races a kind.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(rounds: int, as_json: bool) -> None:
    """Time own data from the upload to the first step of a race."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REPLORA_DATA"] = folder
        engine = LocalEngine(store=Store(Path(folder)))
        while not engine.ready:
            time.sleep(POLL_SECONDS)
        found: dict[str, Any] = {"examples": EXAMPLES}
        found |= {make.__name__: measure(engine, make, rounds) for make in (texts, pictures)}
        engine.close()
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
