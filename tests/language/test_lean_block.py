"""The block that keeps less for backward: transformers' own layers and their autograd are the oracle."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from replora.backbones.base import first_tensor
from replora.backbones.causal import causal_bias
from replora.backbones.lean import block

SIZES: dict[str, Any] = {
    "vocab_size": 10,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 1,
    "num_attention_heads": 6,
    "attn_implementation": "eager",
}
CONFIGS = [
    transformers.LlamaConfig(**SIZES, num_key_value_heads=2),
    transformers.MistralConfig(**SIZES, num_key_value_heads=3),
    transformers.Qwen2Config(**SIZES, num_key_value_heads=6),
]


def found(config: transformers.PretrainedConfig, *, lean: bool, dtype: torch.dtype) -> list[torch.Tensor]:
    """Hidden states after the only layer, and the gradients of input, query and value weights of a loss of them."""
    torch.manual_seed(0)
    inner: Any = transformers.AutoModelForCausalLM.from_config(config).eval().model
    layer = inner.layers[0]
    for parameter in layer.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    if dtype is torch.float64:
        layer.double()
    hidden = torch.randn(5, 7, 24, dtype=torch.float64).to(torch.promote_types(dtype, torch.float32)).requires_grad_()
    turns, bias = inner.rotary_emb(hidden, torch.arange(7)[None]), causal_bias(7, hidden)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        if lean:
            after = block(layer, hidden, bias[0, 0], turns)
        else:
            after = first_tensor(layer(hidden, attention_mask=bias, position_embeddings=turns))
    loss = (after * torch.linspace(-1, 1, after.numel()).view_as(after)).sum()
    wanted = [hidden, layer.self_attn.q_proj.weight, layer.self_attn.v_proj.weight]
    return [after.detach(), *torch.autograd.grad(loss, wanted)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_a_block_and_its_gradients_are_those_of_transformers(config):
    ours, theirs = (found(config, lean=lean, dtype=torch.float64) for lean in (True, False))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)  # their softmax is in single precision


def test_in_bfloat16_the_gradients_are_as_exact_as_theirs():
    exact, ours, theirs = (
        found(CONFIGS[0], lean=lean, dtype=dtype)
        for lean, dtype in ((True, torch.float32), (True, torch.bfloat16), (False, torch.bfloat16))
    )
    assert torch.equal(ours[0], theirs[0])
    for one, other, true in zip(ours[1:], theirs[1:], exact[1:], strict=True):
        assert (one - true).norm() < 1.2 * (other - true).norm()
        assert (one - true).norm() < 0.05 * true.norm()
