"""Measures of gates and experts: the two parts of a change, entropy, effective experts, divergence, load, shifts.

Gates are (..., tokens, tokens), experts (..., tokens, head_dim): one head, or all heads of a layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from replora.options import SpecError


def routing_part(gates: Tensor, base_gates: Tensor, base_experts: Tensor) -> Tensor:
    """sum_j (gate_ij - base_gate_ij) base_expert_j, (..., tokens, head_dim)."""
    return (gates - base_gates) @ base_experts


def expert_part(gates: Tensor, experts: Tensor, base_experts: Tensor) -> Tensor:
    """sum_j gate_ij (expert_j - base_expert_j), (..., tokens, head_dim)."""
    return gates @ (experts - base_experts)


def entropy(gates: Tensor) -> Tensor:
    """Entropy of each row of gates in nats, (..., tokens): 0 for one expert, log(tokens) for all alike."""
    entropies: Tensor = torch.special.entr(gates).sum(-1)
    return entropies


def effective_experts(gates: Tensor) -> Tensor:
    """exp(entropy): how many experts share each row, from 1 to tokens, (..., tokens)."""
    return entropy(gates).exp()


def kl(gates: Tensor, base_gates: Tensor) -> Tensor:
    """KL(gates || base_gates) of each query in nats, (..., tokens).

    A base gate that was rounded to 0 counts as the smallest normal number, so the result is finite (a lower bound).
    """
    floor = torch.finfo(base_gates.dtype).tiny
    terms = torch.xlogy(gates, gates) - torch.xlogy(gates, base_gates.clamp_min(floor))
    return terms.sum(-1).clamp_min(0)  # rounding alone can make the sum negative


def load(gates: Tensor, queries: Tensor | None = None) -> Tensor:
    """Mean gate of each token, (..., tokens), over all queries or those where `queries` (tokens,) is true."""
    return (gates if queries is None else gates[..., queries, :]).mean(-2)


def top_tokens(loads: Tensor, count: int) -> list[int]:
    """The `count` tokens of largest load, largest first and earlier first among equals; loads (tokens,)."""
    if loads.dim() != 1:
        raise SpecError(f"loads must have one axis, tokens, got shape {tuple(loads.shape)}.")
    check_whole("count", count, len(loads) + 1, low=1)
    return [int(each) for each in loads.argsort(descending=True, stable=True)[:count]]


def shift_norms(experts: Tensor, base_experts: Tensor) -> Tensor:
    """How far the update moves each expert, (..., tokens): ||B_V A_V x_j||, scaling inside, B_V's rows of this head."""
    norms: Tensor = torch.linalg.vector_norm(experts - base_experts, dim=-1)
    return norms


def check_whole(name: str, value: int, stop: int, *, low: int = 0) -> None:
    """`SpecError` unless `value` is a whole number from `low` to below `stop`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < stop:
        raise SpecError(f"{name} must be a whole number from {low} to {stop - 1}, got {value!r}.")
