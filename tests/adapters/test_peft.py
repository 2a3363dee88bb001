"""The PEFT folder: PEFT itself is the oracle, and what is damaged or hostile gets one sentence."""

from __future__ import annotations

import copy
import json
import pickle
import struct
import zipfile

import peft
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from replora import Method, attach, delta_weights, merge
from replora.adapters.attach import AdapterError, adapter_of
from replora.adapters.latents import load_latents, save_latents
from replora.adapters.peft import AdapterFileError, load_peft, save_peft

METHODS = [
    Method(name="lora", rank=3, alpha=6),
    Method(name="replora", rank=2, alpha=5, mlp_width=8),
    Method(name="replora", rank=2, mlp_width=8, sharing="separate", layer_sharing="one"),
]


def trained(example, method, runs=1, layers=None):
    """An adapted model moved away from its start."""
    adapted = attach(example.model, method, runs=runs, layers=layers)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapted


def head_of(model):
    return next(name for name in ("classifier", "score", "head") if hasattr(model, name))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{m.sharing}")
def test_peft_loads_our_folder_and_gives_the_same_logits(method, example, tmp_path):
    adapted = trained(example, method, runs=2, layers=[-1, 0])
    inputs = example.inputs(4)
    doubled = {name: torch.cat([value, value]) for name, value in inputs.items()}
    save_peft(adapted, tmp_path, run=1)
    oracle = peft.PeftModel.from_pretrained(copy.deepcopy(example.model), tmp_path).eval()
    with torch.no_grad():
        ours = example.logits(adapted, doubled).chunk(2)[1]
        assert (ours - example.logits(example.model, inputs)).abs().max() > 1e-3
        torch.testing.assert_close(example.logits(oracle, inputs), ours, atol=1e-5, rtol=0)
        merged = oracle.merge_and_unload()
        plain = merge(adapted, run=1)
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(merged.state_dict()[name], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{m.sharing}")
def test_a_folder_comes_back_exactly_with_the_head(method, example, tmp_path):
    adapted = trained(example, method)
    head = head_of(adapted)
    adapted.get_submodule(head).requires_grad_(True)
    with torch.no_grad():
        adapted.get_submodule(head).weight.mul_(2)
    again = load_peft(example.model, save_peft(adapted, tmp_path))
    assert json.loads((tmp_path / "adapter_config.json").read_text())["modules_to_save"] == [head]
    for ours, theirs in zip(delta_weights(adapted), delta_weights(again), strict=True):
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
    assert torch.equal(again.get_submodule(head).weight, adapted.get_submodule(head).weight)
    twice = save_peft(again, tmp_path / "again")
    first, second = (load_file(folder / "adapter_model.safetensors") for folder in (tmp_path, twice))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_trains_between_adapted_layers_goes_along(timm_example, tmp_path):
    adapted = trained(timm_example, METHODS[1])
    adapted.blocks[1].norm1.requires_grad_(True)
    adapted.head.requires_grad_(True)
    with torch.no_grad():
        adapted.blocks[1].norm1.weight.mul_(2)
    inputs = timm_example.inputs(4)
    save_peft(adapted, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["modules_to_save"] == ["blocks.1.norm1", "head"]
    oracle = peft.PeftModel.from_pretrained(copy.deepcopy(timm_example.model), tmp_path).eval()
    with torch.no_grad():
        ours = timm_example.logits(adapted, inputs)
        for other in (oracle, load_peft(timm_example.model, tmp_path)):
            torch.testing.assert_close(timm_example.logits(other, inputs), ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["pos_embed", "blocks.1.attn.qkv.base_layer.weight"])
def test_a_trained_parameter_that_the_folder_cannot_hold_is_refused(timm_example, tmp_path, name):
    adapted = trained(timm_example, METHODS[0])
    adapted.get_parameter(name).requires_grad_(True)
    with pytest.raises(AdapterError, match=f"{name} is trained, but"):
        save_peft(adapted, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_a_transformers_vision_model_goes_the_same_way(tmp_path):
    torch.manual_seed(0)
    config = transformers.SiglipVisionConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=32, patch_size=8
    )
    model = transformers.SiglipVisionModel(config).eval()
    adapted = attach(model, METHODS[1])
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        pixels = torch.randn(2, 3, 32, 32)
        oracle = peft.PeftModel.from_pretrained(copy.deepcopy(model), save_peft(adapted, tmp_path)).eval()
        ours = adapted(pixel_values=pixels).last_hidden_state
        torch.testing.assert_close(oracle(pixel_values=pixels).last_hidden_state, ours, atol=1e-5, rtol=0)


def test_a_folder_that_peft_wrote_is_read(bert_example, tmp_path):
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=["query", "value"], init_lora_weights=False)
    oracle = peft.get_peft_model(copy.deepcopy(bert_example.model), config).eval()
    oracle.save_pretrained(tmp_path)
    inputs = bert_example.inputs(4)
    with torch.no_grad():
        ours = bert_example.logits(load_peft(bert_example.model, tmp_path), inputs)
        torch.testing.assert_close(ours, bert_example.logits(oracle, inputs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name}-{m.sharing}")
def test_latents_come_back_ready_to_be_trained_on(method, example, tmp_path):
    adapted = trained(example, method, runs=2, layers=[1])
    again = load_latents(example.model, save_latents(adapted, tmp_path / "latents.safetensors"))
    ours, theirs = (dict(adapter_of(each).factors.named_parameters()) for each in (adapted, again))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) and theirs[name].requires_grad for name in ours)
    assert adapter_of(again).layers == (1,)


@pytest.fixture
def folder(bert_example, tmp_path):
    return save_peft(trained(bert_example, METHODS[0]), tmp_path / "adapter")


def changed(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"r": 20_000_000}, "r must be a whole number from 1 to 512, got 20000000"),
        ({"r": 0}, "r must be a whole number from 1 to 512, got 0"),
        ({"r": 7}, r"must have the shape \(7, 32\) of the model, got \(3, 32\)"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be a number above 0"),
        ({"use_dora": True}, "use_dora must be unset for a LoRA that can be held, got True: DoRA"),
        ({"peft_type": "IA3"}, "must describe a LoRA"),
        ({"modules_to_save": "classifier"}, "modules_to_save must be a list of names"),
        ({"modules_to_save": ["nothing"]}, "The model has no module 'nothing'"),
    ],
)
def test_a_config_that_does_not_fit_is_one_sentence(folder, bert_example, values, sentence):
    changed(folder, **values)
    with pytest.raises(AdapterFileError, match=sentence):
        load_peft(bert_example.model, folder)


def test_hostile_or_damaged_files_are_one_sentence(folder, bert_example, timm_example, tmp_path):
    model, weights = bert_example.model, folder / "adapter_model.safetensors"
    whole = weights.read_bytes()
    with pytest.raises(AdapterFileError, match="is no query or value projection of this model"):
        load_peft(timm_example.model, folder)
    weights.write_bytes(whole[:200])
    with pytest.raises(AdapterFileError, match="is no readable safetensors file"):
        load_peft(model, folder)
    weights.write_bytes(struct.pack("<Q", 1 << 60) + whole[8:])
    with pytest.raises(AdapterFileError, match="is no readable safetensors file"):
        load_peft(model, folder)
    weights.unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(AdapterFileError, match=r"has no adapter_model\.safetensors \(it has .*adapter_model\.bin"):
        load_peft(model, folder)
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(whole)
    weights.symlink_to(outside)
    with pytest.raises(AdapterFileError, match="leads out of the folder"):
        load_peft(model, folder)
    archive = tmp_path / "adapter.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("adapter_model.safetensors", b"\0" * 1_000_000)
    with pytest.raises(AdapterFileError, match=r"An adapter must be a folder .*, got adapter\.zip"):
        load_peft(model, archive)


def test_half_an_adapter_or_one_on_the_key_is_refused(folder, bert_example, timm_example, tmp_path):
    weights = folder / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({name: value for name, value in tensors.items() if "value.lora_A" not in name}, weights)
    with pytest.raises(AdapterFileError, match=r"lacks .*value\.lora_A\.weight"):
        load_peft(bert_example.model, folder)
    fused = save_peft(trained(timm_example, METHODS[0]), tmp_path / "fused")
    tensors = load_file(fused / "adapter_model.safetensors")
    name = next(each for each in tensors if each.endswith("lora_B.weight"))
    tensors[name][40, 0] = 1.0
    save_file(tensors, fused / "adapter_model.safetensors")
    with pytest.raises(AdapterFileError, match="also updates the key"):
        load_peft(timm_example.model, fused)


def test_latents_that_promise_more_than_they_hold_are_refused_before_they_are_made(bert_example, tmp_path):
    path = save_latents(trained(bert_example, METHODS[1]), tmp_path / "latents.safetensors")
    with safe_open(path, framework="pt") as weights:
        facts = weights.metadata()
    save_file(load_file(path), path, metadata={**facts, "runs": "1024"})
    with pytest.raises(AdapterFileError, match="holds other matrices than its method has on this model"):
        load_latents(bert_example.model, path)
    for layers in ("[99]", "[0, 0, 0, 0]"):
        save_file(load_file(path), path, metadata={**facts, "layers": layers})
        with pytest.raises(AdapterFileError, match="does not fit a model of 3 attention layers"):
            load_latents(bert_example.model, path)
    for broken in ({"method": "lora"}, {**facts, "method": "[" * 50_000}, {**facts, "layers": "[1e999]"}):
        save_file(load_file(path), path, metadata=broken)
        with pytest.raises(AdapterFileError, match="does not say which method it holds"):
            load_latents(bert_example.model, path)
    tensors = load_file(path)
    name = next(iter(tensors))
    for values, sentence in (
        (tensors[name] / 0, "holds numbers that are not finite"),
        (tensors[name].int(), "must hold floating-point numbers"),
    ):
        save_file({**tensors, name: values}, path, metadata=facts)
        with pytest.raises(AdapterFileError, match=f"{name} {sentence}"):
            load_latents(bert_example.model, path)
