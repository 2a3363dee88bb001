"""attach, merge, detach on real model classes; PEFT is the oracle for LoRA's forward."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import peft
import pytest
import torch
from present import present
from torch import nn

from replora import Method, SpecError, attach, delta_weights, detach, find_attention, merge
from replora.adapters.attach import AdapterError, adapter_of
from replora.adapters.factors import AttentionShape, Factors
from replora.adapters.kinds import make_factors
from replora.adapters.linear import LowRankLinear
from replora.adapters.sites import AttentionNotFoundError
from replora.config import RaceOptions

KNOBS: list[dict[str, Any]] = [
    {"activation": "relu", "sharing": "trunk", "layer_sharing": "own", "residual": False},
    {"activation": "identity", "sharing": "separate", "layer_sharing": "one", "residual": True},
    {"activation": "gelu", "sharing": "separate", "layer_sharing": "own", "residual": False},
    {"activation": "tanh", "sharing": "trunk", "layer_sharing": "one", "residual": True},
]
METHODS = [
    Method(name="lora", rank=3, alpha=6),
    *(Method(name="replora", rank=3, mlp_width=8, **knobs) for knobs in KNOBS),
]
TIED = Method(name="replora", rank=3, mlp_width=8, sharing="tied")


def scramble(factors: Factors) -> None:
    """Move every parameter away from its start, so that delta_weight is no longer zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in factors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize(
    "knobs",
    list(
        itertools.product(
            ["identity", "relu", "gelu", "tanh"], ["trunk", "tied", "separate"], ["own", "one"], [False, True]
        )
    ),
    ids=lambda knobs: "-".join(map(str, knobs)),
)
def test_delta_weight_starts_at_exactly_zero(knobs, timm_example):
    activation, sharing, layer_sharing, residual = knobs
    method = Method(
        rank=2, mlp_width=4, activation=activation, sharing=sharing, layer_sharing=layer_sharing, residual=residual
    )
    adapted = attach(timm_example.model, method, runs=2)
    for run in range(2):
        deltas = delta_weights(adapted, run)
        assert len(deltas) == 3
        assert all(torch.count_nonzero(each) == 0 for pair in deltas for each in pair)
    factors = adapter_of(adapted).factors
    scramble(factors)
    assert all(each.norm() > 0 for pair in delta_weights(adapted) for each in pair)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{m.sharing}-{m.activation}")
def test_adapted_copy_starts_as_the_model_and_leaves_it_untouched(method, example):
    before = copy.deepcopy(example.model.state_dict())
    inputs = example.inputs(4)
    with torch.no_grad():
        expected = example.logits(example.model, inputs)
        adapted = attach(example.model, method)
        assert torch.equal(example.logits(adapted, inputs), expected)
    assert type(adapted) is type(example.model)
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("replora_adapter." in name for name in trained)
    assert all(parameter.requires_grad for parameter in example.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in example.model.state_dict().items())


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{m.sharing}-{m.activation}")
def test_merge_and_detach_give_plain_models(method, example):
    inputs = example.inputs(4)
    adapted = attach(example.model, method, runs=2)
    scramble(adapter_of(adapted).factors)
    doubled = {name: torch.cat([value, value]) for name, value in inputs.items()}
    with torch.no_grad():
        logits = example.logits(adapted, doubled).chunk(2)
        base = example.logits(example.model, inputs)
        for run in range(2):
            plain = merge(adapted, run)
            merged = example.logits(plain, inputs)
            assert (merged - base).abs().max() > 1e-3
            torch.testing.assert_close(merged, logits[run], atol=1e-5, rtol=0)
            assert [name for name, _ in plain.named_modules()] == [name for name, _ in example.model.named_modules()]
            assert not any(isinstance(module, LowRankLinear) for module in plain.modules())
            assert all(parameter.requires_grad for parameter in plain.parameters())
        restored = detach(adapted)
        assert restored.state_dict().keys() == example.model.state_dict().keys()
        assert torch.equal(example.logits(restored, inputs), base)


def test_tied_factors_are_shared_and_refused_for_grouped_query_attention(timm_example, grouped_query_example):
    adapted = attach(timm_example.model, TIED)
    scramble(adapter_of(adapted).factors)
    assert all(torch.equal(query, value) for query, value in delta_weights(adapted))
    with pytest.raises(SpecError, match=r"tied.*32 and 16"):
        attach(grouped_query_example.model, TIED)


def test_delta_norms_equal_the_norm_of_the_matrices(timm_example):
    adapted = attach(timm_example.model, Method(name="lora", rank=3, alpha=5), runs=2)
    factors = adapter_of(adapted).factors
    scramble(factors)
    norms = factors.delta_norms(factors.generate())
    for run in range(2):
        stacked = torch.cat([each.flatten() for pair in delta_weights(adapted, run) for each in pair])
        torch.testing.assert_close(norms[run], stacked.norm())


@pytest.mark.parametrize("name", ["bert", "timm"])
def test_lora_equals_peft(name, bert_example, timm_example):
    """PEFT's own layers with our A and B. Fused qkv: r = 2 rank and a block form, which PEFT sees as one LoRA."""
    example = {"bert": bert_example, "timm": timm_example}[name]
    rank, alpha = 3, 7.0
    adapted = attach(example.model, Method(name="lora", rank=rank, alpha=alpha))
    scramble(adapter_of(adapted).factors)
    fused = name == "timm"
    config = peft.LoraConfig(
        r=2 * rank if fused else rank,
        lora_alpha=2 * alpha if fused else alpha,
        target_modules=example.target_modules,
    )
    oracle = peft.get_peft_model(copy.deepcopy(example.model), config).eval()
    pair = adapter_of(adapted).factors.generate()
    layers = [module for module in oracle.modules() if isinstance(module, peft.tuners.lora.layer.Linear)]
    with torch.no_grad():
        for layer in range(3):
            (a_query, b_query), (a_value, b_value) = ((a[0, layer], b[0, layer]) for a, b in pair.values())
            if fused:
                layers[layer].lora_A["default"].weight.copy_(torch.cat([a_query, a_value]))
                b = torch.zeros(96, 2 * rank)
                b[:32, :rank], b[64:, rank:] = b_query, b_value
                layers[layer].lora_B["default"].weight.copy_(b)
            else:
                for linear, a, b in [(layers[2 * layer], a_query, b_query), (layers[2 * layer + 1], a_value, b_value)]:
                    linear.lora_A["default"].weight.copy_(a)
                    linear.lora_B["default"].weight.copy_(b)
        inputs = example.inputs(4)
        expected = example.logits(oracle, inputs)
        assert (expected - example.logits(example.model, inputs)).abs().max() > 1e-3
        torch.testing.assert_close(example.logits(adapted, inputs), expected, atol=1e-5, rtol=0)


def test_gradients_equal_those_of_the_written_out_product(timm_example):
    """Autograd through (W + scaling B A) x, built from delta_weight, as the oracle."""
    adapted = attach(timm_example.model, Method(rank=2, mlp_width=4))
    factors = adapter_of(adapted).factors
    scramble(factors)
    inputs = timm_example.inputs(3)
    timm_example.logits(adapted, inputs).square().sum().backward()
    ours = {name: present(parameter.grad).clone() for name, parameter in factors.named_parameters()}
    factors.zero_grad()

    pair = factors.generate()
    weights = {}
    for layer, site in enumerate(find_attention(timm_example.model)):
        (a_query, b_query), (a_value, b_value) = ((a[0, layer], b[0, layer]) for a, b in pair.values())
        delta = torch.cat([b_query @ a_query, torch.zeros(32, 32), b_value @ a_value]) * factors.scaling[0]
        weights[f"{site.path}.qkv.weight"] = timm_example.model.get_submodule(site.path).qkv.weight.detach() + delta
    torch.func.functional_call(timm_example.model, weights, kwargs=inputs).square().sum().backward()
    for name, parameter in factors.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-4, rtol=1e-4)


def test_runs_do_not_depend_on_their_neighbours(timm_example):
    method = Method(rank=2, mlp_width=4)
    three = adapter_of(attach(timm_example.model, method, runs=3, seed=5)).factors
    alone = adapter_of(attach(timm_example.model, method, seed=7)).factors
    for name, parameter in alone.named_parameters():
        assert torch.equal(three.get_parameter(name)[2], parameter[0])


def test_layers_are_chosen_by_place(timm_example):
    adapted = attach(timm_example.model, Method(name="lora"), layers=[-1, 0])
    assert adapter_of(adapted).layers == (0, 2)
    assert isinstance(adapted.blocks[1].attn.qkv, nn.Linear)
    assert isinstance(adapted.blocks[2].attn.qkv, LowRankLinear)


def test_head_only_freezes_and_adapts_nothing(timm_example):
    frozen = attach(timm_example.model, Method(name="head"))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert not any(isinstance(module, LowRankLinear) for module in frozen.modules())


def test_bad_requests_are_refused_in_one_sentence(timm_example):
    model = timm_example.model
    with pytest.raises(SpecError, match="rank must be a whole number from 1 to 32, the layer's width, got 33"):
        attach(model, Method(name="lora", rank=33))
    with pytest.raises(SpecError, match="layers must be whole numbers from -3 to 2, got 3"):
        attach(model, Method(name="lora"), layers=[3])
    with pytest.raises(SpecError, match="runs must be a whole number from 1, got 0"):
        attach(model, Method(name="lora"), runs=0)
    with pytest.raises(SpecError, match="run must be a whole number from 0 to 0, got 1"):
        merge(attach(model, Method(name="lora")), run=1)
    with pytest.raises(AdapterError, match="no adapters"):
        merge(model)
    with pytest.raises(AdapterError, match="already"):
        attach(attach(model, Method(name="lora")), Method(name="lora"))
    with pytest.raises(
        AttentionNotFoundError, match=r"Sequential: looked for .*query and value.*qkv.*; found .*Linear, ReLU"
    ):
        attach(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), Method(name="lora"))


def test_tied_lora_has_one_update_for_query_and_value_and_half_the_parameters():
    shape = AttentionShape(2, 16, (16, 16))
    tied, apart = (make_factors(Method(name="lora", sharing=each), shape, [0]) for each in ("tied", "separate"))
    assert tied.trained_parameters() * 2 == apart.trained_parameters()
    with torch.no_grad():
        tied.get_parameter("b_query").normal_()
    for query, value in tied.delta_weights(0):
        assert torch.equal(query, value)
        assert query.norm() > 0
    with pytest.raises(SpecError, match="needs query and value of one width"):
        make_factors(Method(name="lora", sharing="tied"), AttentionShape(1, 16, (16, 8)), [0])


def test_the_sharing_of_a_form_is_that_of_replora_alone():
    race = RaceOptions(sharing="tied").race()
    assert {run.method.name: run.method.sharing for run in race.runs} == {"lora": "trunk", "replora": "tied"}
