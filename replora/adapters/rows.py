"""Which rows of a linear layer belong to which projection, where several projections share the layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class OwnedRows:
    """Rows of a layer's output: blocks, ascending, none touching the next; one block where they stand together."""

    blocks: tuple[range, ...]

    @classmethod
    def of(cls, places: Iterable[int]) -> OwnedRows:
        """The rows at these places."""
        blocks: list[range] = []
        for place in sorted(places):
            if blocks and blocks[-1].stop == place:
                blocks[-1] = range(blocks[-1].start, place + 1)
            else:
                blocks.append(range(place, place + 1))
        return cls(tuple(blocks))

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def __iter__(self) -> Iterator[int]:
        return (place for block in self.blocks for place in block)

    def take(self, values: Tensor, dim: int = 0) -> Tensor:
        """These rows of `values` along `dim`, one after another; a view where they stand together."""
        parts = [values.narrow(dim, block.start, len(block)) for block in self.blocks]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def every_row(count: int) -> OwnedRows:
    """All rows of a layer that one projection has to itself."""
    return OwnedRows((range(count),))
