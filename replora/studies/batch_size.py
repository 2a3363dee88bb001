"""How many runs fit into one batch: an estimate of a run's memory, and the memory at hand."""

from __future__ import annotations

import torch

from replora.config import MAX_RUNS
from replora.memory.machine import free_memory, job_bytes
from replora.studies.base import Study
from replora.studies.batch_room import CUDA_SHARE, runs_on_cpu, runs_on_gpu


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
        return runs_on_gpu(spec, torch.cuda.mem_get_info(device)[0])
    return runs_on_cpu(spec, free_memory(), job_bytes())
