"""PiSSA and OLoRA: what A and B start from is taken out of the layer's own weight, so that nothing moves at first.

PEFT does that again whenever such a folder is loaded. Here the weight stays as it is, and what was taken out of it
stands beside A and B, with the other sign: B A - B_0 A_0 = [B, -B_0] [A; A_0], a plain LoRA of twice the rank.
"""

from __future__ import annotations

import torch
from torch import Tensor

from replora.adapters.factors import LowRankPair


@torch.no_grad()
def without_start(pair: LowRankPair, weight: Tensor, start: str, scaling: float) -> LowRankPair:
    """A (2 r, in_features) and B (out_features, 2 r) of the change of `weight` that a trained pair and its start make.

    weight (out_features, in_features); start: 'pissa', its first r singular triples (Meng et al. 2024), or 'olora', the
    first r columns and rows of its QR factors (Büyükakyüz 2024).
    """
    rank, weight = len(pair.a), weight.float()
    if start == "pissa":
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
        a, b = right[:rank], left[:, :rank] * (values[:rank] / scaling)
    else:
        left, right = torch.linalg.qr(weight)
        a, b = right[:rank], left[:, :rank]
    return LowRankPair(torch.cat([pair.a.float(), a.cpu()]), torch.cat([pair.b.float(), -b.cpu()], dim=1))
