"""What is written, opened by PEFT itself: compiled models, tied heads, half precision, AutoPeftModel."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

from replora import Method, attach, load_peft, merge, save_peft
from replora.adapters import peft as folders
from replora.adapters.attach import adapter_of
from replora.adapters.peft import AdapterFileError

SMALL = {"vocab_size": 50, "num_attention_heads": 4, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
LORA = Method(name="lora", rank=3, alpha=14)
IDS = torch.arange(14).view(2, 7)
AUTO = {
    "BertModel": peft.AutoPeftModelForFeatureExtraction,
    "BertForSequenceClassification": peft.AutoPeftModelForSequenceClassification,
    "BertForTokenClassification": peft.AutoPeftModelForTokenClassification,
    "BertForQuestionAnswering": peft.AutoPeftModelForQuestionAnswering,
    "LlamaForCausalLM": peft.AutoPeftModelForCausalLM,
    "BertForNextSentencePrediction": peft.AutoPeftModel,
}


def made(name, **more):
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    return kind(kind.config_class(**SMALL, **more)).eval()


def moved(model, method=LORA, runs=1):
    """An adapted copy, its factors and what else is trained away from their start."""
    adapted = attach(model, method, runs=runs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return adapted


def first(model, **inputs):
    with torch.no_grad():
        return next(iter(model(IDS, **inputs).to_tuple()))


def config_of(folder):
    return json.loads((folder / "adapter_config.json").read_text())


@pytest.mark.parametrize("name", AUTO)
def test_auto_peft_model_opens_our_folder(name, tmp_path):
    made(name).save_pretrained(tmp_path / "base")
    model = getattr(transformers, name).from_pretrained(tmp_path / "base").eval()
    adapted = moved(model)
    opened = AUTO[name].from_pretrained(save_peft(adapted, tmp_path / "adapter")).eval()
    assert (first(model) - first(adapted)).abs().max() > 1e-4
    torch.testing.assert_close(first(opened), first(adapted), atol=1e-5, rtol=0)


@pytest.mark.parametrize("part", ["all of it", "the encoder"])
def test_a_compiled_model_is_written_under_its_plain_names(part, tmp_path):
    adapted = moved(made("BertForSequenceClassification"))
    adapted.classifier.requires_grad_(True)
    save_peft(adapted, tmp_path / "plain")
    compiled: Any = adapted
    if part == "all of it":
        compiled = torch.compile(adapted, backend="eager")
    else:
        compiled.bert.encoder = torch.compile(adapted.bert.encoder, backend="eager")
    save_peft(compiled, tmp_path / "compiled")
    assert config_of(tmp_path / "compiled") == config_of(tmp_path / "plain")
    assert config_of(tmp_path / "plain")["modules_to_save"] == ["classifier"]
    ours, plain = (load_file(tmp_path / each / "adapter_model.safetensors") for each in ("compiled", "plain"))
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[key], plain[key]) for key in plain)


@pytest.mark.parametrize(
    ("name", "head"),
    [("LlamaForCausalLM", "lm_head"), ("BertForMaskedLM", "cls"), ("BertForMaskedLM", "bert.embeddings")],
)
def test_a_trained_tied_head_goes_along(name, head, tmp_path):
    model = made(name, tie_word_embeddings=True)
    adapted = moved(model)
    adapted.get_submodule(head).requires_grad_(True)
    with torch.no_grad():
        adapted.get_output_embeddings().weight.mul_(1.5)
    assert adapted.get_output_embeddings().weight is adapted.get_input_embeddings().weight
    oracle = peft.PeftModel.from_pretrained(copy.deepcopy(model), save_peft(adapted, tmp_path)).eval()
    torch.testing.assert_close(first(oracle), first(adapted), atol=1e-5, rtol=0)


def test_modules_that_peft_takes_by_the_end_of_a_name_go_along(tmp_path):
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=48)
    model = transformers.DistilBertForSequenceClassification(config).eval()
    adapted = moved(model)
    adapted.classifier.requires_grad_(True)
    with torch.no_grad():
        adapted.classifier.weight.mul_(2)
    oracle = peft.PeftModel.from_pretrained(copy.deepcopy(model), save_peft(adapted, tmp_path)).eval()
    assert config_of(tmp_path)["modules_to_save"] == ["classifier"]  # which pre_classifier ends with as well
    for other in (oracle, load_peft(model, tmp_path)):
        torch.testing.assert_close(first(other), first(adapted), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("rank", "alpha", "over"), [(3, 14, "rank"), (3, 14, "root"), (7, 0.3, "rank"), (4, 4, "rank")]
)
def test_alpha_is_written_as_it_was_said_also_after_half_precision(dtype, rank, alpha, over, tmp_path):
    method = Method(name="replora", rank=rank, alpha=alpha, alpha_over=over, mlp_width=8)
    adapted = moved(made("BertModel"), method)
    for each in (adapted, copy.deepcopy(adapted).to(dtype), copy.deepcopy(adapted).to(dtype).float()):
        assert config_of(save_peft(each, tmp_path))["lora_alpha"] == alpha
        assert isinstance(config_of(tmp_path)["lora_alpha"], type(alpha))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_merging_in_half_precision_rounds_once(dtype):
    adapted = moved(made("BertModel")).to(dtype)
    layer = adapted.encoder.layer[1].attention.self.query
    a, b = (each[0].double() for each in layer.update(adapter_of(adapted).factors.at(1)))
    base = layer.base_layer.weight.double()
    exact, size = base + 14 / 3 * b @ a, base.abs() + 14 / 3 * b.abs() @ a.abs()
    merged = merge(adapted).encoder.layer[1].attention.self.query.weight
    assert merged.dtype == dtype
    spacing = torch.finfo(dtype).eps * 2 ** exact.abs().log2().floor()
    assert ((merged.double() - exact).abs() <= spacing / 2 + 4 * torch.finfo(torch.float32).eps * size).all()


def test_a_folder_is_whole_or_not_there(tmp_path, monkeypatch):
    adapted = moved(made("BertModel"))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save_peft(adapted, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    save_peft(adapted, tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    assert set(before) == {"adapter_config.json", "adapter_model.safetensors"}
    monkeypatch.setattr(folders.writing, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_peft(adapted, tmp_path / "old")
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
    assert torch.equal(first(load_peft(made("BertModel"), tmp_path / "old")), first(adapted))


@pytest.mark.slow
def test_a_checkpoint_of_trainer_is_said_to_be_one_and_can_be_gone_on_from(tmp_path):
    made("BertForSequenceClassification").save_pretrained(tmp_path / "base")
    model = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "base").eval()
    method = Method(name="replora", rank=2, mlp_width=8)
    adapted = attach(model, method)
    adapted.classifier.requires_grad_(True)
    options = {"max_steps": 2, "save_steps": 2, "learning_rate": 0.01, "use_cpu": True, "report_to": "none"}
    rows = [{"input_ids": torch.arange(7) + place, "labels": place % 2} for place in range(8)]
    transformers.Trainer(
        adapted, transformers.TrainingArguments(tmp_path / "out", **options), train_dataset=rows
    ).train()
    checkpoint = tmp_path / "out" / "checkpoint-2"
    with pytest.raises(
        AdapterFileError, match=r"model\.safetensors is the whole state of an adapted model in training; "
    ):
        load_peft(model, checkpoint)
    again = attach(model, method)
    again.load_state_dict(load_file(checkpoint / "model.safetensors"))
    assert torch.equal(first(again), first(adapted.eval()))
    drawn = transformers.BertForSequenceClassification.from_pretrained(checkpoint).eval()
    query, base = (each.bert.encoder.layer[0].attention.self.query for each in (drawn, adapted))
    assert not torch.allclose(query.weight, base.base_layer.weight)  # of which README warns
    merge(adapted).save_pretrained(tmp_path / "merged")
    plain = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(first(plain), first(adapted), atol=1e-5, rtol=0)
