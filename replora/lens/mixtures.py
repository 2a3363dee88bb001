"""What is read of an attention layer: its heads as gates and experts, with its own update and without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from replora.lens.measures import check_whole, expert_part, routing_part


class Mixture(NamedTuple):
    """All heads of one layer: gates (heads, tokens, tokens), experts and output (heads, tokens, head_dim)."""

    gates: Tensor
    experts: Tensor
    output: Tensor


@dataclass(frozen=True)
class HeadExperts:
    """One head for one example; float32.

    gates (tokens, tokens): row i weighs the experts for token i; 0 where a mask hides the expert (the rows of padding
    itself are what the model makes of them). experts (tokens, head_dim). output (tokens, head_dim): what the model
    computed, before anything (norm, output projection) follows.
    base_gates, base_experts, base_output: what this head does on the same input activations without its layer's own
    update; updates of earlier layers stay in those activations, so the split is of this layer's update alone.
    routing_part + expert_part = output - base_output, (tokens, head_dim) each. None where the model has no adapters.
    """

    gates: Tensor
    experts: Tensor
    output: Tensor
    base_gates: Tensor | None = None
    base_experts: Tensor | None = None
    base_output: Tensor | None = None
    routing_part: Tensor | None = None
    expert_part: Tensor | None = None


@dataclass(frozen=True)
class LayerExperts:
    """One attention layer for one example: what it computed, and what it would have without its own update.

    `base` is the same attention on the same inputs (the adapted model's hidden states) with the frozen query and value
    projections; None where the model has no adapters, `mixture` itself where this layer has none.
    """

    mixture: Mixture
    base: Mixture | None

    def head(self, index: int) -> HeadExperts:
        """One head of the layer; `SpecError` where there is none of this index, from 0."""
        check_whole("head", index, len(self.mixture.gates))
        gates, experts, output = (each[index] for each in self.mixture)
        if self.base is None:
            return HeadExperts(gates, experts, output)
        base_gates, base_experts, base_output = (each[index] for each in self.base)
        return HeadExperts(
            gates,
            experts,
            output,
            base_gates,
            base_experts,
            base_output,
            routing_part(gates, base_gates, base_experts),
            expert_part(gates, experts, base_experts),
        )
