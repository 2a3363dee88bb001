"""Knobs that others have named: LoRA+ and rsLoRA against PEFT's own."""

from __future__ import annotations

import copy
import json

import peft
import pytest
import torch
from peft.optimizers import create_loraplus_optimizer

from replora import Method, attach, delta_weights
from replora.adapters.attach import adapter_of
from replora.adapters.peft import AdapterFileError, load_peft, save_peft
from replora.training.optimizer import AdamW, RunParameters

RATIO, RATE = 8.0, 3e-3


def trained_by_us(adapted, example, inputs, steps):
    """Move the factors, each part by its share of the rate."""
    parts = adapter_of(adapted).factors.rate_groups()
    groups = [RunParameters(parameters, [0]) for parameters, _ in parts]
    optimizer = AdamW(groups, weight_decay=0.0)
    for step in range(1, steps + 1):
        optimizer.backward(example.logits(adapted, inputs).pow(2).sum())
        rates = [torch.tensor([RATE * share]) for _, share in parts]
        optimizer.step(rates, torch.ones(1, dtype=torch.bool), optimizer.corrections(step))


def test_another_rate_for_b_is_the_loraplus_of_peft(bert_example, tmp_path):
    inputs = bert_example.inputs(4)
    adapted = attach(bert_example.model, Method(name="lora", rank=3, b_rate_ratio=RATIO))
    oracle = peft.PeftModel.from_pretrained(
        copy.deepcopy(bert_example.model), save_peft(adapted, tmp_path), is_trainable=True
    ).eval()
    oracle.base_model.model.classifier.requires_grad_(False)  # which PEFT trains with every classifier
    optimizer = create_loraplus_optimizer(oracle, torch.optim.AdamW, lr=RATE, loraplus_lr_ratio=RATIO, weight_decay=0.0)
    for _ in range(4):
        optimizer.zero_grad()
        bert_example.logits(oracle, inputs).pow(2).sum().backward()
        optimizer.step()
    start = bert_example.logits(adapted, inputs).detach()
    trained_by_us(adapted, bert_example, inputs, 4)
    ours, theirs = (bert_example.logits(each, inputs).detach() for each in (adapted, oracle))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (ours - start).abs().max() > 0.01


@pytest.mark.parametrize("method", [Method(name="lora"), Method(name="replora")], ids=lambda method: method.name)
def test_at_a_ratio_of_one_nothing_is_split(method, bert_example):
    factors = adapter_of(attach(bert_example.model, method)).factors
    ((parameters, share),) = factors.rate_groups()
    assert share == 1
    assert len(parameters) == len(list(factors.parameters()))


@pytest.mark.parametrize("name", ["lora", "replora"])
def test_alpha_over_the_root_is_the_rslora_of_peft(name, example, tmp_path):
    method = Method(name=name, rank=4, alpha=6, alpha_over="root", mlp_width=8)
    assert method.scaling == 3
    adapted, inputs = attach(example.model, method), example.inputs(4)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        save_peft(adapted, tmp_path)
        oracle = peft.PeftModel.from_pretrained(copy.deepcopy(example.model), tmp_path).eval()
        torch.testing.assert_close(example.logits(oracle, inputs), example.logits(adapted, inputs), atol=1e-5, rtol=0)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["use_rslora"] is True
    assert config["lora_alpha"] == pytest.approx(3 * config["r"] ** 0.5)
    again = load_peft(example.model, tmp_path)
    for ours, theirs in zip(delta_weights(adapted), delta_weights(again), strict=True):
        assert all(torch.allclose(*pair, atol=1e-7) for pair in zip(ours, theirs, strict=True))
    assert "use_rslora" in (save_peft(again, tmp_path / "again") / "adapter_config.json").read_text()


def test_a_folder_that_does_not_say_which_scaling_is_refused(bert_example, tmp_path):
    folder = save_peft(attach(bert_example.model, Method(name="lora")), tmp_path)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    assert "use_rslora" not in config  # what it has always said of alpha / rank
    path.write_text(json.dumps({**config, "use_rslora": "yes"}))
    with pytest.raises(AdapterFileError, match="use_rslora must be true or false, got 'yes'"):
        load_peft(bert_example.model, folder)


def test_another_rank_keeps_the_scaling():
    method = Method(name="lora", rank=4, alpha=6)
    assert method.of_rank(10).scaling == pytest.approx(method.scaling)
    root = Method(name="lora", rank=4, alpha=6, alpha_over="root")
    assert root.of_rank(9) == Method(name="lora", rank=9, alpha=9, alpha_over="root")


def test_knobs_that_change_nothing_take_their_defaults():
    assert Method(name="replora", b_rate_ratio=4) == Method(name="replora")
    assert Method(name="lora", rank=1, alpha_over="root") == Method(name="lora", rank=1)
    assert Method(name="head", alpha_over="root", b_rate_ratio=4) == Method(name="head")
