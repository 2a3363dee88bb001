"""What the engine leaves out changes nothing but rounding: against the model's own modules, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from replora.adapters.attach import adapter_of, attach
from replora.backbones import Backbone, Rows, load_backbone, use_plain_attention
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


def assert_alike(backbone: Backbone, rows: Rows, first: int) -> None:
    """With shortcuts and module by module: the same features and gradients."""
    short, gradients = features_and_gradients(backbone, rows, first)
    whole, expected = features_and_gradients(backbone.module_by_module(), rows, first)
    torch.testing.assert_close(short, whole, atol=1e-4, rtol=1e-4)
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-3 * float(wanted.abs().max()), rtol=0)
        assert wanted.any()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_class_token_alone_is_what_the_whole_last_block_gives_it(method):
    backbone = adapted("dinov2_small_6", method, 4)
    inputs = backbone.encode(load_task("digits").test.examples[: 2 * RUNS])
    with torch.no_grad():
        rows = backbone.prefix(inputs, 4)
    use_plain_attention(backbone.model)
    assert_alike(backbone, rows, 4)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_padding_that_is_skipped_is_missed_by_nobody(method, first):
    backbone = adapted("minilm_l3", method, first)
    use_plain_attention(backbone.model)
    texts = ["one", "a much longer sentence of a good many words, nearly twenty of them", "two words", "three of them"]
    with torch.no_grad():
        rows = backbone.prefix(backbone.encode(texts), first)
    assert_alike(backbone, rows, first)
    uneven = {name: values[[0, 2, 1, 1]] for name, values in rows.items()}  # one run short, the other without padding
    assert_alike(backbone, uneven, first)


def test_a_prefix_without_padding_leaves_the_tokens_as_they_are():
    backbone = load_backbone("minilm_l3")
    inputs = backbone.encode(["one", "a longer sentence", "a much longer sentence, at last", "two words"])
    with torch.no_grad():
        short, whole = (each.prefix(inputs, 2) for each in (backbone, backbone.module_by_module()))
    assert short["hidden"].shape == whole["hidden"].shape
    torch.testing.assert_close(short["hidden"][inputs["mask"]], whole["hidden"][inputs["mask"]], atol=1e-5, rtol=1e-5)


def test_a_run_that_is_not_a_number_leaves_the_others_alone():
    backbone = adapted("minilm_l3", METHODS["lora"], 0)
    rows = backbone.encode(["one", "a much longer sentence of a good many words", "two words", "three of them"])
    clean = backbone.features(rows, 0)
    parameters = list(adapter_of(backbone.model).parameters())
    with torch.no_grad():
        parameters[0][0] = float("nan")
    features = backbone.features(rows, 0)
    assert features[:2].isnan().all()
    assert torch.equal(features[2:], clean[2:])
    for gradient in torch.autograd.grad(features.sum(), parameters):
        assert gradient[1].isfinite().all()


def test_in_bfloat16_the_class_token_is_as_near_as_the_whole_block():
    backbone, exact = (adapted("dinov2_small_6", METHODS["lora"], 5) for _ in range(2))
    with torch.no_grad():
        rows = backbone.prefix(backbone.encode(load_task("digits").test.examples[: 2 * RUNS]), 5)
        wanted = exact.module_by_module().features(rows, 5)
        with autocast(torch.device("cpu"), torch.bfloat16):
            errors = [(each.features(rows, 5) - wanted).norm() for each in (backbone, backbone.module_by_module())]
    assert 0 < errors[0] < 1.5 * errors[1]
