"""Classification heads of all runs as one stack, and their two starts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replora.adapters.factors import kaiming_uniform
from replora.seeding import stream_seed

PROBE_DECAY = 1e-3  # ridge of the probe, per example
PROBE_ITERATIONS = 50


class Heads(nn.Module):
    """Linear heads: features (runs, batch, width) to logits (runs, batch, classes). A seed fixes a head's start."""

    def __init__(self, seeds: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        generators = [torch.Generator().manual_seed(stream_seed(seed, "head")) for seed in seeds]
        weights = [kaiming_uniform(width, classes, width, generator=generator) for generator in generators]
        self.weight = nn.Parameter(torch.stack(weights))  # (runs, classes, width)
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, classes))

    def forward(self, features: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, features, self.weight.mT)


def fit_probe(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression with a small ridge on frozen features (examples, width).

    Returns weight (classes, width) and bias (classes,) for the features as they are. Fitted in float64 by L-BFGS on
    standardised features, on the CPU, so that it is the same on every device up to the features themselves.
    """
    inputs, targets = features.detach().double().cpu(), labels.cpu()
    mean, scale = inputs.mean(dim=0), inputs.std(dim=0, unbiased=False).clamp_min(1e-6)
    inputs = (inputs - mean) / scale
    weight = torch.zeros(classes, inputs.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=PROBE_ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(inputs @ weight.T + bias, targets) + PROBE_DECAY * weight.square().sum()
        loss.backward()
        return loss

    solver.step(objective)
    with torch.no_grad():
        scaled = weight / scale
        return scaled.float(), (bias - scaled @ mean).float()
