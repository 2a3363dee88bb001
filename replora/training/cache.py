"""What stands before the adapted blocks, computed once an example and kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from replora.backbones import Backbone, Rows
from replora.tasks import Indices, Split

CHUNK = {"cpu": 32, "cuda": 512, "mps": 128}


class PrefixCache:
    """Rows of a frozen prefix for the examples of a split, filled as they are first asked for.

    The memory is reserved at once but, on the CPU, only used once written.
    """

    def __init__(self, backbone: Backbone, split: Split, first: int, dtype: torch.dtype) -> None:
        self.backbone = backbone
        self.split = split
        self.first = first
        self.dtype = dtype
        self.device = backbone.device
        self.known = np.zeros(len(split), dtype=bool)
        self.rows: Rows = {}
        # Texts are encoded together, to one length; images one chunk at a time, when they are needed.
        self.inputs = backbone.encode(split.examples) if backbone.modality == "text" else None

    def take(self, places: Indices) -> Rows:
        """Rows of the examples at `places`, on the backbone's device; texts cut to the longest among them."""
        missing = np.unique(places[~self.known[places]])
        chunk = CHUNK[self.device.type]
        for start in range(0, len(missing), chunk):
            self._fill(missing[start : start + chunk])
        wanted = torch.from_numpy(places).to(self.device)
        rows = {name: values[wanted] for name, values in self.rows.items()}
        if "mask" in rows:
            longest = int(rows["mask"].sum(dim=1).max())
            rows = {name: values[:, :longest] for name, values in rows.items()}
        return rows

    def chunks(self, size: int) -> Iterator[tuple[Indices, Rows]]:
        """All examples, `size` at a time: their places and rows. Texts of like length come together: less padding."""
        lengths = np.zeros(len(self.split)) if self.inputs is None else self.inputs["mask"].sum(dim=1).numpy()
        order = np.argsort(lengths, kind="stable")
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
            if name not in self.rows:
                self.rows[name] = values.new_empty(len(self.split), *values.shape[1:])
            self.rows[name][target] = values
        self.known[places] = True


class Prefixes:
    """The prefix caches of one frozen backbone, shared by races that follow each other on the same examples."""

    def __init__(self) -> None:
        self.kept: dict[str, PrefixCache] = {}

    def of(self, name: str, backbone: Backbone, split: Split, first: int, dtype: torch.dtype) -> PrefixCache:
        """The cache of a split by the split's name, made when it is first asked for."""
        if name not in self.kept:
            self.kept[name] = PrefixCache(backbone, split, first, dtype)
        return self.kept[name]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Autocast to `dtype`, or none for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype != torch.float32)
