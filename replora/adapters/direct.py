"""LoRA: the factors are held and trained as they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from replora.adapters.factors import (
    AttentionShape,
    Factors,
    LowRankPair,
    LowRankPairs,
    at_layer,
    draw_parameters,
    is_tied,
    kaiming_uniform,
    tensor_of,
)
from replora.config import Method
from replora.methods import PROJECTIONS


class DirectFactors(Factors):
    """LoRA: A starts Kaiming-uniform, B at zero, both are trained (Hu et al. 2021).

    Parameters `a_query` (runs, layers, rank, in_features), `b_query` (runs, layers, out_features, rank), and so on for
    each adapted projection. sharing 'tied': one A and one B for all, named after the first projection, the ablation
    that has RepLoRA's tying without its MLPs. Raises `SpecError` for 'tied' where widths differ.
    """

    def __init__(self, method: Method, shape: AttentionShape, seeds: Sequence[int]) -> None:
        scaling = [method.scaling] * len(seeds)
        super().__init__(len(seeds), method.rank, shape, method.projections, scaling)
        self.method = method
        self.alpha_over = method.alpha_over
        self.tied = is_tied(method, shape)
        self.own = method.projections[:1] if self.tied else method.projections  # those with parameters of their own
        layers, rank = shape.layers, method.rank

        def start(generator: torch.Generator) -> dict[str, Tensor]:
            # Drawn for all, so that the start of one does not depend on which others are adapted.
            drawn = {
                projection: kaiming_uniform(read, layers, rank, read, generator=generator)
                for projection in PROJECTIONS
                if (read := shape.read(projection))
            }
            return {
                **{f"a_{each}": drawn[each] for each in self.own},
                **{f"b_{each}": torch.zeros(layers, shape.width(each), rank) for each in self.own},
            }

        draw_parameters(self, seeds, "direct", start)

    def rate_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """A, and B with its share of A's rate: LoRA+ (Hayou et al. 2024)."""
        if self.method.b_rate_ratio == 1:
            return super().rate_groups()
        sides = [[self.get_parameter(f"{side}_{each}") for each in self.own] for side in "ab"]
        return list(zip(sides, (1.0, self.method.b_rate_ratio), strict=True))

    def generate(self, layer: int | None = None) -> LowRankPairs:
        own = [LowRankPair(tensor_of(self, f"a_{each}"), tensor_of(self, f"b_{each}")) for each in self.own]
        pairs = dict(zip(self.projections, own * len(self.projections) if self.tied else own, strict=True))
        return pairs if layer is None else at_layer(pairs, layer)
