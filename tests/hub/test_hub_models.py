"""Models of the hub's own classes, randomly initialised: from the hub or a folder to a race of two steps."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save

from replora.adapters.attach import find_attention
from replora.backbones import BackboneError, load_backbone
from replora.catalog import ASSETS, BACKBONES, HUB
from replora.config import Method, Race, Run
from replora.events import Event, Finished, Started, Step
from replora.hub.download import Download, Downloaded, download
from replora.hub.names import is_downloaded
from replora.tasks import load_task
from replora.training.race import race

VIT, DISTILBERT = "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", "hf:distilbert-base-uncased"
SMOLLM = "hf:HuggingFaceTB/SmolLM2-135M-Instruct"
TASKS = {VIT: "digits", DISTILBERT: "wordnet_topics"}
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def vit() -> Any:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", pretrained=False)


def write_distilbert(folder: Path) -> transformers.DistilBertModel:
    """A small DistilBERT with the embedded text model's tokenizer."""
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=14_000, dim=48, n_layers=2, n_heads=4, hidden_dim=96, max_position_embeddings=128
    )
    model = transformers.DistilBertModel(config)
    model.save_pretrained(folder)
    for file in TOKENIZER:
        shutil.copy(ASSETS / BACKBONES["minilm_l3"].folder / file, folder / file)
    return model


@pytest.fixture
def filled(hub, tmp_path):
    """A hub that has both models, and the models themselves by name."""
    folder = tmp_path / "distilbert"
    models = {VIT: vit(), DISTILBERT: write_distilbert(folder)}
    hub.repositories["distilbert-base-uncased"] = {each.name: each.read_bytes() for each in folder.iterdir()}
    weights = save({name: value.contiguous() for name, value in models[VIT].state_dict().items()})
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 1000}
    repository = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    hub.repositories[repository] = {"config.json": json.dumps(config).encode(), "model.safetensors": weights}
    return models


def two_steps(name: str, task: str) -> list[Event]:
    """A race of two steps with both methods."""
    runs = (Run(method=Method(name="lora")), Run(method=Method(name="replora", mlp_width=8)))
    spec = Race(
        runs=runs, task=task, backbone=name, steps=2, batch_size=2, adapted_blocks=1, evaluate_every=2,
        test_examples=10, device="cpu", precision="float32",
    )  # fmt: skip
    return list(race(spec))


@pytest.mark.slow
@pytest.mark.parametrize("name", [VIT, DISTILBERT])
def test_a_downloaded_model_races_without_a_network(name, hub, filled, endpoint, closed_port):
    assert isinstance(list(download(Download(backbone=name)))[-1], Downloaded)
    assert is_downloaded(name)
    endpoint(f"http://127.0.0.1:{closed_port}")
    backbone = load_backbone(name)
    assert backbone.name == name
    assert backbone.blocks == len(find_attention(filled[name]))
    theirs = filled[name].state_dict()
    assert all(torch.equal(value, theirs[each]) for each, value in backbone.model.state_dict().items())
    told = two_steps(name, TASKS[name])
    assert isinstance(told[0], Started)
    assert told[0].backbone == name
    assert sum(isinstance(each, Step) for each in told) == 2
    assert isinstance(told[-1], Finished)


@pytest.mark.parametrize("name", [VIT, DISTILBERT])
def test_a_model_that_is_here_is_read_without_asking_a_hub_that_hangs(name, hub, filled):
    list(download(Download(backbone=name)))
    hub.silent, hub.asked = True, []
    load_backbone(name)
    assert hub.asked == []


@pytest.mark.parametrize("name", [VIT, DISTILBERT])
def test_where_downloads_are_off_loading_does_not_ask_the_hub(name, hub, filled, monkeypatch):
    monkeypatch.setenv("REPLORA_DOWNLOADS", "off")
    with pytest.raises(BackboneError, match="cannot be loaded: it needs a download"):
        load_backbone(name)
    assert hub.asked == []


def test_weights_are_never_a_pickle(hub, filled):
    files = hub.repositories["distilbert-base-uncased"]
    sink = io.BytesIO()
    torch.save(filled[DISTILBERT].state_dict(), sink)
    del files["model.safetensors"]
    files["pytorch_model.bin"] = sink.getvalue()
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load_backbone(DISTILBERT)
    assert not [each for each in hub.asked if each.startswith("GET") and each.endswith(".bin")]


@pytest.mark.slow
def test_a_local_folder_of_each_class_races(tmp_path):
    theirs = write_distilbert(tmp_path / "text").eval()
    model = vit()
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(save(dict(model.state_dict())))
    facts = {"input_size": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3}
    config = {"library": "timm", "architecture": "vit_tiny_patch16_224", "model_args": {}, "pretrained_cfg": facts}
    (folder / "config.json").write_text(json.dumps(config))
    texts, pictures = load_task("wordnet_topics").test.examples[:3], load_task("digits").test.examples[:3]
    with torch.no_grad():
        backbone = load_backbone(f"local:{tmp_path / 'text'}")
        inputs = backbone.encode(texts)
        hidden = theirs(input_ids=inputs["ids"], attention_mask=inputs["mask"].long())[0]
        weights = inputs["mask"].unsqueeze(-1)
        expected = (hidden * weights).sum(1) / weights.sum(1)
        torch.testing.assert_close(backbone.features(backbone.prefix(inputs, 1), 1), expected)
        backbone = load_backbone(f"local:{folder}")
        inputs = backbone.encode(pictures)
        expected = model.eval().forward_head(model.forward_features(inputs["pixels"]), pre_logits=True)
        torch.testing.assert_close(backbone.features(backbone.prefix(inputs, 5), 5), expected, atol=1e-5, rtol=1e-5)
    for path, task in ((tmp_path / "text", "wordnet_topics"), (folder, "digits")):
        assert isinstance(two_steps(f"local:{path}", task)[-1], Finished)


def bert(**facts: int) -> Any:
    return transformers.BertModel(transformers.BertConfig(**facts))


BUILDERS = {
    VIT: vit,
    "timm:vit_small_patch16_224.augreg_in21k_ft_in1k": lambda: timm.create_model("vit_small_patch16_224"),
    "hf:sentence-transformers/all-MiniLM-L6-v2": lambda: bert(
        hidden_size=384, num_hidden_layers=6, intermediate_size=1536
    ),
    DISTILBERT: lambda: transformers.DistilBertModel(transformers.DistilBertConfig()),
    "hf:bert-base-uncased": bert,
    SMOLLM: lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=49_152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            tie_word_embeddings=True,
        )
    ),
}
STORED = {SMOLLM: 2}  # bytes of a number, where it is not float32


@pytest.mark.parametrize("name", HUB)
def test_the_list_tells_the_sizes_of_the_classes(name):
    with torch.device("meta"):
        model = BUILDERS[name]()
    card = HUB[name]
    assert card.parameters == sum(each.numel() for each in model.parameters())
    assert card.blocks == len(find_attention(model))
    stored = STORED.get(name, 4) * card.parameters / 1e6
    assert np.isclose(card.megabytes, stored, rtol=0.02)  # some keep a head besides
