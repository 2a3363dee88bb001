"""The engine's parts against oracles: torch's AdamW, scipy's minimiser, the models' own forward."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from replora.backbones import BackboneError, load_backbone, use_plain_attention
from replora.backbones.weights import WEIGHTS_FILE
from replora.catalog import ASSETS, BACKBONES
from replora.tasks import load_task
from replora.training.cache import PrefixCache
from replora.training.head import PROBE_DECAY, fit_probe
from replora.training.optimizer import AdamW, GradientDescent, RunParameters, warmup_cosine


@pytest.mark.parametrize(
    ("kind", "oracle_kind"), [(AdamW, torch.optim.AdamW), (GradientDescent, torch.optim.SGD)], ids=["adamw", "sgd"]
)
def test_an_optimizer_equals_torchs_run_by_run(kind, oracle_kind):
    torch.manual_seed(0)
    rates, decay = torch.tensor([1e-2, 3e-3, 1e-1]), 0.1
    start = [torch.randn(3, 4, 5), torch.randn(3, 6)]
    targets = [torch.randn_like(each) for each in start]
    ours = [nn.Parameter(each.clone()) for each in start]
    group = RunParameters(ours, range(3))
    stacked = kind([group], weight_decay=decay)
    oracle = [[nn.Parameter(each[run].clone()) for each in start] for run in range(3)]
    singles = [
        oracle_kind(parameters, lr=rate.item(), weight_decay=decay)
        for parameters, rate in zip(oracle, rates, strict=True)
    ]
    alive = torch.ones(3, dtype=torch.bool)
    for step in range(1, 11):
        losses = [(each - target).pow(2).sum() for each, target in zip(ours, targets, strict=True)]
        stacked.backward(torch.stack(losses).sum())
        stacked.step([rates], alive, stacked.corrections(step))
        for run, single in enumerate(singles):
            single.zero_grad()
            pairs = zip(oracle[run], targets, strict=True)
            torch.stack([(each - target[run]).pow(2).sum() for each, target in pairs]).sum().backward()
            single.step()
    for place, each in enumerate(ours):
        torch.testing.assert_close(each.detach(), torch.stack([oracle[run][place].detach() for run in range(3)]))


def test_a_dead_run_keeps_its_values_even_with_a_gradient_of_nan():
    parameter = nn.Parameter(torch.ones(2, 3))
    group = RunParameters([parameter], [0, 1])
    optimizer = AdamW([group], weight_decay=0.0)
    optimizer.backward((parameter * torch.tensor([[float("nan")], [1.0]])).sum())
    assert optimizer.gradient_norms(2).isfinite().tolist() == [False, True]
    optimizer.step([torch.full((2,), 0.1)], torch.tensor([False, True]), optimizer.corrections(1))
    assert parameter[0].tolist() == [1.0, 1.0, 1.0]
    assert parameter[1].tolist() == pytest.approx([0.9] * 3)


def test_warmup_rises_then_a_cosine_falls():
    shares = [warmup_cosine(step, 100, 0.1) for step in range(100)]
    assert shares[:10] == pytest.approx(np.linspace(0.1, 1.0, 10))
    assert shares[10] == 1.0
    assert shares[55] == pytest.approx(0.5)
    assert 0 < shares[-1] < 0.01
    assert warmup_cosine(0, 1, 0.0) == 1.0


def test_the_probe_is_the_optimum_scipy_finds():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 5)) * [1, 10, 0.1, 1, 1] + 3
    labels = generator.integers(0, 3, 60)
    weight, bias = fit_probe(torch.tensor(features, dtype=torch.float32), torch.tensor(labels), 3)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    inputs = (features - mean) / scale

    def objective(flat: np.ndarray) -> float:
        logits = inputs @ flat[:15].reshape(3, 5).T + flat[15:]
        peaks = logits.max(axis=1, keepdims=True)
        logs = logits - peaks - np.log(np.exp(logits - peaks).sum(axis=1, keepdims=True))
        return float(-logs[np.arange(60), labels].mean() + PROBE_DECAY * (flat[:15] ** 2).sum())

    best = minimize(objective, np.zeros(18), method="BFGS").fun
    standard = weight.double().numpy() * scale
    ours = np.concatenate([standard.ravel(), bias.double().numpy() + weight.double().numpy() @ mean])
    assert objective(ours) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(("name", "task"), [("dinov2_small_6", "digits"), ("minilm_l3", "movie_sentiment")])
def test_prefix_and_suffix_equal_the_whole_model(name, task):
    backbone = load_backbone(name)
    inputs = backbone.encode(load_task(task).test.examples[:9])
    with torch.no_grad():
        if name == "minilm_l3":
            assert not inputs["mask"].all()
            hidden = backbone.model(input_ids=inputs["ids"], attention_mask=inputs["mask"].long()).last_hidden_state
            weights = inputs["mask"].unsqueeze(-1)
            whole = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        else:
            whole = backbone.model(inputs["pixels"])
        for first in range(backbone.blocks):
            split = backbone.features(backbone.prefix(inputs, first), first)
            torch.testing.assert_close(split, whole, atol=1e-5, rtol=1e-5)
        use_plain_attention(backbone.model)
        plain = backbone.features(backbone.prefix(inputs, 0), 0)
        torch.testing.assert_close(plain, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "task"), [("dinov2_small_6", "emoji"), ("minilm_l3", "wordnet_topics")])
def test_the_cache_gives_what_the_prefix_computes(name, task):
    backbone = load_backbone(name)
    split = load_task(task).test.take(np.arange(40))
    cache = PrefixCache(backbone, split, 1, torch.float32)
    places = np.array([7, 3, 3, 39])
    cache.take(np.array([3, 5]))
    rows = cache.take(places)
    with torch.no_grad():
        expected = backbone.prefix(backbone.encode(split.take(places).examples), 1)
        torch.testing.assert_close(backbone.features(rows, 1), backbone.features(expected, 1), atol=1e-5, rtol=1e-5)
    assert set(np.flatnonzero(cache.known)) == {3, 5, 7, 39}
    seen = np.concatenate([chunk for chunk, _ in cache.chunks(16)])
    assert sorted(seen) == list(range(40))


def test_a_local_folder_is_a_backbone(tmp_path):
    source: Any = load_backbone("minilm_l3")
    source.model.save_pretrained(tmp_path)
    source.tokenizer.save_pretrained(tmp_path)
    again = load_backbone(f"local:{tmp_path}")
    inputs = source.encode(["one sentence"])
    with torch.no_grad():
        torch.testing.assert_close(again.features(again.encode(["one sentence"]), 0), source.features(inputs, 0))


@pytest.mark.parametrize("name", ["timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", "hf:distilbert-base-uncased"])
def test_a_model_that_needs_the_network_says_so(name, monkeypatch, tmp_path):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match=r"cannot be loaded: it needs a download from the hub"):
        load_backbone(name)


@pytest.mark.parametrize("name", BACKBONES)
def test_an_embedded_model_that_is_cut_off_is_one_sentence(name, tmp_path):
    shutil.copytree(ASSETS / BACKBONES[name].folder, tmp_path, dirs_exist_ok=True)
    weights = (tmp_path / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(weights[: len(weights) // 2])
    with pytest.raises(BackboneError, match=r"cannot be loaded: the folder needs a readable config\.json and model"):
        load_backbone(f"local:{tmp_path}")


def test_a_damaged_or_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(BackboneError, match=r"cannot be loaded: the folder needs a readable config\.json"):
        load_backbone(f"local:{tmp_path}")
    (tmp_path / "config.json").write_text('{"library": "timm", "architecture": "vit_tiny_patch16_224"}')
    with pytest.raises(BackboneError, match="model_args"):
        load_backbone(f"local:{tmp_path}")
