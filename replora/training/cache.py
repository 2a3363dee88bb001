"""What stands before the adapted blocks, computed once an example and kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from replora.backbones import Backbone, Rows
from replora.backbones.packs import Sequences, fit, pack, width_for
from replora.tasks import Indices, Split
from replora.training.device import is_of_one_type

CHUNK = {"cpu": 32, "cuda": 512, "mps": 128}
TESTED = {"cpu": 128, "cuda": 8192, "mps": 512}  # examples of all runs that are tested at once
LENGTHS = {"cpu": 1, "cuda": 16, "mps": 1}  # what unpacked texts are cut to a multiple of: graphs repeat few lengths
GROUP = 16  # texts at most that are packed together


class PrefixCache:
    """Rows of a frozen prefix for the examples of a split, filled as they are first asked for.

    packed: whether texts are handed out in packs, without the padding of each (see `replora.backbones.packs`).
    The memory is reserved at once but, on the CPU, only used once written.
    """

    def __init__(
        self, backbone: Backbone, split: Split, first: int, dtype: torch.dtype, *, packed: bool = False
    ) -> None:
        self.backbone = backbone
        self.split = split
        self.first = first
        self.dtype = dtype
        self.device = backbone.device
        self.packed = packed and backbone.packs
        self.known = np.zeros(len(split), dtype=bool)
        self.rows: Rows = {}
        # Texts are encoded together, to one length; images one chunk at a time, when they are needed.
        self.inputs = backbone.encode(split.examples) if backbone.modality != "image" else None
        lengths = torch.zeros(len(split), dtype=torch.int64) if self.inputs is None else self.inputs["mask"].sum(dim=1)
        self.lengths: Indices = lengths.numpy()  # tokens of each example, 0 for pictures
        self.token_counts = lengths.to(self.device)
        self.width = width_for(int(lengths.max()))  # of the sequences into which texts are packed

    def take(self, places: Indices) -> Rows:
        """Rows of the examples at `places`, on the backbone's device; texts cut to the longest among them."""
        self.fill(places)
        return self._padded(torch.from_numpy(places).to(self.device), int(self.lengths[places].max()))

    def fill(self, places: Indices) -> None:
        """Compute what is not yet known of these examples."""
        missing = np.unique(places[~self.known[places]])
        chunk = CHUNK[self.device.type]
        for start in range(0, len(missing), chunk):
            self._fill(missing[start : start + chunk])

    def plan(self, places: Indices) -> tuple[Indices, Sequences]:
        """Where the texts at `places` (..., examples) begin when packed, like `places`, and the sequences they take.

        Unpacked each has a sequence of its own, as long as the longest.
        """
        if not self.packed:
            longest, multiple = int(self.lengths[places].max()), LENGTHS[self.device.type]
            return np.zeros_like(places), Sequences(1, -(-longest // multiple) * multiple)
        groups = places.reshape(-1, _group_size(places.shape[-1]))
        starts, count = fit(self.lengths[groups], self.width)
        return starts.reshape(places.shape), Sequences(count, self.width)

    def at(self, places: Tensor, starts: Tensor, sequences: Sequences) -> Rows:
        """Rows of examples (..., examples) that have been filled and planned, by work of the device alone."""
        if not self.packed:
            return self._padded(places.flatten(), sequences.width)
        size = _group_size(places.shape[-1])
        places, starts = places.reshape(-1, size), starts.reshape(-1, size)
        return pack(self.rows, places, starts, self.token_counts[places], sequences)

    def _padded(self, places: Tensor, length: int) -> Rows:
        rows = {name: values[places] for name, values in self.rows.items()}
        return {name: values[:, :length] for name, values in rows.items()} if "mask" in rows else rows

    def portions(self, runs: int) -> tuple[list[Indices], Indices]:
        """All examples in portions (groups, examples) that `runs` runs are tested on at once; and where each stands.

        Their shapes hardly differ, so that they can be replayed; places are counted through them, one after another.
        """
        order = np.argsort(self.lengths, kind="stable")
        if self.packed:  # dealt out by length, so that groups are nearly equally full
            groups = -(-len(order) // GROUP)
            at_once = min(groups, max(1, TESTED[self.device.type] // (runs * GROUP)))
            groups = -(-groups // at_once) * at_once
            order = np.resize(order, groups * GROUP).reshape(GROUP, groups).T.ravel()
            portions = list(order.reshape(-1, at_once, GROUP))
        else:
            count = -(-len(order) // max(1, TESTED[self.device.type] // runs))
            portions = [each[None] for each in np.array_split(order, count)]
        return portions, np.unique(np.concatenate([each.ravel() for each in portions]), return_index=True)[1]

    def chunks(self, size: int) -> Iterator[tuple[Indices, Rows]]:
        """All examples, `size` at a time: their places and rows. Texts of like length come together: less padding."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), size):
            places = order[start : start + size]
            yield places, self.take(places)

    def _fill(self, places: Indices) -> None:
        if self.inputs is None:
            encoded = self.backbone.encode(self.split.take(places).examples)
        else:
            encoded = {name: values[torch.from_numpy(places)] for name, values in self.inputs.items()}
        encoded = {name: values.to(self.device) for name, values in encoded.items()}
        with torch.no_grad(), autocast(self.device, self.dtype):
            computed = self.backbone.prefix(encoded, self.first)
        target = torch.from_numpy(places).to(self.device)
        for name, values in computed.items():
            if is_of_one_type(self.device) and values.is_floating_point():
                values = values.to(self.dtype)
            if name not in self.rows:
                self.rows[name] = values.new_empty(len(self.split), *values.shape[1:])
            self.rows[name][target] = values
        self.known[places] = True


def _group_size(texts: int) -> int:
    """How many of so many texts, the batch of a run, are packed together."""
    return max(size for size in range(1, GROUP + 1) if texts % size == 0)


class Prefixes:
    """The prefix caches of one frozen backbone, shared by races that follow each other on the same examples."""

    def __init__(self) -> None:
        self.kept: dict[str, PrefixCache] = {}

    def of(
        self, name: str, backbone: Backbone, split: Split, first: int, dtype: torch.dtype, *, packed: bool = False
    ) -> PrefixCache:
        """The cache of a split by the split's name, made when it is first asked for."""
        if name not in self.kept:
            self.kept[name] = PrefixCache(backbone, split, first, dtype, packed=packed)
        return self.kept[name]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Autocast to `dtype`, or none for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype != torch.float32)
