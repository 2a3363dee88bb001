"""Device work that is done again and again: run as it is, or replayed as a CUDA graph, which Python need not feed.

Work is a function of tensors of fixed shapes that never asks the device for a number. Whatever it reads beside its
inputs it must find at the same addresses each time. A device without graphs runs the same function each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

Work = Callable[..., Tensor]
Replay = Callable[[], Tensor]
Capture = Callable[[Callable[[], Tensor]], Replay]

WORTH = 4  # so often must a graph be replayed to repay its capture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How a device takes its steps.

    block: how many at most before their losses are read back. packed: whether texts come in packs, whose shapes
    repeat. captures: what makes graphs, anew for each race; None where there are none.
    """

    block: int = 1
    packed: bool = False
    captures: Callable[[], Capture] | None = None

    def graphs(self) -> Graphs:
        """The graphs of a race."""
        return Graphs(self.captures() if self.captures else None)


def pace_of(device: torch.device) -> Pace:
    """CUDA replays, and is asked for losses every ten steps; other devices do what they are told at once."""
    return Pace(10, True, cuda_graphs) if device.type == "cuda" else Pace()


class Graphs:
    """Runs work by its key: as it is the first time, which warms the libraries up, from then on replayed.

    Where capturing fails all goes on without, and a warning says so.
    """

    def __init__(self, capture: Capture | None) -> None:
        self.capture = capture
        self._seen: set[Hashable] = set()
        self._replays: dict[Hashable, tuple[tuple[Tensor, ...], Replay]] = {}

    def run(self, key: Hashable, work: Work, *inputs: Tensor, times: int) -> Tensor:
        """What `work` makes of its inputs; to be read before anything else runs. times: how often it will be asked.

        For one key work and shapes are the same each time.
        """
        if key in self._replays:
            held, replay = self._replays[key]
            for there, each in zip(held, inputs, strict=True):
                there.copy_(each)
            return replay()
        if self.capture is None or key not in self._seen or times < WORTH:
            self._seen.add(key)
            return work(*inputs)
        held = tuple(each.clone() for each in inputs)
        try:
            self._replays[key] = held, self.capture(lambda: work(*held))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.capture = None
            reason = str(error).strip().splitlines()[0].rstrip(".")
            log.warning("Each step of this run is launched by itself: it could not be captured (%s).", reason)
            return work(*inputs)
        return self._replays[key][1]()


def cuda_graphs() -> Capture:
    """What makes CUDA graphs that share their memory: never are two of them on, and each result is read at once."""
    pool = torch.cuda.graph_pool_handle()

    def capture(work: Callable[[], Tensor]) -> Replay:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            result = work()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

    return capture
