"""Folders that are damaged, hostile or at odds with themselves: a sentence each, never another model than PEFT's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft_folders import made, opened, output, written
from safetensors.torch import load_file, save_file

from replora import load_peft
from replora.adapters.peft import AdapterFileError
from replora.adapters.peft.patterns import Patterns
from replora.options import UserError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
QUERY = "base_model.model.bert.encoder.layer.1.attention.self.query.lora_"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with a head and biases": {"task_type": "SEQ_CLS", "bias": "all", "use_rslora": True},
    "of several ranks": {"rank_pattern": {"query": 2}, "alpha_pattern": {"layer.1.*value": 3}},
    "with a residual": {"init_lora_weights": "pissa", "modules_to_save": ["pooler"]},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    model = made("bert")
    return {kind: written(model, tmp_path_factory.mktemp("kind"), **options) for kind, options in KINDS.items()}


@pytest.fixture
def folder(folders, tmp_path):
    return Path(shutil.copytree(folders["plain"], tmp_path / "adapter"))


def refused(folder):
    """The sentence with which a folder is refused."""
    with pytest.raises(AdapterFileError) as refusal:
        load_peft(made("bert"), folder)
    return sentence_of(refusal.value)


def sentence_of(error):
    said = str(error)
    assert said.endswith(".")
    assert said.isprintable()
    assert len(said) < 600
    return said


def said_in(folder, **values):
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


TEXTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "adapter_config.json cannot be read: Expecting value"),
    "a list": (b"[1]", "adapter_config.json must hold a JSON object, got [1]."),
    "bytes": (b"\xff\xfe{", "adapter_config.json cannot be read: 'utf-8' codec can't decode"),
    "a mark before it": (b"\xef\xbb\xbf{}", "adapter_config.json cannot be read: Unexpected UTF-8 BOM"),
    "half of it": (b'{"peft_type": "LO', "adapter_config.json cannot be read: Unterminated string"),
    "depth": (b'{"a":' * 60_000, "adapter_config.json is nested too deeply to be read."),
    "lists in lists": (b"[" * 500_000, "adapter_config.json is nested too deeply to be read."),
    "a number without end": (b'{"r": ' + b"9" * 9000 + b"}", "adapter_config.json cannot be read: Exceeds the limit"),
    "size": (b'{"a": "' + b"a" * (1 << 20) + b'"}', "adapter_config.json must have at most 1,048,576 bytes."),
    "a name twice": (b'{"r": 4, "peft_type": "LORA", "r": 8}', "adapter_config.json says 'r' twice."),
    "no type": (b'{"r": 4}', "adapter_config.json must describe a LoRA (peft_type LORA), got peft_type None."),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_configuration_that_is_none_is_one_sentence(kind, folder):
    text, sentence = TEXTS[kind]
    (folder / CONFIG).write_bytes(text)
    assert refused(folder).startswith(sentence)


VALUES: list[tuple[dict[str, Any], str]] = [
    ({"r": 4.0}, "r must be a whole number from 1 to 512, got 4.0."),
    ({"r": True}, "r must be a whole number from 1 to 512, got True."),
    ({"r": None}, "r must be a whole number from 1 to 512, got None."),
    ({"lora_alpha": float("inf")}, "lora_alpha must be a number above 0 and up to 1e6, got inf."),
    ({"lora_alpha": -3}, "lora_alpha must be a number above 0 and up to 1e6, got -3."),
    ({"lora_alpha": "16"}, "lora_alpha must be a number above 0 and up to 1e6, got '16'."),
    ({"rank_pattern": {"query": 0}}, "rank_pattern 'query' must be a whole number from 1 to 512, got 0."),
    ({"alpha_pattern": {"query": None}}, "alpha_pattern 'query' must be a number above 0 and up to 1e6, got None."),
    ({"rank_pattern": [4]}, "rank_pattern must be a table of at most 10,000 names, got [4]."),
    ({"rank_pattern": {"(": 4}}, "rank_pattern holds '(.*\\\\.)?(()', which is no pattern: missing )"),
    ({"target_modules": "*"}, "target_modules holds '*', which is no pattern: nothing to repeat"),
    ({"target_modules": ["query", 3]}, "target_modules must be a list of names, got ['query', 3]."),
    (
        {"target_modules": ["query"]},
        "bert.encoder.layer.0.attention.self.value is adapted in adapter_model.safetensors, ",
    ),
    (
        {"target_modules": ["query", "value", "pooler.dense"]},
        "adapter_model.safetensors lacks base_model.model.bert.pooler",
    ),
    (
        {"layers_to_transform": [0, 1]},
        "bert.encoder.layer.2.attention.self.query is adapted in adapter_model.safetensors",
    ),
    ({"layers_to_transform": "0"}, "layers_to_transform must be whole numbers, got '0'."),
    ({"exclude_modules": {"a": 1}}, "exclude_modules must be a list of names, got {'a': 1}."),
    ({"modules_to_save": ["pooler"]}, "adapter_model.safetensors lacks base_model.model.bert.pooler.dense.weight."),
    ({"modules_to_save": ["encoder"]}, "adapter_model.safetensors adapts no attention layer of this model."),
    ({"task_type": "SEQ_CLS"}, "adapter_model.safetensors lacks base_model.model.classifier"),
    ({"task_type": 3}, "task_type must be a name, got 3."),
    ({"bias": "some"}, "bias must be none, all or lora_only, got 'some'."),
    (
        {"bias": "lora_only"},
        "adapter_model.safetensors lacks base_model.model.bert.encoder.layer.0.attention.self.query.b",
    ),
    ({"use_rslora": "yes"}, "use_rslora must be true or false, got 'yes'."),
    ({"init_lora_weights": "corda"}, "init_lora_weights must be one of true, false, none, gaussian, eva, orthogonal, "),
    ({"init_lora_weights": 1}, "init_lora_weights must be one of true, false, none, gaussian, eva, orthogonal, mica, "),
    ({"modules_to_save": ["head\n" * 9000]}, "The model has no module "),
    ({"use_\nlora": "y" * 9000}, "'use_\\nlora' must be unset for a LoRA that can be held, got 'yyyy"),
]


@pytest.mark.parametrize(("values", "sentence"), VALUES)
def test_a_field_that_does_not_fit_is_one_sentence(values, sentence, folder):
    said_in(folder, **values)
    assert refused(folder).startswith(sentence)


def _cast(dtype):
    return lambda tensors: {**tensors, f"{QUERY}A.weight": tensors[f"{QUERY}A.weight"].to(dtype)}


def _with(value):
    def change(tensors):
        tensors[f"{QUERY}B.weight"][3, 1] = value
        return tensors

    return change


def _shaped(*shape):
    return lambda tensors: {**tensors, f"{QUERY}A.weight": torch.ones(shape)}


TENSORS: dict[str, tuple[Any, str]] = {
    "whole numbers": (
        _cast(torch.int64),
        f"{QUERY}A.weight must hold floating-point numbers (F64, F32, F16, BF16), got I64.",
    ),
    "truths": (_cast(torch.bool), f"{QUERY}A.weight must hold floating-point numbers (F64, F32, F16, BF16), got BOOL."),
    "eight bits": (
        _cast(torch.float8_e4m3fn),
        f"{QUERY}A.weight must hold floating-point numbers (F64, F32, F16, BF16), got",
    ),
    "complex numbers": (
        _cast(torch.complex64),
        f"{QUERY}A.weight must hold floating-point numbers (F64, F32, F16, BF16), got",
    ),
    "nan": (_with(float("nan")), f"{QUERY}B.weight holds numbers that are not finite."),
    "infinity": (_with(-float("inf")), f"{QUERY}B.weight holds numbers that are not finite."),
    "another rank": (_shaped(3, 32), f"{QUERY}A.weight must have the shape (4, 32) of the model, got (3, 32)."),
    "the other way": (_shaped(32, 4), f"{QUERY}A.weight must have the shape (4, 32) of the model, got (32, 4)."),
    "a vector": (_shaped(128), f"{QUERY}A.weight must have the shape (4, 32) of the model, got (128,)."),
    "emptiness": (_shaped(0, 32), f"{QUERY}A.weight must have the shape (4, 32) of the model, got (0, 32)."),
    "no tensor": (lambda _: {}, "adapter_model.safetensors adapts no attention layer of this model."),
    "half a pair": (
        lambda tensors: {key: value for key, value in tensors.items() if key != f"{QUERY}A.weight"},
        f"adapter_model.safetensors lacks {QUERY}A.weight.",
    ),
    "a layer less": (
        lambda tensors: {key: value for key, value in tensors.items() if "layer.2" not in key},
        "adapter_model.safetensors lacks base_model.model.bert.encoder.layer.2.attention.self.query.lora_A.weight.",
    ),
    "a layer more": (
        lambda tensors: {**tensors, f"{QUERY}A.weight".replace("1", "9"): torch.ones(4, 32)},
        "base_model.model.bert.encoder.layer.9.attention.self.query.lora_A.weight is no query or value projection of",
    ),
    "another prefix": (
        lambda tensors: {key.removeprefix("base_model."): value for key, value in tensors.items()},
        "model.bert.encoder.layer.0.attention.self.query.lora_A.weight must begin with base_model.model, as all",
    ),
    "a name that is no line": (
        lambda tensors: {**tensors, f"base_model.model.{'bert' * 900}\n.lora_A.weight": torch.ones(4, 32)},
        "'base_model.model.bertbert",
    ),
    "a norm": (
        lambda tensors: {**tensors, "base_model.model.bert.embeddings.LayerNorm.weight": torch.ones(32)},
        "base_model.model.bert.embeddings.LayerNorm.weight is no query or value projection of this model.",
    ),
    "embeddings of another vocabulary": (
        lambda tensors: {**tensors, "base_model.model.bert.embeddings.word_embeddings.weight": torch.ones(52, 32)},
        "base_model.model.bert.embeddings.word_embeddings.weight must have the shape (50, 32) of the model, got",
    ),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_weights_that_do_not_fit_are_one_sentence(kind, folder):
    change, sentence = TENSORS[kind]
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    assert refused(folder).startswith(sentence)


def test_files_that_are_none_are_one_sentence(folder, tmp_path):
    assert refused(tmp_path / "nowhere").startswith("An adapter must be a folder with adapter_config.json and")
    assert refused(tmp_path / ("long" * 100)).startswith("The folder 'longlonglong")
    weights = folder / WEIGHTS
    weights.rename(folder / "adapter_model-00001-of-00002.safetensors")
    assert "weights in several files are not read; save them as one." in refused(folder)
    (folder / "adapter_model-00001-of-00002.safetensors").rename(folder / "adapter_model.bin")
    assert "adapter_model.bin is a pickle, which may run code; load it with PEFT and save it again." in refused(folder)
    weights.mkdir()
    assert refused(folder).startswith("The folder adapter has no adapter_model.safetensors (it has ")
    weights.rmdir()
    os.mkfifo(weights)
    assert refused(folder).startswith("The folder adapter has no adapter_model.safetensors (it has ")
    weights.unlink()
    weights.symlink_to(weights)
    assert refused(folder).startswith("The folder adapter has no adapter_model.safetensors (it has ")


@pytest.mark.slow
def test_a_pattern_that_would_match_for_ever_is_stopped():
    patterns, name = Patterns(seconds=0.2), "bert.encoder.layer.1.attention.self.query" * 3
    with pytest.raises(AdapterFileError, match="target_modules holds patterns that take too long to match"):
        patterns.fits("target_modules", r"(.*)(.*)(.*)(.*)(.*)(.*)\1\2\3\4[!?]", name)
    with pytest.raises(AdapterFileError, match=r"target_modules must hold patterns of at most 4,096 characters\."):
        patterns.fits("target_modules", "a" * 5000, name)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "r": st.sampled_from([1, 2, 4, 8, 9]),
    "lora_alpha": st.sampled_from([0.5, 1, 4, 32, 1e6]),
    "bias": st.sampled_from(["none", "all", "lora_only"]),
    "use_rslora": st.booleans(),
    "fan_in_fan_out": st.booleans(),
    "init_lora_weights": st.sampled_from([True, False, None, "gaussian", "pissa", "olora", "PISSA", "eva", "loftq"]),
    "task_type": st.sampled_from(["SEQ_CLS", "TOKEN_CLS", "FEATURE_EXTRACTION", "CAUSAL_LM", None]),
    "modules_to_save": st.lists(st.sampled_from(["classifier", "score", "pooler", "LayerNorm", "e"]), max_size=2),
    "target_modules": st.lists(st.sampled_from(["query", "value", "self.query", "key", "1"]), max_size=3)
    | st.sampled_from([".*query", ".*(query|value)", "all-linear", None]),
    "exclude_modules": st.lists(st.sampled_from(["query", "layer.0", "0.attention.self.value"]), max_size=2),
    "layers_to_transform": st.lists(st.integers(0, 3), max_size=3) | st.integers(0, 3),
    "layers_pattern": st.sampled_from(["layer", "layers", "", ["layer"], "l.*"]),
    "rank_pattern": st.dictionaries(st.sampled_from(["query", "value", "layer.1.*"]), st.sampled_from([2, 4])),
    "alpha_pattern": st.dictionaries(st.sampled_from(["query", "^bert.*1.*", "y", ".*"]), st.sampled_from([2, 9])),
    "use_dora": st.booleans(),
    "lora_bias": st.booleans(),
    "trainable_token_indices": st.none() | st.lists(st.integers(0, 9), max_size=2),
    "some_later_option": ANYTHING,
}
FIELDS = st.sampled_from(sorted(LIKELY)).flatmap(
    lambda field: st.tuples(st.just(field), LIKELY[field] | LIKELY[field] | ANYTHING)
)
CHANGES = st.sampled_from(["none", "none", "drop", "rename", "whole", "half", "shape", "nan", "more"])


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(KINDS)),
    fields=st.lists(FIELDS, max_size=3),
    dropped=st.sets(st.sampled_from(sorted(LIKELY)), max_size=1),
    change=CHANGES,
    place=st.integers(0, 40),
)
def test_a_folder_changed_anyhow_is_what_peft_makes_of_it_or_one_sentence(
    kind, fields, dropped, change, place, folders, tmp_path_factory
):
    folder = Path(shutil.copytree(folders[kind], tmp_path_factory.mktemp("changed") / "adapter"))
    config = {**json.loads((folder / CONFIG).read_text()), **dict(fields)}
    (folder / CONFIG).write_text(json.dumps({key: value for key, value in config.items() if key not in dropped}))
    tensors = load_file(folder / WEIGHTS)
    key = sorted(tensors)[place % len(tensors)]
    if change in ("drop", "rename"):
        value = tensors.pop(key)
        tensors |= {f"{key[:-9]}{place}{key[-9:]}": value} if change == "rename" else {}
    elif change == "more":
        tensors[key.replace("query", "key").replace("A.", "B.")] = tensors[key].clone()
    elif change != "none":
        tensors[key] = {
            "whole": lambda value: value.to(torch.int32),
            "half": lambda value: value.half(),
            "shape": lambda value: value[:-1].clone(),
            "nan": lambda value: value / 0,
        }[change](tensors[key])
    save_file(tensors, folder / WEIGHTS)
    model = made("bert")
    try:
        ours = load_peft(model, folder)
    except UserError as error:
        sentence_of(error)
        return
    try:
        theirs = opened(model, folder)
    except Exception:  # what PEFT does not take itself is no measure
        return
    expected = output(theirs)
    assert (output(ours) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from([CONFIG, WEIGHTS]), place=st.floats(0, 1), bytes_=st.binary(max_size=12), cut=st.booleans())
def test_a_folder_with_damaged_bytes_is_read_or_one_sentence(name, place, bytes_, cut, folders, tmp_path_factory):
    folder = Path(shutil.copytree(folders["plain"], tmp_path_factory.mktemp("damaged") / "adapter"))
    whole = (folder / name).read_bytes()
    at = int(place * min(len(whole), 4000))
    (folder / name).write_bytes(whole[:at] + bytes_ + (b"" if cut else whole[at + len(bytes_) :]))
    try:
        load_peft(made("bert"), folder)
    except UserError as error:
        sentence_of(error)
