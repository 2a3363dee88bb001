"""How many runs fit into one batch: an estimate of a run's memory, and the memory at hand."""

from __future__ import annotations

import torch

from replora.config import MAX_RUNS
from replora.memory.estimate import MEGABYTE
from replora.memory.machine import free_memory, job_bytes
from replora.studies.base import Study

CPU_LIMIT = 1536 * MEGABYTE  # what a batch may take, so that a process with model and libraries stays under 4 GB
CPU_SHARE, CUDA_SHARE = 0.5, 0.8  # of the memory at hand
CPU_RUNS = 8  # more at once gain nothing on a CPU, and results come in more steadily


class MeasuredBatches:
    """How many runs the batches after the first hold: what the ones before them took of a GPU says it better."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def begin(self) -> None:
        """A batch begins: from now on its peak counts."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def at_once(self, runs: int) -> int | None:
        """How many runs fit, after a batch of `runs` that has given its memory back; None where it is not measured."""
        if self.device.type != "cuda":
            return None
        taken, free = torch.cuda.max_memory_reserved(self.device), torch.cuda.mem_get_info(self.device)[0]
        return that_fit(runs, taken, free)


def that_fit(runs: int, taken: int, free: int) -> int:
    """How many runs fit into `free` bytes of a GPU where `runs` took `taken`."""
    return max(1, min(MAX_RUNS, int(CUDA_SHARE * free * runs / max(1, taken))))


def runs_at_once(spec: Study, device: torch.device) -> int:
    """How many runs of a study go into one batch."""
    if device.type == "cuda":
        batch, most = int(CUDA_SHARE * torch.cuda.mem_get_info(device)[0]), MAX_RUNS
    else:
        batch, most = min(CPU_LIMIT, int(CPU_SHARE * free_memory()), job_bytes() - spec.fixed_bytes()), CPU_RUNS
    return max(1, min(most, batch // spec.run_bytes()))
