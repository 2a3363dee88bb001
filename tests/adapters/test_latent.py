"""A latent that is a diagonal: the layer written out with `nn.Linear` and autograd is the oracle."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import peft
import pytest
import torch
from torch import nn

from replora import Method, attach, merge
from replora.adapters.attach import adapter_of
from replora.adapters.factors import AttentionShape
from replora.adapters.peft import save_peft
from replora.adapters.reparameterized import ReparameterizedFactors

RANK, WIDTH = 3, 64  # max(4 rank, 64)
SHAPE = AttentionShape(layers=2, in_features=8, out_features=(8, 4))
METHOD = Method(rank=RANK, mlp_width=WIDTH, mlp_depth=2, latent="diagonal")


def moved(module):
    """Away from the zero start, so that every parameter has a gradient."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def written_out(mlp, run, layer, widths):
    """The generator of one side: a seed vector, two hidden layers with ReLU, an output a projection."""

    def linear(weight, bias):
        weight, bias = (mlp.get_parameter(name).detach()[run, layer] for name in (weight, bias))
        made = nn.Linear(*weight.shape)
        made.weight, made.bias = nn.Parameter(weight.T.clone()), nn.Parameter(bias[0].clone())
        return made

    return SimpleNamespace(
        seed=nn.Parameter(mlp.get_parameter("latent").detach()[run, layer, 0].clone()),
        trunk=nn.Sequential(
            linear("first_weight", "first_bias"), nn.ReLU(), linear("hidden_weight_2", "hidden_bias_2"), nn.ReLU()
        ),
        heads=[linear(f"last_weight_{place}", f"last_bias_{place}") for place in range(len(widths))],
    )


def test_the_layer_and_its_gradients_are_those_written_out_with_autograd():
    factors = moved(ReparameterizedFactors(METHOD, SHAPE, [0, 5]))
    run, layer = 1, 1
    side_a = written_out(factors.g_a[0], run, layer, (8, 8))
    side_b = written_out(factors.g_b[0], run, layer, (8, 4))
    assert side_a.seed.shape == (RANK,)
    deltas = []
    for place, projection in enumerate(("query", "value")):
        a, b = (
            side.heads[place](side.trunk(side.seed)).view(RANK, -1)  # (rank, in_features), (rank, out_features)
            for side in (side_a, side_b)
        )
        pair = factors.generate()[projection]
        torch.testing.assert_close(pair.a[run, layer], a)
        torch.testing.assert_close(pair.b[run, layer], b.T)
        torch.testing.assert_close(factors.generate(layer)[projection].a[run], a)
        deltas.append(b.T @ a)
    sum(delta.pow(3).sum() for delta in deltas).backward()
    ours = [pair.b[run, layer] @ pair.a[run, layer] for pair in factors.generate().values()]
    sum(delta.pow(3).sum() for delta in ours).backward()
    for mlp, side in ((factors.g_a[0], side_a), (factors.g_b[0], side_b)):
        pairs = {
            "latent": side.seed.grad[None],
            "first_weight": side.trunk[0].weight.grad.T,
            "hidden_weight_2": side.trunk[2].weight.grad.T,
            "hidden_bias_2": side.trunk[2].bias.grad[None],
            "last_weight_1": side.heads[1].weight.grad.T,
            "last_bias_0": side.heads[0].bias.grad[None],
        }
        for name, expected in pairs.items():
            assert expected.abs().max() > 0
            torch.testing.assert_close(mlp.get_parameter(name).grad[run, layer], expected)


@pytest.mark.parametrize("sharing", ["trunk", "separate"])
def test_it_starts_at_no_update_and_one_run_is_what_it_is_among_several(sharing):
    method = Method(rank=RANK, mlp_width=8, latent="diagonal", sharing=sharing)
    together, alone = (ReparameterizedFactors(method, SHAPE, seeds) for seeds in ([0, 5], [5]))
    for layer in together.delta_weights(1):
        assert all(torch.count_nonzero(delta) == 0 for delta in layer)
    for projection, pair in alone.generate().items():
        assert torch.equal(together.generate()[projection].a[1:], pair.a)
        assert pair.a.abs().max() > 0


@pytest.mark.parametrize("sharing", ["trunk", "separate"])
def test_peft_loads_what_it_leaves(sharing, example, tmp_path):
    adapted = attach(example.model, Method(rank=2, mlp_width=8, latent="diagonal", sharing=sharing))
    moved(adapter_of(adapted).factors)
    inputs = example.inputs(3)
    oracle = peft.PeftModel.from_pretrained(copy.deepcopy(example.model), save_peft(adapted, tmp_path)).eval()
    with torch.no_grad():
        ours = example.logits(adapted, inputs)
        torch.testing.assert_close(example.logits(oracle, inputs), ours, atol=1e-5, rtol=0)
        torch.testing.assert_close(example.logits(merge(adapted), inputs), ours, atol=1e-5, rtol=0)
        assert (ours - example.logits(example.model, inputs)).abs().max() > 1e-3


def test_a_residual_needs_rows():
    assert Method(latent="diagonal", residual=True) == Method(latent="diagonal")
    assert Method(name="lora", latent="diagonal") == Method(name="lora")
