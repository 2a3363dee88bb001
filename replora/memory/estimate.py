"""The memory of races and studies, in bytes, before they run. No torch; `benchmarks.memory` measures how good it is.

What counts: the libraries and the frozen backbone, its prefix of every example that is used, and for each run what is
trained, with its optimizer, and what backward keeps of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pyarrow.parquet as pq

from replora.catalog import ASSETS, BACKBONES, MAX_TOKENS
from replora.config import AUTO, Method, Race
from replora.memory.parameters import trained_parameters
from replora.memory.sizes import Sizes, Trained, sizes_of
from replora.tasks import task_card

MEGABYTE = 2**20
NUMBER = 4  # bytes; where products are in bfloat16 a batch takes less
LIBRARIES = 760 * MEGABYTE  # a process that has loaded torch, timm, transformers and the embedded backbones
COPIES = (
    7  # of what is trained: values, gradients, their parts before they are joined, two moments, the update, its root
)
BLOCK_WIDTHS = 9  # vectors of the model's width that backward keeps of a token in a transformer block
RANKS = 3  # vectors of the rank that it keeps of a token and an adapted projection
CHUNK = 128  # rows that go through the model at once where nothing is kept for backward


def run_bytes(spec: Trained, method: Method, rank: int) -> int:
    """What one more run adds to a batch; rank: the largest of the batch, to which all are filled up, 0: no adapters."""
    sizes, adapted = sizes_of(spec.backbone, spec.task), len(method.projections)
    kept = spec.adapted_blocks + 1 if rank else 1
    batch = kept * spec.batch_size * (_block_numbers(sizes) + RANKS * adapted * rank * sizes.tokens)
    made = spec.adapted_blocks * RANKS * 2 * adapted * rank * sizes.width  # anew each step
    return NUMBER * (
        batch + made + COPIES * trained_parameters(method, sizes.width, spec.adapted_blocks, sizes.value_width)
    )


def _block_numbers(sizes: Sizes) -> int:
    """What backward keeps of an example in a block."""
    return (BLOCK_WIDTHS * sizes.width + sizes.heads * sizes.tokens) * sizes.tokens


def fixed_bytes(spec: Trained, examples: int, validation: int) -> int:
    """What a job takes whatever its runs are; examples: how many training examples its runs use together."""
    sizes, rows = sizes_of(spec.backbone, spec.task), examples_of(spec.task)
    held = sum(min(rows, each) for each in (examples, spec.test_examples, validation))
    backbones = 1 if spec.backbone in (AUTO, *BACKBONES) else 3  # one that is not preloaded is read, kept and adapted
    numbers = backbones * sizes.parameters + held * sizes.tokens * sizes.width + CHUNK * _block_numbers(sizes)
    return LIBRARIES + NUMBER * numbers


@lru_cache(maxsize=256)
def examples_of(task: str) -> int:
    """Examples in the file of a task, of both splits; `TaskError` where there is no such task."""
    return int(pq.read_metadata(ASSETS / task_card(task).file).num_rows)


def reserved_bytes(backbone: str, task: str) -> int:
    """Addresses that the prefix of all examples takes, though only those of the examples in use are ever written."""
    sizes = sizes_of(backbone, task)
    tokens = MAX_TOKENS if task_card(task).modality == "text" else sizes.tokens
    return NUMBER * examples_of(task) * tokens * sizes.width


def race_bytes(race: Race) -> int:
    """What a race takes at its peak."""
    seeds = len({run.seed for run in race.runs})
    examples = round(seeds * max(run.data_fraction for run in race.runs) * examples_of(race.task))
    methods = [run.method for run in race.runs]
    return fixed_bytes(race, examples, race.validation_examples) + batch_bytes(race, methods)


def batch_bytes(spec: Trained, methods: Sequence[Method]) -> int:
    """What runs of these methods take as one batch."""
    rank = max((each.rank for each in methods if each.has_adapter), default=0)
    return sum(run_bytes(spec, each, rank) for each in methods)
