"""How many runs of a study one batch holds, by the memory at hand. No torch."""

from __future__ import annotations

from replora.config import MAX_RUNS
from replora.memory.estimate import MEGABYTE
from replora.studies.base import Study

CPU_LIMIT = 1536 * MEGABYTE  # what a batch may take, so that a process with model and libraries stays under 4 GB
CPU_SHARE, CUDA_SHARE = 0.5, 0.8  # of the memory at hand
CPU_RUNS = 8  # more at once gain nothing on a CPU, and results come in more steadily


def runs_on_cpu(spec: Study, free: int, job: int) -> int:
    """Runs of a batch where so many bytes are free and a job may take so many."""
    return _that_fit(spec, min(CPU_LIMIT, int(CPU_SHARE * free), job - spec.fixed_bytes()), CPU_RUNS)


def runs_on_gpu(spec: Study, free: int) -> int:
    """Runs of a batch on a GPU with so many free bytes."""
    return _that_fit(spec, int(CUDA_SHARE * free), MAX_RUNS)


def _that_fit(spec: Study, room: int, most: int) -> int:
    return max(1, min(most, room // spec.run_bytes()))
