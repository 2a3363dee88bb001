"""Adapters on other people's architectures: PEFT is the oracle, and the attention's own products say who moved."""

from __future__ import annotations

import pytest
import torch

from benchmarks.families import FAMILIES
from benchmarks.models import measured
from replora import Method, SpecError, attach, find_attention
from replora.adapters.attach import adapter_of
from replora.adapters.grouped import GroupedFactors
from replora.adapters.latents import load_latents, save_latents
from scripts.write_models import DOCS, row

ASKED = [
    "DeBERTa",
    "DeBERTa-v2",
    "MPNet",
    "T5",
    "GPT-2",
    "GPT-NeoX",
    "BLOOM",
    "Falcon",
    "Phi-3",
    "ModernBERT",
    "OpenCLIP's attention",
    "nn.MultiheadAttention of other widths",
    "Swin",
    "SegFormer",
    "CLIP",
    "TrOCR decoder",
    "eva, fused",
    "beit_base_patch16_224",
    "swinv2_tiny_window8_256",
    "tiny_vit_5m_224",
    "maxvit_rmlp_pico_rw_256",
    "pvt_v2_b0",
]
REFUSED = {
    "gcvit_xxtiny": r"is no fused query, key, value of a softmax over tokens",
    "coatnet_nano_rw_224": r"its qkv is a Conv2d, no linear layer",
    "Mamba": r"No attention was found in MambaModel",
}


def family(name):
    return next(each for each in FAMILIES if each.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_an_architecture_is_adapted_as_peft_adapts_it(name):
    found = measured(family(name))
    assert found["outcome"] == "right", found


@pytest.mark.parametrize("name", REFUSED)
def test_an_architecture_without_such_attention_is_refused_by_a_sentence(name):
    found = measured(family(name))
    assert found["outcome"] == "refused"
    assert REFUSED[name] in found["sentence"]


def test_layers_of_several_widths_have_factors_for_each(tmp_path):
    torch.manual_seed(0)
    model = family("Swin").build()
    adapted = attach(model, Method(rank=2, mlp_width=4), runs=2)
    factors = adapter_of(adapted).factors
    assert isinstance(factors, GroupedFactors)
    widths = [site.shape(1).in_features for site in find_attention(model)]
    assert len(set(widths)) == 2
    assert [query.shape[1] for query, _ in factors.delta_weights(0)] == widths
    assert factors.trained_parameters() * 2 == sum(each.numel() for each in factors.parameters())
    assert factors.deployed_parameters() == sum(2 * 2 * 2 * width for width in widths)
    again = load_latents(model, save_latents(adapted, tmp_path / "latents.safetensors"))
    theirs = dict(adapter_of(again).factors.named_parameters())
    assert all(torch.equal(each, theirs[name]) for name, each in factors.named_parameters())
    alone = attach(model, Method(rank=2, mlp_width=4), layers=[-1])
    assert not isinstance(adapter_of(alone).factors, GroupedFactors)


def test_cross_attention_of_two_widths_is_no_place_for_tied_factors():
    torch.manual_seed(0)
    model = family("TrOCR decoder").build()
    with pytest.raises(SpecError, match=r"tied.*what they read: cross-attention"):
        attach(model, Method(rank=2, sharing="tied"))
    with pytest.raises(SpecError, match="residual needs query and value that read one width"):
        attach(model, Method(rank=2, residual=True))


@pytest.mark.parametrize("name", ["DeBERTa", "DeBERTa-v2", "GPT-2", "Swin", "WavLM", "gcvit_xxtiny", "FNet"])
def test_the_documented_table_says_what_is_found(name):
    known = family(name)
    assert row(name, known.library, measured(known)) in DOCS.read_text(encoding="utf-8").splitlines()


def test_the_documented_table_has_every_architecture():
    text = DOCS.read_text(encoding="utf-8")
    assert [line.split(" | ")[0][2:] for line in text.splitlines() if line.startswith("| ")][2:] == [
        each.name for each in FAMILIES
    ]
