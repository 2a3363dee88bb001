"""How many runs fit into one batch: an estimate of a run's memory, and the memory at hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from replora.config import AUTO, MAX_RUNS
from replora.methods import is_reparameterized
from replora.studies.base import Study
from replora.tasks import task_card

MEGABYTE = 2**20
CPU_LIMIT = 1536 * MEGABYTE  # what a batch may take, so that a process with model and libraries stays under 4 GB
CPU_SHARE, CUDA_SHARE = 0.5, 0.8  # of the memory at hand
UNKNOWN_MEMORY = 2048 * MEGABYTE
CPU_RUNS = 8  # more at once gain nothing on a CPU, and results come in more steadily
ADAM_COPIES = 7  # values, gradients, their parts before they are joined, two moments, the update and its root
BLOCK_WIDTHS = 20  # vectors of the model's width that backward keeps of a token in a transformer block


@dataclass(frozen=True)
class Sizes:
    """What decides the memory of a run: tokens of an example, model width, attention heads."""

    tokens: int
    width: int
    heads: int


SIZES = {"dinov2_small_6": Sizes(26, 384, 6), "minilm_l3": Sizes(48, 384, 12)}
LARGE = Sizes(257, 1024, 16)  # for a backbone that is not embedded


def run_bytes(spec: Study, numbers: int = 4) -> int:
    """Memory that one more run adds to a batch, in bytes; numbers: bytes of one number in matrix products."""
    sizes = SIZES.get(task_card(spec.task).backbone if spec.backbone == AUTO else spec.backbone, LARGE)
    tokens = spec.batch_size * sizes.tokens
    block = BLOCK_WIDTHS * sizes.width * tokens + 3 * sizes.heads * sizes.tokens * tokens
    adapted, width = len(spec.projections), sizes.width
    factors = 2 * adapted * max(spec.rank, getattr(spec, "lora_rank", 0)) * width
    if any(is_reparameterized(each) for each in spec.titles):
        inner = (1 + adapted) * spec.mlp_width * width + (spec.mlp_depth - 1) * spec.mlp_width**2
        factors += 2 * (inner if spec.mlp_depth else adapted * width**2)
    return (spec.adapted_blocks + 1) * block * numbers + spec.adapted_blocks * factors * 4 * ADAM_COPIES


def memory_at_hand(device: torch.device) -> int:
    """Bytes that a batch may take on a device."""
    if device.type == "cuda":
        return int(CUDA_SHARE * torch.cuda.mem_get_info(device)[0])
    return min(CPU_LIMIT, int(CPU_SHARE * _free_memory()))


def runs_at_once(spec: Study, device: torch.device) -> int:
    """How many runs of a study go into one batch."""
    most = CPU_RUNS if device.type == "cpu" else MAX_RUNS
    return max(1, min(most, memory_at_hand(device) // run_bytes(spec)))


def _free_memory() -> int:
    """Free main memory in bytes: of the machine, or of the container where that is less."""
    return min([each for each in (_from_meminfo(), _from_container()) if each is not None], default=UNKNOWN_MEMORY)


def _from_meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _from_container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the control group of a container still grants; None where it sets no limit."""
    try:
        limit, used = ((folder / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None
