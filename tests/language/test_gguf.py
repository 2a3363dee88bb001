"""The GGUF of an adapter beside the GGUF that the model is read from; left out where its package is not installed."""

from __future__ import annotations

import copy

import gguf
import numpy as np
import pytest
import torch
from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor
from twin import NAME, moved

from replora import Method, delta_weights
from replora.adapters.peft import save_peft
from replora.backbones import CausalLM, load_backbone
from replora.backbones.gguf import save_gguf
from replora.hub.packaged import packaged_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backbone() -> CausalLM:
    found = load_backbone(NAME)
    assert isinstance(found, CausalLM)
    return found


@pytest.mark.parametrize("alpha_over", ["rank", "root"])
def test_the_gguf_of_an_adapter_stands_as_the_model_does_in_its_own(backbone, tmp_path, alpha_over):
    method = Method(name="lora", rank=4, alpha=6, alpha_over=alpha_over)
    adapted = moved(copy.deepcopy(backbone.model).float(), method, 0.01)
    file = gguf.GGUFReader(save_gguf(save_peft(adapted, tmp_path), adapted))
    facts = {name: field.contents() for name, field in file.fields.items()}
    assert [facts[f"general.{name}"] for name in ("type", "architecture")] == ["adapter", "llama"]
    assert facts["adapter.type"] == "lora"
    pairs = {each.name: np.array(each.data) for each in file.tensors}
    assert len(pairs) == 30 * 2 * 2
    base = {each.name: each for each in gguf.GGUFReader(packaged_file(NAME)).tensors}
    turned = LlamaTensorProcessor({"num_attention_heads": 9, "num_key_value_heads": 3})  # how the model itself is read
    deltas = delta_weights(adapted)
    for block in (0, 29):
        for letter, delta in zip("qv", deltas[block], strict=True):
            name = f"blk.{block}.attn_{letter}.weight"
            a, b = pairs[f"{name}.lora_a"], pairs[f"{name}.lora_b"]
            update = facts["adapter.lora.alpha"] / a.shape[0] * b @ a  # as llama.cpp scales it
            whole = gguf.quants.dequantize(base[name].data, base[name].tensor_type)
            found, weight = (turned.process(each, name).weights for each in (update, whole))
            frozen = backbone.model.get_submodule(f"model.layers.{block}.self_attn.{letter}_proj").weight
            assert torch.equal(torch.from_numpy(np.ascontiguousarray(weight)).bfloat16(), frozen)
            np.testing.assert_allclose(found, delta.detach(), atol=1e-6)
