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


def runs_at_once(spec: Study, device: torch.device) -> int:
    """How many runs of a study go into one batch."""
    if device.type == "cuda":
        batch, most = int(CUDA_SHARE * torch.cuda.mem_get_info(device)[0]), MAX_RUNS
    else:
        batch, most = min(CPU_LIMIT, int(CPU_SHARE * free_memory()), job_bytes() - spec.fixed_bytes()), CPU_RUNS
    return max(1, min(most, batch // spec.run_bytes()))
