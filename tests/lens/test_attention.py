"""Heads of real models as gates and experts; the oracles are the models' own weights, projections and merged copies."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import timm
import torch
import transformers
from present import present
from torch import Tensor, nn

from replora import Method, SpecError, attach, delta_weights, detach, find_attention, merge
from replora.adapters.attach import AdapterError, adapter_of, attach_factors
from replora.adapters.kinds import make_factors
from replora.adapters.sites import AttentionNotFoundError
from replora.adapters.stacked import MixedFactors
from replora.backbones import load_backbone
from replora.lens.attention import head_as_experts, part_sizes, read_layers
from replora.lens.measures import effective_experts, entropy, kl, load, shift_norms, top_tokens
from replora.lens.mixtures import HeadExperts
from replora.lens.reader import AttentionReadError
from replora.tasks import load_task

Inputs = Tensor | dict[str, Tensor]
LORA = Method(name="lora", rank=3, alpha=6)
REPLORA = Method(name="replora", rank=3, mlp_width=8)

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
IMAGES = {"image_size": 32, "patch_size": 8}
TIMM = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 5}


def _bert() -> nn.Module:
    return transformers.BertModel(transformers.BertConfig(vocab_size=50, initializer_range=0.2, **SIZES))


def _distilbert() -> nn.Module:
    config = transformers.DistilBertConfig(
        vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=48, initializer_range=0.2
    )
    return transformers.DistilBertModel(config)


def _qwen2() -> nn.Module:
    """Grouped-query attention (two value heads for four), rotary, causal, with a cache of keys and values."""
    config = transformers.Qwen2Config(
        vocab_size=50, num_key_value_heads=2, pad_token_id=0, initializer_range=0.2, **SIZES
    )
    return transformers.Qwen2Model(config)


def _qwen3() -> nn.Module:
    """As Qwen2, with a norm of query and key."""
    config = transformers.Qwen3Config(
        vocab_size=50, num_key_value_heads=2, head_dim=8, pad_token_id=0, initializer_range=0.2, **SIZES
    )
    return transformers.Qwen3Model(config)


def _vit() -> nn.Module:
    return transformers.ViTModel(transformers.ViTConfig(initializer_range=0.2, **IMAGES, **SIZES))


def _timm() -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", **TIMM)


def _timm_norms() -> nn.Module:
    """Norms of query and key, and one between the heads' outputs and the output projection."""
    return timm.create_model("vit_tiny_patch16_224", qk_norm=True, scale_attn_norm=True, **TIMM)


def _timm_rotary() -> nn.Module:
    """EVA's attention: rotary embeddings of the patches but not of the class token."""
    return timm.create_model("vit_small_patch16_rope_224", **{**TIMM, "embed_dim": 48})


# The model, and the path from an attention to its output projection (from the model's root for BERT).
MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "bert": (_bert, "../output.dense"),
    "distilbert": (_distilbert, "out_lin"),
    "qwen2": (_qwen2, "o_proj"),
    "qwen3": (_qwen3, "o_proj"),
    "vit": (_vit, "o_proj"),
    "timm": (_timm, "proj"),
    "timm_norms": (_timm_norms, "norm"),
    "timm_rotary": (_timm_rotary, "proj"),
}
TRANSFORMERS = ["bert", "distilbert", "qwen2", "qwen3", "vit"]
TEXT = ["bert", "distilbert", "qwen2", "qwen3"]


def small(name: str) -> tuple[Any, Any]:
    """A model with random weights, biases too, and one example; texts end in two tokens of padding."""
    torch.manual_seed(0)
    model = MODELS[name][0]().eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("bias"):
                parameter.normal_(std=0.3)
    if name in TEXT:
        mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
        return model, {"input_ids": torch.randint(1, 50, (1, 7)), "attention_mask": mask}
    return model, torch.randn(1, 3, 32, 32)


def embedded(name: str) -> tuple[nn.Module, Inputs]:
    """An embedded backbone and an example of a task."""
    backbone = load_backbone(name)
    if backbone.modality == "image":
        return backbone.model, backbone.encode(load_task("digits").test.examples[:1])["pixels"]
    rows = backbone.encode(load_task("movie_sentiment").test.examples[:2])  # of two lengths: one is padded
    short = int(rows["mask"].sum(1).argmin())
    return backbone.model, {"input_ids": rows["ids"][[short]], "attention_mask": rows["mask"][[short]].long()}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Products this small are slower on several threads, most of all where other work keeps the cores busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["dinov2_small_6", "minilm_l3"])
def backbone(request: pytest.FixtureRequest) -> tuple[nn.Module, Inputs]:
    return embedded(request.param)


def scrambled(model: nn.Module, *, size: float = 0.1, only: str = "") -> nn.Module:
    """Every factor moved away from its start; `only` "query" or "value" leaves the other's update at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapter_of(model).factors.named_parameters():
            if not only or only in name:
                parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return model


def run_model(model: nn.Module, inputs: Inputs, **options: Any) -> Any:
    with torch.no_grad():
        return model(inputs, **options) if isinstance(inputs, Tensor) else model(**inputs, **options)


def first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def projection_inputs(model: nn.Module, inputs: Inputs, path: str) -> list[Tensor]:
    """What every attention hands to its output projection, (tokens, heads * head_dim), noted by hooks."""
    noted: list[Tensor] = []
    handles = []
    for site in find_attention(model):
        attention = site.path if not path.startswith("../") else site.path.rpartition(".")[0]
        module = model.get_submodule(f"{attention}.{path.removeprefix('../')}")
        handles.append(module.register_forward_pre_hook(lambda _, args: noted.append(args[0][0].clone())))
    run_model(model, inputs)
    for handle in handles:
        handle.remove()
    return noted


def all_heads(model: nn.Module, inputs: Inputs, run: int = 0) -> list[HeadExperts]:
    layers = read_layers(model, inputs, run=run)
    return [layer.head(index) for layer in layers for index in range(len(layer.mixture.gates))]


def assert_splits(head: HeadExperts, tolerance: float = 1e-5) -> None:
    change = head.output - present(head.base_output)
    assert (present(head.routing_part) + present(head.expert_part) - change).abs().max() <= tolerance
    assert change.abs().max() > 0


# The identity.


def test_every_head_of_the_embedded_backbones_is_gates_times_experts(backbone):
    model, inputs = backbone
    path = "proj" if isinstance(inputs, Tensor) else "../output.dense"
    expected = projection_inputs(model, inputs, path)
    read = read_layers(model, inputs)
    assert len(read) == len(expected) == len(find_attention(model))
    for layer, whole in zip(read, expected, strict=True):
        gates, experts, output = layer.mixture
        heads = whole.unflatten(-1, (len(gates), -1)).transpose(0, 1)
        # Two passes: processors without AVX512 round those of the last blocks apart by some 4e-5, of values around 2.
        torch.testing.assert_close(output, heads, atol=1e-4, rtol=0)
        torch.testing.assert_close(gates @ experts, output, atol=1e-5, rtol=0)
        assert gates.min() >= 0
        torch.testing.assert_close(gates.sum(-1), torch.ones(gates.shape[:2]), atol=1e-5, rtol=0)


def test_every_change_on_the_embedded_backbones_splits(backbone):
    model, inputs = backbone
    adapted = scrambled(attach(model, Method(name="replora"), runs=2), size=0.05)
    for run in range(2):
        for layer in read_layers(adapted, inputs, run=run):
            gates, experts, output = layer.mixture
            base = present(layer.base)
            routing = (gates - base.gates) @ base.experts
            expert = gates @ (experts - base.experts)
            change = output - base.output
            assert (routing + expert - change).abs().max() <= 1e-5
            assert change.abs().max() > 0.1


@pytest.mark.parametrize("name", MODELS)
def test_the_output_is_what_the_output_projection_receives(name):
    model, inputs = small(name)
    expected = projection_inputs(model, inputs, MODELS[name][1])
    heads = all_heads(model, inputs)
    assert len(heads) == 8
    for place, head in enumerate(heads):
        layer, index = divmod(place, 4)
        width = head.output.shape[-1]
        assert torch.equal(head.output, expected[layer][:, index * width : (index + 1) * width])
        assert (head.gates @ head.experts - head.output).abs().max() <= 1e-5
        assert head.base_gates is head.base_experts is head.routing_part is head.expert_part is None


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_gates_are_the_attentions_that_transformers_gives_out(name, implementation):
    model, inputs = small(name)
    model.set_attn_implementation("eager")
    expected = run_model(model, inputs, output_attentions=True).attentions
    model.set_attn_implementation(implementation)
    real = 5 if name in TEXT else None  # what a padded query reads is the implementation's own affair
    for layer, read in enumerate(read_layers(model, inputs)):
        torch.testing.assert_close(read.mixture.gates[:, :real], expected[layer][0][:, :real], atol=2e-6, rtol=0)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["timm", "timm_norms"])
def test_gates_and_experts_by_the_formula(name, fused):
    """softmax_j(q_i . k_j / sqrt(d)), W_V x_j + b_V from the weights, in float64."""
    model, inputs = small(name)
    attention = model.blocks[1].attn
    attention.fused_attn = fused
    hidden: list[Tensor] = []
    handle = attention.register_forward_pre_hook(lambda _, args: hidden.append(args[0][0].double()))
    head = head_as_experts(model, inputs, layer=1, head=2)
    handle.remove()
    weight, bias = attention.qkv.weight.double().view(3, 4, 8, 32)[:, 2], attention.qkv.bias.double().view(3, 4, 8)
    q, k, v = (hidden[0] @ weight[part].T + bias[part, 2] for part in range(3))
    q, k = (copy.deepcopy(norm).double()(x) for norm, x in ((attention.q_norm, q), (attention.k_norm, k)))
    torch.testing.assert_close(head.experts.double(), v, atol=1e-5, rtol=0)
    torch.testing.assert_close(head.gates.double(), (q @ k.T / math.sqrt(8)).softmax(-1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", TEXT)
def test_masked_tokens_get_gate_zero(name, implementation):
    model, inputs = small(name)
    model.set_attn_implementation(implementation)
    adapted = scrambled(attach(model, LORA, runs=2))
    for head in all_heads(adapted, inputs, run=1):
        assert torch.count_nonzero(head.gates[:, 5:]) == torch.count_nonzero(present(head.base_gates)[:, 5:]) == 0
        assert_splits(head)


def test_gates_of_a_causal_model_look_back_only():
    model, inputs = small("qwen2")
    head = head_as_experts(model, {"input_ids": inputs["input_ids"]}, layer=1, head=3)
    assert torch.count_nonzero(head.gates.triu(1)) == 0
    assert head.gates[0, 0] == 1


# The split.


@pytest.mark.parametrize("name", MODELS)
def test_the_query_moves_gates_only_and_the_value_experts_only(name):
    model, inputs = small(name)
    for only in ("query", "value"):
        adapted = attach(model, LORA, runs=2)
        scrambled(adapted, only=only, size=0.5)
        for head in all_heads(adapted, inputs, run=1):
            same_gates = torch.equal(head.gates, present(head.base_gates))
            same_experts = torch.equal(head.experts, present(head.base_experts))
            assert (same_gates, same_experts) == ((False, True) if only == "query" else (True, False))
            unmoved = head.expert_part if only == "query" else head.routing_part
            assert torch.count_nonzero(present(unmoved)) == 0
            assert_splits(head)


@pytest.mark.slow
@pytest.mark.parametrize("method", [LORA, REPLORA], ids=lambda method: method.name)
@pytest.mark.parametrize("name", MODELS)
def test_base_is_the_plain_model_where_the_layers_below_are_plain(name, method):
    """Only the last layer is adapted, so its hidden states are the plain model's; merged weights give the rest."""
    model, inputs = small(name)
    adapted = scrambled(attach(model, method, layers=[-1]))
    merged = merge(adapted)
    for index in range(4):
        head = head_as_experts(adapted, inputs, layer=1, head=index)
        before = head_as_experts(model, inputs, layer=1, head=index)
        after = head_as_experts(merged, inputs, layer=1, head=index)
        for part in ("gates", "experts", "output"):
            assert torch.equal(getattr(head, f"base_{part}"), getattr(before, part))
            torch.testing.assert_close(getattr(head, part), getattr(after, part), atol=2e-5, rtol=0)
        assert_splits(head)
        below = head_as_experts(adapted, inputs, layer=0, head=index)  # a plain layer of an adapted model
        assert torch.equal(below.gates, present(below.base_gates))
        assert torch.equal(below.experts, present(below.base_experts))
        assert torch.count_nonzero(present(below.routing_part)) == 0
        assert torch.count_nonzero(present(below.expert_part)) == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_run_is_read_as_its_merged_model(name):
    model, inputs = small(name)
    adapted = scrambled(attach(model, LORA, runs=3))
    for run in range(3):
        merged = merge(adapted, run)
        for layer, plain in zip(read_layers(adapted, inputs, run=run), read_layers(merged, inputs), strict=True):
            for ours, theirs in zip(layer.mixture, plain.mixture, strict=True):
                torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=0)


def test_mixed_runs_and_a_run_without_an_update():
    model, inputs = small("timm")
    shape = find_attention(model)[0].shape(2)
    methods = [(make_factors(LORA, shape, [0]), [2]), (make_factors(REPLORA, shape, [0]), [0])]
    adapted = scrambled(attach_factors(model, MixedFactors(3, methods), [0, 1]))
    for run in (0, 2):
        assert_splits(head_as_experts(adapted, inputs, layer=1, head=0, run=run))
    idle = part_sizes(adapted, inputs, run=1)
    assert torch.count_nonzero(idle.routing) == torch.count_nonzero(idle.expert) == 0
    plain = head_as_experts(model, inputs, layer=1, head=0)
    head = head_as_experts(adapted, inputs, layer=1, head=0, run=1)
    torch.testing.assert_close(head.gates, plain.gates, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["bert", "timm"])
def test_shift_norms_are_those_of_the_update_matrix(name):
    model, inputs = small(name)
    adapted = scrambled(attach(model, LORA))
    hidden: list[Tensor] = []
    attention = adapted.get_submodule(find_attention(detach(adapted))[1].path)
    attention.register_forward_pre_hook(lambda _, args: hidden.append(args[0][0]))
    head = head_as_experts(adapted, inputs, layer=1, head=2)
    expected = (hidden[0] @ delta_weights(adapted)[1][1][16:24].T).norm(dim=-1)
    torch.testing.assert_close(shift_norms(head.experts, present(head.base_experts)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["bert", "qwen2", "timm"])
def test_the_map_holds_every_heads_sizes_from_one_pass(name):
    model, inputs = small(name)
    adapted = scrambled(attach(model, REPLORA, runs=2))
    calls: list[None] = []
    handle = adapted.register_forward_hook(lambda *_: calls.append(None))
    sizes = part_sizes(adapted, inputs, run=1)
    handle.remove()
    assert len(calls) == 1
    real = 5 if name in TEXT else None
    for place, head in enumerate(all_heads(adapted, inputs, run=1)):
        at = divmod(place, 4)
        for size, part in (
            (sizes.routing, head.routing_part),
            (sizes.expert, head.expert_part),
            (sizes.change, head.output - present(head.base_output)),
            (sizes.base_output, head.base_output),
        ):
            assert size.shape == (2, 4)
            expected = present(part)[:real].norm(dim=-1).square().mean().sqrt()
            torch.testing.assert_close(size[at], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["bert", "qwen2", "timm"])
def test_the_model_is_left_as_it_was(name):
    model, inputs = small(name)
    adapted = scrambled(attach(model, LORA))
    without_dropout = part_sizes(adapted, inputs)
    adapted.train()
    adapted.get_submodule(find_attention(model)[0].path).eval()
    modules, state = dict(adapted.named_modules()), copy.deepcopy(adapted.state_dict())
    training = {path: module.training for path, module in modules.items()}
    assert torch.equal(part_sizes(adapted, inputs).change, without_dropout.change)
    with pytest.raises(SpecError):
        head_as_experts(adapted, inputs, layer=0, head=99)
    assert dict(adapted.named_modules()) == modules
    assert {path: module.training for path, module in modules.items()} == training
    assert all(torch.equal(value, state[key]) for key, value in adapted.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules.values())


def test_reading_leaves_the_models_answer_alone():
    """Qwen2 keeps keys and values: the second reading of each attention must not write into that cache."""
    model, inputs = small("qwen2")
    adapted = scrambled(attach(model, LORA))
    answers: list[Tensor] = []
    handle = adapted.register_forward_hook(lambda *call: answers.append(first(call[-1])))
    part_sizes(adapted, inputs)
    handle.remove()
    assert torch.equal(answers[0], first(run_model(adapted, inputs)))


# Measures.


def test_measures_by_hand():
    gates = torch.tensor([[0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    base = torch.tensor([[0.25, 0.75, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.7, 0.1, 0.1, 0.1]])
    log = math.log
    torch.testing.assert_close(entropy(gates), torch.tensor([log(2), 0.0, log(4)]))
    torch.testing.assert_close(effective_experts(gates), torch.tensor([2.0, 1.0, 4.0]))
    by_hand = [0.5 * log(0.5 / 0.25) + 0.5 * log(0.5 / 0.75), 0.0, 0.25 * log(0.25 / 0.7) + 0.75 * log(0.25 / 0.1)]
    torch.testing.assert_close(kl(gates, base), torch.tensor(by_hand))
    assert torch.count_nonzero(kl(base, base)) == 0
    torch.testing.assert_close(load(gates), torch.tensor([1.75, 0.75, 0.25, 0.25]) / 3)
    torch.testing.assert_close(load(gates, torch.tensor([True, True, False])), torch.tensor([0.75, 0.25, 0.0, 0.0]))
    assert top_tokens(load(gates), 3) == [0, 1, 2]
    torch.testing.assert_close(shift_norms(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)), torch.tensor([5.0]))
    vanished = kl(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
    assert torch.isfinite(vanished).all()
    assert vanished > 40


def test_measures_take_all_heads_at_once():
    model, inputs = small("bert")
    layer = read_layers(model, inputs)[0]
    gates = layer.mixture.gates
    again = read_layers(model, inputs, layers=[1, 0, 0])
    assert torch.equal(again[1].mixture.gates, gates)
    assert torch.equal(again[2].mixture.gates, gates)
    for measure in (entropy, effective_experts, load):
        torch.testing.assert_close(measure(gates)[2], measure(gates[2]))
    assert ((effective_experts(gates) >= 1 - 1e-5) & (effective_experts(gates) <= 5 + 1e-5)).all()  # 2 of 7 are padding
    torch.testing.assert_close(load(gates).sum(-1), torch.ones(4))


# Refusals.


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"layer": 2}, "layer must be a whole number from 0 to 1, got 2."),
        ({"layer": -1}, "layer must be a whole number from 0 to 1, got -1."),
        ({"layer": True}, "layer must be a whole number from 0 to 1, got True."),
        ({"head": 4}, "head must be a whole number from 0 to 3, got 4."),
        ({"head": 1.5}, "head must be a whole number from 0 to 3, got 1.5."),
        ({"run": 2}, "run must be a whole number from 0 to 1, got 2."),
        (
            {"inputs": torch.zeros(2, 3, 32, 32)},
            "inputs must be a tensor of one example, its first of at least two axes 1, got shape (2, 3, 32, 32).",
        ),
        (
            {"inputs": {"x": torch.zeros(3, 3, 32, 32)}},
            "x must be a tensor of one example, its first of at least two axes 1, got shape (3, 3, 32, 32).",
        ),
        ({"inputs": {"x": "text"}}, "x must be a tensor of one example, its first of at least two axes 1, got str."),
        (
            {"inputs": torch.zeros(3, 32, 32)},
            "inputs must be an image (1, 3, height, width), got shape (3, 32, 32).",
        ),
        ({"inputs": "text"}, "inputs must be an image tensor or names and tensors, got str."),
    ],
)
def test_a_bad_value_is_one_sentence(change, sentence):
    model, image = small("timm")
    arguments = {"inputs": image, "layer": 0, "head": 0, "run": 0, **change}
    inputs = arguments.pop("inputs")
    with pytest.raises(SpecError) as raised:
        head_as_experts(attach(model, LORA, runs=2), inputs, **arguments)
    assert str(raised.value) == sentence


def test_a_plain_model_has_one_run_and_no_map():
    model, image = small("timm")
    with pytest.raises(SpecError, match="run must be a whole number from 0 to 0, got 1"):
        head_as_experts(model, image, layer=0, head=0, run=1)
    with pytest.raises(AdapterError, match="has no adapters"):
        part_sizes(model, image)
    with pytest.raises(SpecError, match="count must be a whole number from 1 to 4, got 5"):
        top_tokens(torch.ones(4), 5)
    with pytest.raises(SpecError, match=r"loads must have one axis, tokens, got shape \(2, 2\)"):
        top_tokens(torch.ones(2, 2), 1)


def test_a_model_without_attention_is_refused():
    with pytest.raises(AttentionNotFoundError, match="No attention was found in Sequential"):
        head_as_experts(nn.Sequential(nn.Linear(2, 2)), torch.zeros(1, 3, 2, 2), layer=0, head=0)


class Odd(nn.Module):
    """An attention over the pixels of an image that departs from the mixture in one way."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.query, self.key, self.value = (nn.Linear(3, 4) for _ in range(3))

    def forward(self, image: Tensor) -> Tensor:
        x = image.flatten(2).mT  # (1, tokens, 3)
        q, k, v = (each(x).unflatten(-1, (2, 2)).transpose(1, 2) for each in (self.query, self.key, self.value))
        logits = q @ k.mT
        if self.way == "sigmoid":
            return logits.sigmoid() @ v
        if self.way == "twice":
            return logits.softmax(-1) @ v - (2 * logits).softmax(-1) @ v
        if self.way == "unused":
            return x
        if self.way == "channels":
            return (q.mT @ k).softmax(-1) @ v.mT
        if self.way == "reweighted":
            return 2 * logits.softmax(-1) @ v
        if self.way == "other value":
            return logits.softmax(-1) @ v.square()
        mixed = logits.softmax(-1) @ v
        return mixed.mul_(2)  # in place: what was noted is no longer gates times values


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("sigmoid", "it takes 0 products of a softmax and values"),
        ("twice", "it takes 2 products of a softmax and values"),
        ("channels", "it regroups the tokens"),
        ("reweighted", "its weights are no shares: they are below 0 or do not add up to 1"),
        ("other value", "what it mixes is not the output of its value projection"),
        ("in place", "its output differs from gates times values by"),
    ],
)
def test_an_attention_that_is_no_mixture_is_refused(way, reason):
    with pytest.raises(AttentionReadError, match=f"Odd cannot be read as gates and experts: {reason}"):
        head_as_experts(nn.Sequential(Odd(way)), torch.randn(1, 3, 2, 4), layer=0, head=0)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 32, "window_size": 4, "depths": (1, 1)},
            "WindowAttention cannot be read as gates and experts: it regroups the tokens",
        ),
        ("xcit_nano_12_p8_224", {"depth": 1}, "XCA cannot be read as gates and experts: it regroups the tokens"),
        (
            "cait_xxs24_224",
            {"depth": 1, "img_size": 32},
            "TalkingHeadAttn cannot be read as gates and experts: its weights are no",
        ),
    ],
)
def test_windows_channels_and_talking_heads_of_timm_are_refused(name, options, sentence):
    torch.manual_seed(0)
    with pytest.raises(AttentionReadError, match=f"^{sentence}"):
        head_as_experts(timm.create_model(name, **options), torch.randn(1, 3, 32, 32), layer=0, head=0)


def test_a_layer_that_runs_again_and_again_is_refused():
    model = transformers.AlbertModel(transformers.AlbertConfig(vocab_size=50, embedding_size=16, **SIZES))
    with pytest.raises(AttentionReadError, match=r"AlbertAttention .*: it runs more than once in a forward pass"):
        head_as_experts(model, {"input_ids": torch.ones(1, 4, dtype=torch.long)}, layer=0, head=0)


def test_an_attention_that_the_inputs_do_not_reach_is_refused():
    class Detour(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = Odd("unused")

        def forward(self, image: Tensor) -> Tensor:
            return image

    with pytest.raises(AttentionReadError, match=r"Odd cannot be read .*: these inputs do not reach it"):
        head_as_experts(Detour(), torch.randn(1, 3, 2, 4), layer=0, head=0)
    with pytest.raises(AttentionReadError, match="it takes 0 products"):
        head_as_experts(Detour().attention, torch.randn(1, 3, 2, 4), layer=0, head=0)
