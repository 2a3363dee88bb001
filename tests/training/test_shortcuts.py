"""What the engine leaves out changes nothing but rounding: against the model's own modules, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from replora.adapters.attach import adapter_of, attach
from replora.backbones import Backbone, Rows, load_backbone
from replora.config import Method
from replora.tasks import load_task
from replora.training.cache import autocast

RUNS = 2
METHODS = {
    "lora": Method(name="lora", rank=2),
    "replora": Method(name="replora", rank=2, mlp_width=4),
    "query": Method(name="lora", rank=2, projections=("query",)),
    "value": Method(name="lora", rank=2, projections=("value",)),
}


def adapted(name: str, method: Method, first: int) -> Backbone:
    """The backbone with factors that are not zero."""
    backbone = load_backbone(name)
    model: Any = attach(backbone.model, method, runs=RUNS, layers=range(first, backbone.blocks))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in adapter_of(model).factors.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return backbone.with_model(model)


def features_and_gradients(backbone: Backbone, rows: Rows, first: int) -> tuple[Tensor, list[Tensor]]:
    features = backbone.features(rows, first)
    weights = torch.linspace(-1, 1, features.numel()).view_as(features)
    parameters = list(adapter_of(backbone.model).parameters())
    return features.detach(), list(torch.autograd.grad((features * weights).sum(), parameters))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_class_token_alone_is_what_the_whole_last_block_gives_it(method):
    backbone = adapted("dinov2_small_6", method, 4)
    inputs = backbone.encode(load_task("digits").test.examples[: 2 * RUNS])
    with torch.no_grad():
        rows = backbone.prefix(inputs, 4)
    short, gradients = features_and_gradients(backbone, rows, 4)
    whole, expected = features_and_gradients(backbone.module_by_module(), rows, 4)
    torch.testing.assert_close(short, whole, atol=1e-4, rtol=1e-4)
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-3 * float(wanted.abs().max()), rtol=0)
        assert wanted.any()


def test_in_bfloat16_the_class_token_is_as_near_as_the_whole_block():
    backbone, exact = (adapted("dinov2_small_6", METHODS["lora"], 5) for _ in range(2))
    with torch.no_grad():
        rows = backbone.prefix(backbone.encode(load_task("digits").test.examples[: 2 * RUNS]), 5)
        wanted = exact.module_by_module().features(rows, 5)
        with autocast(torch.device("cpu"), torch.bfloat16):
            errors = [(each.features(rows, 5) - wanted).norm() for each in (backbone, backbone.module_by_module())]
    assert 0 < errors[0] < 1.5 * errors[1]
