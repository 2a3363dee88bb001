"""Folders of PEFT, every kind that people have: held exactly, PEFT being the oracle, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import peft
import pytest
import torch
from peft_folders import made, opened, output, trained, written
from safetensors.torch import load_file, save_file

from replora import delta_weights, load_peft, merge, save_peft
from replora.adapters.latents import load_latents, save_latents
from replora.adapters.peft import AdapterFileError

QV = ["q_proj", "v_proj"]
HELD: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("bert", {}),
    "query alone": ("bert", {"target_modules": ["query"]}),
    "value alone": ("bert", {"target_modules": ["value"]}),
    "a pattern of names": ("bert", {"target_modules": r".*\.[12]\..*\.(query|value)"}),
    "grouped queries": ("llama", {"target_modules": QV, "task_type": "CAUSAL_LM"}),
    "images": ("images", {"modules_to_save": ["classifier"], "target_modules": QV}),
    "some layers": ("bert", {"layers_to_transform": [0, 2]}),
    "one layer": ("bert", {"layers_to_transform": 1, "layers_pattern": "layer"}),
    "some left out": ("bert", {"exclude_modules": ["0.attention.self.query", "2.attention.self.value"]}),
    "left out by a pattern": ("bert", {"exclude_modules": r".*\.0\..*"}),
    "rslora": ("bert", {"use_rslora": True}),
    "ranks": ("bert", {"rank_pattern": {"0.attention.self.query": 2, r"layer\.2\..*": 7}}),
    "alphas": ("bert", {"alpha_pattern": {"query": 3, r"^bert.encoder.layer.1.attention.self.value": 0.5}}),
    "ranks and alphas": ("bert", {"use_rslora": True, "rank_pattern": {"value": 9}, "alpha_pattern": {"1.*query": 2}}),
    "dropout": ("bert", {"lora_dropout": 0.3}),
    "fan_in_fan_out": ("bert", {"fan_in_fan_out": True}),
    "classifier": ("bert", {"task_type": "SEQ_CLS"}),
    "classifier by its end": ("distilbert", {"task_type": "SEQ_CLS", "target_modules": ["q_lin", "v_lin"]}),
    "score": ("score", {"task_type": "SEQ_CLS", "target_modules": QV}),
    "tokens": ("tokens", {"task_type": "TOKEN_CLS"}),
    "answers": ("answers", {"task_type": "QUESTION_ANS"}),
    "a norm": ("bert", {"modules_to_save": ["embeddings.LayerNorm", "pooler"]}),
    "a tied head": ("tied", {"target_modules": QV, "modules_to_save": ["lm_head"]}),
    "tied embeddings": ("tied", {"target_modules": QV, "modules_to_save": ["embed_tokens"]}),
    "both of the tie": ("tied", {"target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]}),
    "a tied head of masks": ("masked", {"modules_to_save": ["cls"]}),
    "embeddings saved along": ("llama", {"target_modules": QV, "saved": {"save_embedding_layers": True}}),
    "tied embeddings saved along": ("tied", {"target_modules": QV, "saved": {"save_embedding_layers": True}}),
    "biases of its layers": ("bert", {"bias": "lora_only"}),
    "all biases": ("bert", {"bias": "all"}),
    "all biases and the head": ("bert", {"bias": "all", "task_type": "SEQ_CLS"}),
    "no biases there": ("llama", {"bias": "all", "target_modules": QV}),
    **{f"start {start}": ("bert", {"init_lora_weights": start}) for start in (False, "gaussian", "orthogonal", "mica")},
    "pissa": ("bert", {"init_lora_weights": "pissa"}),
    "pissa of several ranks": (
        "bert",
        {"init_lora_weights": "pissa", "rank_pattern": {"query": 2}, "use_rslora": True},
    ),
    "pissa with the head": (
        "distilbert",
        {"init_lora_weights": "pissa", "task_type": "SEQ_CLS", "target_modules": ["q_lin", "v_lin"]},
    ),
    "olora": ("bert", {"init_lora_weights": "olora"}),
    "olora of grouped queries": (
        "llama",
        {"init_lora_weights": "olora", "target_modules": QV, "alpha_pattern": {"q_proj": 9}},
    ),
}


def same(ours, theirs, tolerance=1e-6):
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("kind", HELD)
def test_a_folder_that_can_be_held_is_held_exactly(kind, tmp_path):
    name, options = HELD[kind]
    start = options.get("init_lora_weights")  # of those with a name PEFT wants single precision
    model = made(name, torch.float32 if isinstance(start, str) else torch.float64)
    folder = written(model, tmp_path / "theirs", **options)
    theirs = output(opened(model, folder))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    ours = load_peft(model, folder)
    assert (theirs - output(model)).abs().max() > 1e-3 * theirs.abs().max()
    same(output(ours), theirs)
    same(output(merge(ours)), theirs)
    again = save_peft(ours, tmp_path / "ours")
    same(output(opened(model, again)), theirs)
    same(output(load_peft(model, again)), theirs)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("alpha", [30_000, 0.001])
def test_an_alpha_that_no_method_takes_goes_into_b(alpha, tmp_path):
    model = made("bert")
    folder = written(model, tmp_path / "theirs", lora_alpha=alpha, target_modules=["query"])
    query = load_file(folder / "adapter_model.safetensors")
    start = "base_model.model.bert.encoder.layer.1.attention.self.query.lora_"
    exact = alpha / 4 * query[f"{start}B.weight"].double() @ query[f"{start}A.weight"].double()
    ours = load_peft(model, folder)
    again = load_peft(model, save_peft(ours, tmp_path / "ours"))
    latents = load_latents(model, save_latents(ours, tmp_path / "latents.safetensors"))
    for each in (ours, again, latents):
        same(delta_weights(each)[1][0], exact)
    theirs = opened(model, tmp_path / "ours").base_model.model.bert.encoder.layer[1].attention.self.query
    same(theirs.get_delta_weight("default"), exact)


SHOWN = {"r": 4, "target_modules": ["query", "value"]}
REFUSED: dict[str, tuple[peft.PeftConfig, str]] = {
    "dora": (peft.LoraConfig(**SHOWN, use_dora=True), "use_dora must be unset .*, got True: DoRA"),
    "alora": (
        peft.LoraConfig(**SHOWN, alora_invocation_tokens=[5, 6]),
        r"alora_invocation_tokens must be unset .*, got \[5, 6\]: aLoRA",
    ),
    "biases of B": (peft.LoraConfig(**SHOWN, lora_bias=True), "lora_bias must be unset .*: biases of B"),
    "tokens": (
        peft.LoraConfig(**SHOWN, trainable_token_indices={"word_embeddings": [3, 4]}),
        "trainable_token_indices must be unset .*: rows of the embeddings",
    ),
    "parameters": (
        peft.LoraConfig(r=4, target_modules=[], target_parameters=["query.weight"]),
        r"target_parameters must be unset .*, got \['query.weight'\]",
    ),
    "layers that are not": (
        peft.LoraConfig(**SHOWN, layer_replication=[[0, 2], [1, 3]]),
        "layer_replication must be unset .*: layers that the model does not have",
    ),
    "a random start": (
        peft.LoraConfig(**SHOWN, init_lora_weights="pissa_niter_4"),
        "init_lora_weights must be one of .*, got 'pissa_niter_4': others change the model's own weights",
    ),
    "the key": (
        peft.LoraConfig(r=4, target_modules=["query", "key", "value"]),
        r"also updates key; only query and value can be held",
    ),
    "every layer": (
        peft.LoraConfig(r=4, target_modules="all-linear"),
        r"also updates classifier, dense, key; only query and value can be held",
    ),
    "embeddings": (
        peft.LoraConfig(r=4, target_modules=["query", "word_embeddings"]),
        "word_embeddings.lora_embedding_A is more than the A and B of a LoRA",
    ),
    "adalora": (peft.AdaLoraConfig(init_r=4, total_step=9, target_modules=["query"]), "got peft_type 'ADALORA'"),
    "ia3": (peft.IA3Config(target_modules=["value"], feedforward_modules=[]), "got peft_type 'IA3'"),
    "loha": (peft.LoHaConfig(**SHOWN), "got peft_type 'LOHA'"),
    "lokr": (peft.LoKrConfig(**SHOWN), "got peft_type 'LOKR'"),
    "vera": (peft.VeraConfig(**SHOWN), "got peft_type 'VERA'"),
    "oft": (peft.OFTConfig(r=0, oft_block_size=4, target_modules=["query"]), "got peft_type 'OFT'"),
    "boft": (peft.BOFTConfig(boft_block_size=4, target_modules=["query"]), "got peft_type 'BOFT'"),
    "norms": (peft.LNTuningConfig(target_modules=["LayerNorm"]), "got peft_type 'LN_TUNING'"),
    "prompt": (peft.PromptTuningConfig(num_virtual_tokens=3, task_type="SEQ_CLS"), "got peft_type 'PROMPT_TUNING'"),
    "prefix": (peft.PrefixTuningConfig(num_virtual_tokens=3, task_type="SEQ_CLS"), "got peft_type 'PREFIX_TUNING'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_folder_that_cannot_be_held_is_refused_by_name(kind, tmp_path):
    config, sentence = REFUSED[kind]
    model = made("bert")
    trained(model, config).save_pretrained(tmp_path)
    with pytest.raises(AdapterFileError, match=sentence) as refusal:
        load_peft(model, tmp_path)
    assert_one_sentence(refusal.value)


def assert_one_sentence(error):
    said = str(error)
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 500


UNSET: tuple[Any, ...] = (None, False, "", [], {})
PLAIN = {  # fields of LoraConfig that may say something, each for a reason that a case above shows
    *(
        "peft_type",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "auto_mapping",
        "task_type",
        "inference_mode",
    ),
    *("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "lora_dropout", "bias", "fan_in_fan_out"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save"),
    *("init_lora_weights", "loftq_config", "eva_config", "corda_config", "lora_ga_config"),  # the configs: of starts
    *("megatron_core", "qalora_group_size"),  # the configs of megatron_config and use_qalora
}


@pytest.mark.slow
def test_every_other_field_of_this_peft_and_of_a_later_one_is_refused_once_it_says_something(tmp_path):
    model = made("bert")
    folder = written(model, tmp_path)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    assert config.keys() >= PLAIN
    for field in (*(config.keys() - PLAIN), "use_some_lora"):
        for value in (True, 3, "yes", [1], {"a": 1}):
            path.write_text(json.dumps({**config, field: value}))
            with pytest.raises(AdapterFileError, match=f"^'?{field}'? must be unset"):
                load_peft(model, folder)
        for unset in UNSET:
            path.write_text(json.dumps({**config, field: unset}))
            load_peft(model, folder)


def test_a_folder_of_the_hub_s_cache_is_followed_to_its_blobs_and_no_further(tmp_path):
    model = made("bert")
    plain = written(model, tmp_path / "plain")
    cache = tmp_path / "models--some--adapter"
    snapshot = cache / "snapshots" / "0123abc"
    for folder in (snapshot, snapshot / "final"):
        folder.mkdir(parents=True)
        up = "../" * len(folder.relative_to(cache).parts)
        for number, name in enumerate(("adapter_config.json", "adapter_model.safetensors")):
            blob = cache / "blobs" / str(number)
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes((plain / name).read_bytes())
            (folder / name).symlink_to(f"{up}blobs/{number}")
        same(output(load_peft(model, folder)), output(load_peft(model, plain)))
    with pytest.raises(
        AdapterFileError, match="it is a folder of the hub's cache; name the one inside of its snapshots"
    ):
        load_peft(model, cache)
    (cache / "blobs" / "0").unlink()
    (cache / "blobs" / "0").symlink_to(plain / "adapter_config.json")
    with pytest.raises(AdapterFileError, match="leads out of the folder 0123abc"):
        load_peft(model, snapshot)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_held_as_it_is(dtype, tmp_path):
    model = made("bert")
    folder = written(model, tmp_path)
    path = folder / "adapter_model.safetensors"
    save_file({key: value.to(dtype) for key, value in load_file(path).items()}, path)
    same(output(load_peft(model, folder)), output(opened(model, folder)))
    half = made("bert", dtype)
    same(output(load_peft(half, folder)), output(opened(half, folder)), tolerance=8 * torch.finfo(dtype).eps)


def test_a_compiled_model_takes_the_folder_of_a_plain_one(tmp_path):
    model = made("distilbert")
    options = {"task_type": "SEQ_CLS", "target_modules": ["q_lin", "v_lin"], "bias": "all"}
    folder = written(model, tmp_path, **options)
    plain = output(load_peft(model, folder))
    model.distilbert.transformer.layer[1] = torch.compile(model.distilbert.transformer.layer[1], backend="eager")
    same(output(load_peft(model, folder)), plain)


def test_a_head_that_stays_tied_trains_as_one(tmp_path):
    model = made("tied")
    ours = load_peft(model, written(model, tmp_path, target_modules=QV, modules_to_save=["embed_tokens"]))
    assert ours.lm_head.weight is not ours.model.embed_tokens.weight  # PEFT's embed_tokens are a copy
    whole = save_peft(load_peft(model, save_tied(model, tmp_path / "whole")), tmp_path / "again")
    again = load_peft(model, whole)
    assert again.lm_head.weight is again.model.embed_tokens.weight


def save_tied(model, folder):
    """A folder of ours with a tied head that was trained."""
    adapted = load_peft(model, written(model, folder / "start", target_modules=QV))
    adapted.lm_head.requires_grad_(True)
    return save_peft(adapted, folder)


def test_biases_as_peft_wrote_them_at_first_are_read(tmp_path):
    model = made("bert")
    folder = written(model, tmp_path, bias="lora_only")
    now = output(load_peft(model, folder))
    path = folder / "adapter_model.safetensors"
    save_file({key.replace(".base_layer.bias", ".bias"): value for key, value in load_file(path).items()}, path)
    assert torch.equal(output(load_peft(model, folder)), now)
