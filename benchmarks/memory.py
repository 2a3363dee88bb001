"""`python -m benchmarks.memory`: estimates of `replora.memory.estimate` beside the peaks of the jobs, as JSON.

Each job runs in a process of its own, forked as the job host does, for a few steps and its evaluations; the peak is the
largest resident set that the kernel has seen of it (VmHWM).
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click

from benchmarks.timing import machine
from replora.config import RaceOptions
from replora.jobs.kinds import job_function
from replora.memory.estimate import MEGABYTE, race_bytes

STEPS = 2
CASES: dict[str, Mapping[str, Any]] = {
    "default": {},
    "topics": {"task": "wordnet_topics"},
    "float32": {"precision": "float32"},
    "topics, float32": {"task": "wordnet_topics", "precision": "float32"},
    "batch 256": {"batch_size": 256},
    "topics, batch 256": {"task": "wordnet_topics", "batch_size": 256},
    "batch 1024, LoRA": {"batch_size": 1024, "methods": ("lora",)},
    "32 runs": {"seeds": tuple(range(16))},
    "topics, 32 runs": {"task": "wordnet_topics", "seeds": tuple(range(16))},
    "rank 384": {"rank": 384, "seeds": (0, 1)},
    "rank 384, width 2048": {"rank": 384, "mlp_width": 2048},
    "width 4096, separate": {"mlp_width": 4096, "sharing": "separate"},
    "all data": {"task": "fashion", "data_fraction": 1.0, "batch_size": 256, "methods": ("lora",)},
    "all blocks": {"adapted_blocks": 6, "batch_size": 128},
    "movies, batch 128": {"task": "movie_sentiment", "batch_size": 128},
    "rank 256, batch 128": {"rank": 256, "batch_size": 128},
    "depth 3, width 1024": {"mlp_depth": 3, "mlp_width": 1024},
    "query alone, tied": {"projections": ("query",), "mlp_width": 1024, "batch_size": 128},
    "32 runs, all data": {"seeds": tuple(range(16)), "batch_size": 8, "data_fraction": 1.0, "rank": 32},
    "head alone": {"methods": ("head",), "batch_size": 256},
}


def peak() -> int:
    """The largest resident set of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def run_case(spec: Mapping[str, Any], answer: Connection) -> None:
    """Run a race in this process and send its peak."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in job_function("race")(spec, lambda: None, Path(folder)):
            pass
    answer.send(peak())


def measured(spec: Mapping[str, Any]) -> int | None:
    """The peak of a race in a process of its own, in bytes; None where it ended before it told."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=run_case, args=(spec, theirs))
    process.start()
    theirs.close()
    try:
        return int(ours.recv())
    except EOFError:
        return None
    finally:
        process.join()


@click.command()
@click.option("--only", default="", help="The cases whose name holds this.")
def main(only: str) -> None:
    """Print estimate and peak of each case in MB, and their ratio."""
    import torch

    from replora.training.race import preload

    facts = machine()
    torch.set_num_threads(1)
    preload()
    cases = {}
    for name, values in CASES.items():
        if only not in name:
            continue
        race = RaceOptions(**{"steps": STEPS, "evaluate_every": STEPS, "device": "cpu", **values}).race()
        estimate, found = race_bytes(race), measured(race.to_dict())
        cases[name] = {
            "estimate": round(estimate / MEGABYTE),
            "peak": None if found is None else round(found / MEGABYTE),
            "ratio": None if found is None else round(estimate / found, 2),
        }
        click.echo(f"{name}: {cases[name]}", err=True)
    click.echo(json.dumps({**facts, "megabytes": cases}))


if __name__ == "__main__":
    main()
