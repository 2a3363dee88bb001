"""What a replayed step gains on a GPU: `python -m benchmarks.step --device cuda`.

Races that differ in how the device takes its steps alone: launched one by one, or replayed as a CUDA graph, in turns
in one process. Half the runs are LoRA, half RepLoRA, over six rates. A round is a block of ten steps of each.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.timing import interleave
from replora.config import Method, Precision, Race, Run
from replora.events import Event, Step
from replora.studies.spec import RATES
from replora.training.device import choose_device, device_name
from replora.training.graphs import Pace, pace_of
from replora.training.race import race

BATCH = 16
METHODS = (Method(name="lora"), Method(name="replora"))


def many_runs(task: str, count: int, steps: int, precision: Precision) -> Race:
    """So many runs, both methods at every rate, seed after seed."""
    grid = itertools.product(itertools.count(), RATES, METHODS)
    runs = tuple(
        Run(method=method, seed=seed, learning_rate=rate) for seed, rate, method in itertools.islice(grid, count)
    )
    return Race(
        task=task,
        runs=runs,
        steps=steps,
        batch_size=BATCH,
        evaluate_every=steps,
        device="cuda",
        precision=precision,
    )


def blocks(spec: Race, pace: Pace) -> Callable[[], list[Event]]:
    """One block of steps a call."""
    told = (event for event in race(spec, pace=pace) if isinstance(event, Step))
    return lambda: list(itertools.islice(told, pace.block))


def kernel_milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds that the GPU computed during `work`, and how many kernels it ran."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    found = [each for each in profile.key_averages() if each.self_device_time_total > 0]
    return sum(each.self_device_time_total for each in found) / 1e3, sum(each.count for each in found)


def measure(task: str, counts: Sequence[int], rounds: int, warmup: int, precision: Precision) -> dict[str, Any]:
    """By number of runs: milliseconds a step, launched and replayed, and of kernels alone; gigabytes at most."""
    device = choose_device("cuda")
    replayed = pace_of(device)
    found: dict[str, Any] = {"device": device_name(device)}
    for count in counts:
        spec = many_runs(task, count, replayed.block * (rounds + warmup + 2), precision)
        torch.cuda.reset_peak_memory_stats(device)
        begun = time.perf_counter()
        graph = blocks(spec, replayed)
        graph()
        first = time.perf_counter() - begun
        sides = {"launched": blocks(spec, dataclasses.replace(replayed, captures=None)), "replayed": graph}
        seconds = interleave(sides, rounds, warmup)
        busy, kernels = kernel_milliseconds(graph)
        wall = 1e3 * seconds["replayed"] / replayed.block
        found[str(count)] = {
            "launched": round(1e3 * seconds["launched"] / replayed.block, 2),
            "replayed": round(wall, 2),
            "kernels": round(busy / replayed.block, 2),
            "kernel_count": round(kernels / replayed.block),
            "wall_over_kernels": round(wall * replayed.block / busy, 2),
            "seconds_to_first_block": round(first, 2),
            "gigabytes": round(torch.cuda.max_memory_allocated(device) / 2**30, 2),
        }
    return found
