"""How much of what an update does is routing and how much experts, for models beside each other that read a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from replora.lens.attention import layer_sizes, read_forward
from replora.lens.continuation.mixing import Stack
from replora.lens.subject import Subject, whole_forward


def part_shares(about: Subject, stack: Stack, prompt: Sequence[int], models: int) -> dict[str, tuple[float, ...]]:
    """`routing` and `expert` (models,) of the first `models` of the stack: see `ContinuationAnswer`."""
    backbone = about.adapted(stack.pairs, stack.scaling, stack.first)
    ids = torch.tensor([list(prompt)] * len(stack.scaling))
    rows = {"ids": ids, "mask": torch.ones_like(ids, dtype=torch.bool)}
    layers = range(stack.first, backbone.blocks)
    _, read = read_forward(backbone.model, lambda: whole_forward(backbone, rows), layers=layers, runs=range(models))
    shares: dict[str, tuple[float, ...]] = {"routing": (), "expert": ()}
    for noted in read:
        sizes = [layer_sizes(layer) for layer in noted]  # (heads,) each
        routing, expert, _, base = (torch.stack(each) for each in zip(*sizes, strict=True))
        for name, part in (("routing", routing), ("expert", expert)):
            shares[name] += (float((part / base.clamp_min(1e-12)).mean()),)
    return shares
