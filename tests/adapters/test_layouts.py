"""Which rows of a fused layer are what: what is known of classes is held against a forward pass, the oracle."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.families import FAMILIES
from replora import Method, attach, find_attention, load_peft, save_peft
from replora.adapters.attach import adapter_of
from replora.adapters.latents import load_latents, save_latents
from replora.adapters.layouts import LAYOUTS, layout_of
from replora.adapters.probe import probe_rows
from replora.adapters.sites import AttentionNotFoundError

KNOWN = [
    "GPT-2",
    "GPT-NeoX",
    "GPT-BigCode",
    "GPT-BigCode, many keys",
    "CodeGen",
    "BLOOM",
    "Falcon",
    "Falcon, one key",
    "Falcon, many keys",
    "MPT",
    "Phi-3",
    "Persimmon",
    "ModernBERT",
    "DeBERTa",
    "DeepSeek-V3",
    "vit_tiny_patch16_224",
    "eva, fused",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "pvt_v2_b0",
    "tiny_vit_5m_224",
    "maxvit_rmlp_pico_rw_256",
    "maxvit_tiny_tf_224",
    "nest_tiny",
    "volo_d1_224",
    "mvitv2_tiny",
]


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_class_has_the_rows_that_a_forward_pass_finds(name):
    family = next(each for each in FAMILIES if each.name == name)
    torch.manual_seed(0)
    model = family.build().eval()
    layers, expected = {}, {}
    for site in find_attention(model):
        for layer, owned in site.linears.items():
            width = site.widths[layer][1]
            if any(len(rows) < width for rows in owned.values()):
                attention = model.get_submodule(site.path)
                roles = ("query", "key", "value") if len(site.linears) == 1 else ("key", "value")
                layout = layout_of(attention)
                assert layout is not None
                layers[site.path] = (layer, roles)
                expected[site.path] = dict(layout(attention, roles, width))
    assert layers
    assert probe_rows(model, layers, lambda: model(**family.inputs(1))) == expected


@pytest.mark.slow
def test_each_class_is_in_an_architecture_of_the_benchmark():
    built: set[str] = set()
    for family in FAMILIES:
        built |= {f"{type(each).__module__}.{type(each).__qualname__}" for each in family.build().modules()}
    assert not LAYOUTS.keys() - built


class Interleaved(nn.Module):
    """Attention whose fused layer has [value; query; key] head by head, as no library has it."""

    def __init__(self, tokens: int = 6) -> None:
        super().__init__()
        self.qkv = nn.Linear(12, 36)
        self.tokens = tokens

    def forward(self, x: Tensor) -> Tensor:
        value, query, key = self.qkv(x).view(len(x), -1, 3, 12).transpose(1, 2).chunk(3, dim=-1)
        return (query @ key.mT).softmax(-1) @ value  # (batch, heads, tokens, 4)


class Channels(Interleaved):
    """A softmax over channels: every query and key sees all tokens."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).view(len(x), -1, 3, 12).permute(2, 0, 3, 1).unbind(0)
        return (query @ key.mT).softmax(-1) @ value


def test_a_forward_pass_tells_the_rows_of_an_unknown_class():
    torch.manual_seed(0)
    model, x = nn.Sequential(Interleaved()), torch.randn(1, 6, 12)
    (site,) = find_attention(model, x)
    starts = {"query": 4, "value": 0}
    for projection, start in starts.items():
        rows = site.linears["qkv"][projection]  # type: ignore[index]
        assert list(rows) == [start + 12 * head + place for head in range(3) for place in range(4)]
    adapted = attach(model, Method(name="lora", rank=2, projections=("value",)), inputs=x)
    assert adapted(x).shape == model(x).shape
    assert model.training


def test_a_folder_and_a_file_are_loaded_into_an_unknown_class_by_an_example(tmp_path):
    torch.manual_seed(0)
    model, x = nn.Sequential(Interleaved()).eval(), torch.randn(1, 6, 12)
    adapted = attach(model, Method(name="lora", rank=2), inputs=x)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(torch.randn(parameter.shape))
    save_peft(adapted, tmp_path / "folder")
    save_latents(adapted, tmp_path / "latents.safetensors")
    assert not torch.equal(adapted(x), model(x))
    torch.testing.assert_close(load_peft(model, tmp_path / "folder", inputs=x)(x), adapted(x))
    torch.testing.assert_close(load_latents(model, tmp_path / "latents.safetensors", inputs=x)(x), adapted(x))


def test_what_a_forward_pass_cannot_tell_is_refused():
    x = torch.randn(1, 6, 12)
    with pytest.raises(AttentionNotFoundError, match="rows of qkv in Interleaved are query and value is not known"):
        find_attention(nn.Sequential(Interleaved()))
    with pytest.raises(AttentionNotFoundError, match=r"0\.qkv \(Channels\) is no fused query, key, value of a softmax"):
        find_attention(nn.Sequential(Channels()), x)
    with pytest.raises(AttentionNotFoundError, match=r"and inputs did not pass through the model .*give inputs"):
        find_attention(nn.Sequential(Interleaved()), torch.randn(1, 6, 7))


def test_a_subclass_with_a_forward_of_its_own_is_not_taken_for_its_parent():
    import timm
    from timm.layers import Attention

    class Backwards(Attention):
        def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            value, key, query = self.qkv(x).view(len(x), -1, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
            mixed = ((query @ key.mT) * self.scale).softmax(-1) @ value
            return self.proj(mixed.transpose(1, 2).flatten(2))

    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=5
    )
    for block in model.blocks:
        block.attn.__class__ = Backwards
    for site in find_attention(model):
        assert list(site.linears["qkv"]["query"]) == list(range(64, 96))
        assert list(site.linears["qkv"]["value"]) == list(range(32))
