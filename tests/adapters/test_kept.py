"""What an adapted model keeps: a layer's own forward, its weight for who reads it, hooks, torch's tools, the head."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
import transformers
from present import present
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from benchmarks.models import scramble
from replora import Method, SpecError, attach, delta_weights, detach, load_peft, merge, save_peft
from replora.adapters.attach import AdapterError, adapter_of
from replora.adapters.linear import LowRankLinear

LORA = Method(name="lora", rank=2)
assert_close = partial(torch.testing.assert_close, atol=1e-5, rtol=0)


class Scaled(nn.Linear):
    """A layer whose forward reads its weight in a way of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, 3 * self.weight, self.bias)


class Clamped(nn.Linear):
    """A layer with a forward of its own that adds what is added to its weight, unless it is large."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).clamp(-1e6, 1e6)


def replaced(model: Any, kind: type[nn.Linear]) -> Any:
    """BERT's queries as layers of another class, with the same weights."""
    model = copy.deepcopy(model)
    for layer in model.bert.encoder.layer:
        plain = layer.attention.self.query
        own = kind(32, 32)
        own.load_state_dict(plain.state_dict())
        layer.attention.self.query = own
    return model


@pytest.mark.parametrize("kind", [Scaled, Clamped])
def test_a_layers_own_forward_is_kept_and_merged(kind, bert_example, tmp_path):
    model, inputs = replaced(bert_example.model, kind), bert_example.inputs(3)
    adapted = attach(model, LORA)
    with torch.no_grad():
        assert torch.equal(adapted(**inputs).logits, model(**inputs).logits)
        scramble(adapted)
        merged = merge(adapted)
        assert type(merged.bert.encoder.layer[0].attention.self.query) is kind
        assert_close(merged(**inputs).logits, adapted(**inputs).logits)
    if kind is Scaled:
        with pytest.raises(AdapterError, match="is a Scaled with a forward of its own"):
            save_peft(adapted, tmp_path / "adapter")
        with pytest.raises(SpecError, match="runs must be 1 for this model"):
            attach(model, LORA, runs=2)(**{name: torch.cat([each] * 2) for name, each in inputs.items()})


def test_a_parametrized_weight_is_merged_into_its_parametrization(bert_example):
    model, inputs = copy.deepcopy(bert_example.model), bert_example.inputs(3)
    for layer in model.bert.encoder.layer:
        parametrizations.weight_norm(layer.attention.self.value)
    adapted = attach(model, LORA)
    with torch.no_grad():
        scramble(adapted)
        assert_close(merge(adapted)(**inputs).logits, adapted(**inputs).logits)


def test_hooks_see_the_adapted_layer_and_come_back(bert_example):
    model, inputs = copy.deepcopy(bert_example.model), bert_example.inputs(3)
    seen: list[tuple[type[nn.Module], Tensor]] = []
    query = model.bert.encoder.layer[0].attention.self.query
    query.register_forward_hook(lambda module, args, output: seen.append((type(module), output)))
    model.bert.encoder.layer[0].attention.self.value.register_forward_pre_hook(lambda module, args: (2 * args[0],))
    adapted = attach(model, LORA)
    with torch.no_grad():
        scramble(adapted)
        merged = merge(adapted)
        outputs = [each(**inputs).logits for each in (adapted, merged)]
    assert_close(*outputs)
    assert [kind for kind, _ in seen] == [LowRankLinear, nn.Linear]
    assert_close(seen[0][1], seen[1][1])
    seen.clear()
    detach(adapted)(**inputs)
    assert [kind for kind, _ in seen] == [nn.Linear]


def test_attention_that_reads_the_weights_itself_is_adapted():
    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        conv_dim=(16, 16),
        conv_stride=(4, 4),
        conv_kernel=(8, 4),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    model, waves = transformers.WavLMModel(config).eval(), torch.randn(2, 320)
    adapted = attach(model, LORA)
    with torch.no_grad():
        before = adapted(waves).last_hidden_state
        assert_close(before, model(waves).last_hidden_state)  # its products round by where the weight lies in memory
        assert_close(merge(adapted).state_dict(), model.state_dict(), rtol=0, atol=0)
        scramble(adapted)
        after = adapted(waves).last_hidden_state
        assert (after - before).abs().max() > 1e-3
        assert_close(merge(adapted)(waves).last_hidden_state, after)
    adapted(waves).last_hidden_state.sum().backward()
    assert all(present(parameter.grad).any() for parameter in adapter_of(adapted).factors.parameters())
    with pytest.raises(SpecError, match="runs must be 1 for this model, since its attention reads the weight itself"):
        attach(model, LORA, runs=2)(waves)


def test_functional_call_takes_factors_by_name(bert_example):
    adapted, inputs = attach(bert_example.model, LORA), bert_example.inputs(3)
    scramble(adapted)
    doubled = {name: 2 * each for name, each in adapted.named_parameters() if "replora_adapter" in name}
    with torch.no_grad():
        found = torch.func.functional_call(adapted, doubled, kwargs=inputs).logits
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.mul_(2)
        assert torch.equal(found, adapted(**inputs).logits)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["compiled", "adapted"])
def test_a_compiled_model_is_adapted_and_an_adapted_one_compiled(first, timm_example, tmp_path):
    inputs = timm_example.inputs(2)
    compiled: Any = torch.compile(timm_example.model, backend="eager")
    if first == "compiled":
        adapted = attach(compiled, LORA)
    else:
        adapted = torch.compile(attach(timm_example.model, LORA), backend="eager")
    scramble(adapted)
    with torch.no_grad():
        found = adapted(**inputs)
        plain = merge(adapted)
        assert_close(plain(**inputs), found)
        loaded = load_peft(timm_example.model, save_peft(adapted, tmp_path))
        assert_close(loaded(**inputs), found)
    adapted(**inputs).sum().backward()
    assert all(parameter.grad is not None for parameter in adapter_of(adapted).factors.parameters())
    torch._dynamo.reset()


class Classifier(nn.Module):
    """One's own module around an encoder."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert
        self.head = nn.Linear(32, 3)

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.head(self.bert(**inputs).last_hidden_state[:, 0])


def test_an_encoder_inside_ones_own_module(bert_example):
    inputs = bert_example.inputs(3)
    outside = attach(Classifier(bert_example.model.bert).eval(), LORA)
    inside = Classifier(attach(bert_example.model.bert, LORA)).eval()
    for model in (outside, inside):
        assert any("replora_adapter" in name for name, _ in model.bert.named_parameters())
        scramble(model)
        assert len(delta_weights(model)) == 3
        plain = merge(model)
        assert not any(isinstance(module, LowRankLinear) for module in plain.modules())
        assert all(parameter.requires_grad for parameter in plain.parameters())
        encoder = merge(model.bert)
        with torch.no_grad():
            assert_close(plain(**inputs), model(**inputs))
            mixed = encoder(**inputs).last_hidden_state
            assert_close(mixed, model.bert(**inputs).last_hidden_state)


def test_two_adapted_encoders_are_merged_together_and_asked_apart(bert_example):
    pair = nn.ModuleDict({name: attach(bert_example.model.bert, LORA) for name in ("left", "right")})
    with pytest.raises(
        AdapterError, match=r"has 2 adapters, in left\.encoder, right\.encoder; take one part at a time"
    ):
        delta_weights(pair)
    assert not any(isinstance(module, LowRankLinear) for module in merge(pair).modules())


def test_the_head_is_kept_where_that_is_asked(bert_example, tmp_path):
    adapted = attach(bert_example.model, LORA, keep=["classifier"])
    trained = {name for name, each in adapted.named_parameters() if each.requires_grad}
    assert {name for name in trained if "replora_adapter" not in name} == {"classifier.weight", "classifier.bias"}
    scramble(adapted)
    with torch.no_grad():
        adapted.classifier.weight.mul_(2)
    loaded = load_peft(bert_example.model, save_peft(adapted, tmp_path))
    assert torch.equal(loaded.classifier.weight, adapted.classifier.weight)
    for path in ("head", "bert.encoder"):
        with pytest.raises(SpecError, match=f"keep must name modules .*, got '{path}'"):
            attach(bert_example.model, LORA, keep=[path])


def test_factors_follow_the_layer_that_runs_elsewhere(timm_example):
    """The meta device stands for a second one: factors on the CPU meet a layer whose output lies there."""
    adapted = attach(timm_example.model, LORA)
    layer = adapted.blocks[0].attn.qkv
    layer.base_layer.to("meta")
    assert layer(torch.randn(2, 5, 32, device="meta")).shape == (2, 5, 96)


def test_weights_that_are_offloaded_are_refused(bert_example):
    import accelerate

    model = accelerate.cpu_offload(copy.deepcopy(bert_example.model), execution_device="cpu")
    with pytest.raises(AdapterError, match="has weights that are offloaded to disk or memory"):
        attach(model, LORA)


def test_hooks_of_several_devices_stay(bert_example):
    import accelerate

    inputs = bert_example.inputs(3)
    model = accelerate.dispatch_model(copy.deepcopy(bert_example.model), {"": "cpu"}, force_hooks=True)
    adapted = attach(model, LORA)
    scramble(adapted)
    with torch.no_grad():
        assert_close(merge(adapted)(**inputs).logits, adapted(**inputs).logits)


def test_runs_under_data_parallel_are_refused(bert_example):
    adapted = attach(bert_example.model, LORA, runs=2)
    replica = adapted.bert.encoder.layer[0].attention.self.query._replicate_for_data_parallel()
    replica.base_layer = nn.Linear(32, 32)
    with pytest.raises(SpecError, match="runs must be 1 under DataParallel"):
        replica(torch.randn(4, 5, 32))


def test_quantised_weights_are_refused(bert_example):
    model = copy.deepcopy(bert_example.model)
    layer = model.bert.encoder.layer[0].attention.self.query
    layer.weight = nn.Parameter(torch.ones(32, 32, dtype=torch.int8), requires_grad=False)
    with pytest.raises(AdapterError, match=r"query holds torch\.int8 weights; only floating-point ones are adapted"):
        attach(model, LORA)
