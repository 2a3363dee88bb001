"""What counts as a linear layer: torch's, its subclasses, and transformers' Conv1D, whose weight lies the other way."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

CONV1D = ("transformers.pytorch_utils", "Conv1D")  # told by name: transformers is not loaded for it
PLAIN_FORWARDS = (nn.Linear.forward, nn.modules.linear.NonDynamicallyQuantizableLinear.forward)


def is_transposed(layer: object) -> bool:
    """Whether a layer is a Conv1D, whose weight is (in_features, out_features)."""
    return any((each.__module__, each.__qualname__) == CONV1D for each in type(layer).__mro__)


def is_linear(layer: object) -> bool:
    """Whether a layer can be adapted as a linear one."""
    return isinstance(layer, nn.Linear) or is_transposed(layer)


def weight_of(layer: nn.Module) -> Tensor:
    """The layer's weight as it is kept: (out_features, in_features), of a Conv1D (in_features, out_features)."""
    return cast("Tensor", layer.weight)


def matrix_of(layer: nn.Module) -> Tensor:
    """The layer's weight as (out_features, in_features)."""
    weight = weight_of(layer)
    return weight.mT if is_transposed(layer) else weight


def widths_of(layer: nn.Module) -> tuple[int, int]:
    """in_features and out_features."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    out_features, in_features = matrix_of(layer).shape
    return in_features, out_features


@torch.no_grad()
def adds_plainly(layer: nn.Module) -> bool:
    """Whether a change D of the layer's weight adds x D^T to its output, as it does unless its class says otherwise."""
    if is_transposed(layer) or type(layer).forward in PLAIN_FORWARDS:
        return True
    probe = copy.deepcopy(layer).eval()
    in_features, out_features = widths_of(layer)
    weight = weight_of(probe)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, in_features, generator=generator).to(weight)
    change = torch.randn(out_features, in_features, generator=generator).to(weight)
    before, after = (torch.func.functional_call(probe, {"weight": each}, (x,)) for each in (weight, weight + change))
    added = x @ change.mT
    return before.shape == added.shape and bool(((after - before) - added).abs().max() <= 1e-2 * added.abs().max())
