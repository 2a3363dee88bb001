"""Interleaved timing: every round runs each side once, so that noise of the machine hits all sides alike."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from replora.training.device import versions


def interleave(sides: Mapping[str, Callable[[], object]], rounds: int, warmup: int) -> dict[str, float]:
    """Median seconds of each side over `rounds`, after `warmup` rounds that are not counted.

    With one thread (`torch.set_num_threads`) seconds of the processor, which other work on the machine changes little.

    Every other round runs the sides in the opposite order, so that no side always follows the same neighbour.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for index in range(warmup + rounds):
        for name, side in list(sides.items())[:: 1 if index % 2 else -1]:
            begun = clock()
            side()
            if index >= warmup:
                seconds[name].append(clock() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
