"""One projection alone, and MLPs of any depth: PEFT, and `torch.nn` layers written out, are the oracles."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch
from torch import nn

from replora import Method, attach, delta_weights, find_attention, load_peft, merge, save_peft
from replora.adapters.attach import adapter_of
from replora.adapters.factors import AttentionShape
from replora.adapters.kinds import make_factors
from replora.methods import PROJECTIONS
from replora.result_card.hashing import spec_hash

ALONE = [
    Method(name=name, rank=3, alpha=6, mlp_width=8, projections=(projection,))
    for name in ("lora", "replora")
    for projection in PROJECTIONS
]
DEPTHS = [0, 2, 3]
HIDDEN = [
    (f"{name}_weight{number}", f"{name}_bias{number}")
    for name, number in (("first", ""), ("hidden", "_2"), ("hidden", "_3"))
]


def moved(model, method):
    """Adapted, and away from its start."""
    adapted = attach(model, method)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapted


def through_peft(example, adapted, folder):
    """PEFT's own model of the exported folder, checked to give the same logits as the adapted, merged and loaded."""
    inputs = example.inputs(4)
    save_peft(adapted, folder)
    oracle = peft.PeftModel.from_pretrained(copy.deepcopy(example.model), folder).eval()
    with torch.no_grad():
        ours = example.logits(adapted, inputs)
        assert (ours - example.logits(example.model, inputs)).abs().max() > 1e-4
        for other in (oracle, merge(adapted), load_peft(example.model, folder)):
            torch.testing.assert_close(example.logits(other, inputs), ours, atol=1e-5, rtol=0)
    return oracle


@pytest.mark.parametrize("method", ALONE, ids=lambda m: f"{m.name}-{m.projections[0]}")
def test_one_projection_moves_its_rows_alone_and_comes_back(method, example, tmp_path):
    adapted = moved(example.model, method)
    (projection,) = method.projections
    place = PROJECTIONS.index(projection)
    for matrices in delta_weights(adapted):
        assert matrices[place].any()
        assert not matrices[1 - place].any()
    merged = through_peft(example, adapted, tmp_path).merge_and_unload().state_dict()
    plain = example.model.state_dict()
    for site in find_attention(example.model):
        for name, owned in site.linears.items():
            changed = (merged[f"{site.path}.{name}.weight"] != plain[f"{site.path}.{name}.weight"]).any(dim=1)
            rows = list(owned.get(projection, ()))
            assert changed[rows].all()
            assert int(changed.sum()) == len(rows)
    again = load_peft(example.model, tmp_path)
    assert adapter_of(again).factors.projections == method.projections
    for ours, theirs in zip(delta_weights(adapted), delta_weights(again), strict=True):
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_folder_that_peft_wrote_for_one_projection_is_read(bert_example, projection, tmp_path):
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=[projection], init_lora_weights=False)
    oracle = peft.get_peft_model(copy.deepcopy(bert_example.model), config).eval()
    oracle.save_pretrained(tmp_path)
    loaded, inputs = load_peft(bert_example.model, tmp_path), bert_example.inputs(4)
    assert adapter_of(loaded).factors.projections == (projection,)
    with torch.no_grad():
        ours, theirs = (bert_example.logits(each, inputs) for each in (loaded, oracle))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("depth", DEPTHS)
def test_factors_and_gradients_are_those_of_an_mlp_written_out(depth):
    method = Method(rank=3, mlp_width=5, mlp_depth=depth, activation="tanh")
    shape = AttentionShape(layers=2, in_features=8, out_features=(8, 4))
    factors: Any = make_factors(method, shape, [0])
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in factors.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    made = factors.generate()
    for side, mlps in factors.sides().items():
        (mlp,) = mlps
        given = dict(mlp.named_parameters())
        hidden = HIDDEN[:depth]
        last = [(f"last_weight_{output}", f"last_bias_{output}") for output in (0, 1)]
        assert set(given) == {"latent", *(name for names in hidden + last for name in names)}
        for output, projection in enumerate(PROJECTIONS):
            rows = made[projection].a if side == "g_a" else made[projection].b.mT
            weights = torch.randn(rows.shape, generator=generator)
            names = ["latent", *(name for pair in [*hidden, last[output]] for name in pair)]
            found = torch.autograd.grad((weights * rows).sum(), [given[name] for name in names], retain_graph=True)
            for layer in range(shape.layers):
                written = _written_out([*hidden, last[output]], given, layer)
                latent = given["latent"][0, layer].detach().clone().requires_grad_()
                expected = written(latent)
                torch.testing.assert_close(rows[0, layer], expected)
                (weights[0, layer] * expected).sum().backward()
                linears: list[Any] = [each for each in written if isinstance(each, nn.Linear)]
                grads = [
                    latent.grad,
                    *(grad for each in linears for grad in (each.weight.grad.T, each.bias.grad[None])),
                ]
                for name, ours, theirs in zip(names, found, grads, strict=True):
                    torch.testing.assert_close(ours[0, layer], theirs, msg=f"{name}, layer {layer}")


def _written_out(names, given, layer):
    """The MLP of a layer out of `nn.Linear`, which keeps its weights transposed."""
    parts = []
    for weight_name, bias_name in names:
        weight, bias = given[weight_name][0, layer].detach(), given[bias_name][0, layer, 0].detach()
        linear = nn.Linear(*weight.shape)
        linear.load_state_dict({"weight": weight.T, "bias": bias})
        parts += [linear, nn.Tanh()]
    return nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("sharing", ["trunk", "tied", "separate"])
def test_any_depth_starts_at_zero_trains_and_is_exported(depth, sharing, bert_example, tmp_path):
    method = Method(rank=2, mlp_width=8, mlp_depth=depth, sharing=sharing)
    fresh, inputs = attach(bert_example.model, method), bert_example.inputs(4)
    assert not any(each.any() for matrices in delta_weights(fresh) for each in matrices)
    bert_example.logits(fresh, inputs).square().sum().backward()
    factors: Any = adapter_of(fresh).factors
    last = [each.grad for name, each in factors.g_b.named_parameters() if "last_weight" in name]
    assert all(each is not None and each.any() for each in last)
    through_peft(bert_example, moved(bert_example.model, method), tmp_path)


def test_lora_that_differs_in_what_it_has_no_use_for_is_one_spec():
    plain = Method(name="lora")
    for idle in (
        {"mlp_width": 8},
        {"mlp_depth": 3},
        {"activation": "tanh"},
        {"residual": True},
        {"sharing": "separate"},
    ):
        assert Method(name="lora", **idle) == plain
        assert spec_hash(Method(name="lora", **idle).to_dict()) == spec_hash(plain.to_dict())
