"""The answers about a race against what the package says by other ways: merged models, dense products, PEFT."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from present import present
from safetensors.torch import load

from replora.adapters.attach import adapter_of, attach_factors, delta_weights, merge
from replora.adapters.direct import DirectFactors
from replora.adapters.factors import AttentionShape
from replora.adapters.peft import load_peft
from replora.backbones import load_backbone
from replora.catalog import ASSETS, TASKS
from replora.config import RaceOptions
from replora.lens.answers import AdapterAnswer, HeadAnswer, InsideAnswer, MergeAnswer
from replora.lens.arrays import pack, unpack
from replora.lens.attention import head_as_experts, part_sizes
from replora.lens.questions import (
    FROZEN,
    AdapterQuestion,
    Edit,
    Example,
    Graft,
    HeadQuestion,
    InsideQuestion,
    MergeQuestion,
)
from replora.lens.service import answer
from replora.methods import PROJECTIONS
from replora.options import UserError
from replora.own_data.examples import Examples
from replora.own_data.limits import Limits
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import delete_task, keep_task
from replora.tasks import load_task, nested_subset
from replora.training.race import race
from replora.training.snapshots import Snapshots, SnapshotWriter

HEAD, LORA, REPLORA = 0, 1, 2
MODALITIES = ["image", "text"]


class Oracle:
    """The same race through the package's other doors: its snapshot as plain LoRA factors on a fresh model."""

    def __init__(self, folder, run, step=6):
        found = Snapshots(folder)
        tensors, spec = found.at(step), found.spec
        self.spec = spec
        self.backbone = load_backbone(TASKS[spec.task].backbone)
        names = [f"{side}_{projection}" for projection in PROJECTIONS for side in ("a", "b")]
        own = {name: tensors[name][run : run + 1] for name in names}
        method = spec.runs[LORA].method.from_dict({**spec.runs[LORA].method.to_dict(), "rank": 4, "alpha": 4.0})
        _, layers, _, in_features = own["a_query"].shape
        shape = AttentionShape(layers, in_features, tuple(own[f"b_{each}"].shape[2] for each in PROJECTIONS))
        factors = DirectFactors(method, shape, [0])
        factors.scaling.copy_(tensors["scaling"][run : run + 1])
        factors.load_state_dict(own)
        blocks = self.backbone.blocks
        self.model = attach_factors(self.backbone.model, factors, range(blocks - spec.adapted_blocks, blocks))
        self.head = tensors["head_weight"][run], tensors["head_bias"][run, 0]
        self.task = load_task(spec.task)

    def inputs(self, examples):
        rows = self.backbone.encode(examples)
        if "pixels" in rows:
            return rows["pixels"]
        return {"input_ids": rows["ids"], "attention_mask": rows["mask"].long()}

    @torch.no_grad()
    def logits(self, model, examples):
        backbone = self.backbone.with_model(model)
        features = backbone.features(backbone.prefix(backbone.encode(examples), 0), 0)
        return features @ self.head[0].T + self.head[1]


def ask(question, kind):
    """Through JSON, as between processes."""
    return kind.from_dict(json.loads(json.dumps(answer(json.loads(json.dumps(question.to_dict()))))))


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("run", [LORA, REPLORA])
def test_a_head_is_what_attention_says_of_the_adapted_model(folders, modality, run):
    oracle = Oracle(folders[modality], run)
    inputs = oracle.inputs([oracle.task.test.examples[5]])
    for layer, head in ((oracle.backbone.blocks - 1, 3), (oracle.backbone.blocks - 2, 0), (0, 1)):
        question = HeadQuestion(
            folder=str(folders[modality]), runs=(HEAD, run), example=Example(index=5), layer=layer, head=head
        )
        found = ask(question, HeadAnswer)
        told, expected = found.runs[1], head_as_experts(oracle.model, inputs, layer=layer, head=head)
        for name in ("gates", "base_gates"):
            np.testing.assert_allclose(getattr(told, name), getattr(expected, name), atol=1e-5)
        change = expected.output - present(expected.base_output)
        for name, rows in (
            ("routing_norms", expected.routing_part),
            ("expert_part_norms", expected.expert_part),
            ("change_norms", change),
            ("shifts", expected.experts - present(expected.base_experts)),
            ("expert_norms", expected.experts),
            ("base_output_norms", expected.base_output),
        ):
            np.testing.assert_allclose(getattr(told, name), present(rows).norm(dim=-1), atol=2e-5)
        assert told.identity <= 1e-4
        assert told.split <= 1e-5
        shares = np.float64(told.gates)
        entropies = -(shares * np.log(np.clip(shares, 1e-300, None))).sum(-1)
        np.testing.assert_allclose(told.effective, np.exp(entropies), rtol=1e-5)
        np.testing.assert_allclose(told.load, shares.mean(0), rtol=1e-5)
        assert found.runs[0].change.max() == 0  # the head-only run has no update


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_map_is_that_of_all_heads_and_all_runs_come_out_of_one_pass(folders, modality, monkeypatch):
    oracle = Oracle(folders[modality], REPLORA)
    from replora.lens import heads

    forward = Mock(wraps=heads.whole_forward)
    monkeypatch.setattr(heads, "whole_forward", forward)
    found = ask(HeadQuestion(folder=str(folders[modality]), runs=(FROZEN, HEAD, LORA, REPLORA)), HeadAnswer)
    assert forward.call_count == 1
    sizes = part_sizes(oracle.model, oracle.inputs([oracle.task.test.examples[0]]))
    for name in ("routing", "expert", "change", "base_output"):
        np.testing.assert_allclose(getattr(found.runs[3], name), getattr(sizes, name), atol=2e-5)
    assert found.adapted == tuple(range(oracle.backbone.blocks - 2, oracle.backbone.blocks))
    assert len(found.tokens) == found.runs[0].gates.shape[0]


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_predictions_are_those_of_the_merged_model(folders, modality):
    for run in (LORA, REPLORA):
        oracle = Oracle(folders[modality], run)
        expected = oracle.logits(merge(oracle.model), [oracle.task.test.examples[2]])[0].softmax(-1)
        question = HeadQuestion(folder=str(folders[modality]), runs=(HEAD, run), example=Example(index=2))
        found = ask(question, HeadAnswer)
        np.testing.assert_allclose(found.runs[1].probabilities, expected, atol=1e-5)
        assert found.label == oracle.task.test.labels[2]
    frozen = ask(HeadQuestion(folder=str(folders[modality]), runs=(FROZEN,)), HeadAnswer)
    assert frozen.runs[0].probabilities.size == 0


def test_an_earlier_step_shows_an_earlier_model(folders):
    at = {
        step: ask(HeadQuestion(folder=str(folders["text"]), runs=(REPLORA,), step=step), HeadAnswer)
        for step in (0, 3, 6)
    }
    assert at[6].steps == (0, 3, 6)
    assert at[0].runs[0].change.max() == 0
    for step in (3, 6):
        oracle = Oracle(folders["text"], REPLORA, step)
        sizes = part_sizes(oracle.model, oracle.inputs([oracle.task.test.examples[0]]))
        np.testing.assert_allclose(at[step].runs[0].change, sizes.change, atol=2e-5)
    assert np.abs(at[3].runs[0].change - at[6].runs[0].change).max() > 1e-3


@pytest.mark.slow
def test_ones_own_sentence_and_picture_are_seen_as_the_same_example_of_the_task(folders):
    for modality, name in (("image", "picture"), ("text", "sentence")):
        oracle = Oracle(folders[modality], LORA)
        raw: Any = oracle.task.test.examples[7]
        own = base64.b64encode(raw).decode() if modality == "image" else raw
        asked = [Example(index=7), Example(sentence=own) if name == "sentence" else Example(picture=own)]
        first, second = (
            ask(HeadQuestion(folder=str(folders[modality]), runs=(LORA,), example=each), HeadAnswer) for each in asked
        )
        np.testing.assert_array_equal(first.runs[0].gates, second.runs[0].gates)
        assert (first.label, second.label) == (oracle.task.test.labels[7], -1)


def test_a_long_and_a_strange_sentence_are_answered_with_a_note(folders):
    folder = str(folders["text"])
    long = ask(HeadQuestion(folder=folder, runs=(LORA,), example=Example(sentence="word " * 10_000)), HeadAnswer)
    assert len(long.tokens) == 128
    assert long.notes[0].startswith("The model reads the first 128 of 10,002 tokens.")
    strange = ask(HeadQuestion(folder=folder, runs=(LORA,), example=Example(sentence="🦄 שלום مرحبا")), HeadAnswer)
    assert "unknown to this model" in strange.notes[-1]
    assert np.isfinite(strange.runs[0].gates).all()


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_inside_agrees_with_dense_products(folders, modality):
    oracle = Oracle(folders[modality], REPLORA)
    question = InsideQuestion(folder=str(folders[modality]), run=REPLORA, layer=1, head=2, beside=LORA)
    found = ask(question, InsideAnswer)
    dense = delta_weights(oracle.model)
    query, value = dense[1]
    update = found.trained
    places = np.ix_(found.shown_rows, found.shown_columns)
    for part, matrix in zip((update.parts["query"], update.parts["value"]), (query, value), strict=True):
        np.testing.assert_allclose(part.delta, matrix.numpy()[places], atol=1e-6)
        expected = torch.linalg.svdvals(matrix.double())[:4]
        np.testing.assert_allclose(part.singular, expected, rtol=1e-4, atol=1e-7)
        shares = expected / expected.sum()
        rank = float(torch.exp(-(shares * shares.log()).sum()))
        assert part.effective_rank == pytest.approx(rank, rel=1e-4)
        assert part.norm == pytest.approx(float(matrix.norm()), rel=1e-4)
    flat = torch.nn.functional.cosine_similarity(query.flatten(), value.flatten(), dim=0)
    assert update.cosine == pytest.approx(float(flat), abs=1e-5)
    assert update.total_norm == pytest.approx(float(sum(each.square().sum() for pair in dense for each in pair)) ** 0.5)
    gates = head_as_experts(
        oracle.model, oracle.inputs([oracle.task.test.examples[0]]), layer=oracle.backbone.blocks - 1, head=2
    ).gates
    np.testing.assert_allclose(update.gates, gates, atol=5e-6)
    np.testing.assert_array_equal(found.now.gates, update.gates)  # nothing was changed
    tested = oracle.task.test.take(nested_subset(oracle.task.test.labels, 200, 0))
    right = oracle.logits(merge(oracle.model), tested.examples).argmax(-1).numpy() == tested.labels
    assert update.accuracy == pytest.approx(right.mean(), abs=1e-9)
    assert found.beside is not None
    assert found.beside.parts["query"].a.shape[0] >= 2


def test_an_edit_changes_what_it_should_and_only_that(folders):
    folder = str(folders["text"])
    before = ask(InsideQuestion(folder=folder, run=REPLORA, layer=1, tensor="g_a.0.latent"), InsideAnswer)
    latent = before.chosen.values
    edits = (Edit(tensor="g_a.0.latent", row=1, column=7, value=2.0), Edit(tensor="g_b.0.last_bias_0", factor=3.0))
    question = InsideQuestion(folder=folder, run=REPLORA, layer=1, tensor="g_a.0.latent", edits=edits)
    after = ask(question, InsideAnswer)
    changed = np.argwhere(after.chosen.values != latent)
    assert changed.tolist() == [[1, 7]]
    assert after.chosen.values[1, 7] == 2.0
    np.testing.assert_array_equal(after.trained.parts["query"].a, before.trained.parts["query"].a)
    rows = np.flatnonzero((after.now.parts["query"].a != before.now.parts["query"].a).any(axis=1))
    assert rows.tolist() == [1]  # a latent row makes the same row of A
    assert (after.now.parts["query"].b != before.now.parts["query"].b).any()
    np.testing.assert_array_equal(after.now.parts["value"].b, before.now.parts["value"].b)
    again = ask(InsideQuestion(folder=folder, run=REPLORA, layer=1), InsideAnswer)
    np.testing.assert_array_equal(
        again.now.parts["query"].a, before.now.parts["query"].a
    )  # the run itself is untouched


@pytest.mark.slow
def test_the_accuracy_of_an_edit_is_the_same_whether_or_not_the_rows_before_it_are_known(folders):
    folder = str(folders["image"])
    edits = (Edit(tensor="g_b.0.last_weight_1", factor=-1.5),)
    quick = ask(InsideQuestion(folder=folder, run=REPLORA, layer=1, edits=edits), InsideAnswer)
    oracle = Oracle(folders["image"], REPLORA)
    with torch.no_grad():
        factors: Any = adapter_of(oracle.model).factors
        factors.b_value[0, 1] = torch.from_numpy(quick.now.parts["value"].b.T.copy())
    tested = oracle.task.test.take(nested_subset(oracle.task.test.labels, 200, 0))
    right = oracle.logits(merge(oracle.model), tested.examples).argmax(-1).numpy() == tested.labels
    assert quick.now.accuracy == pytest.approx(right.mean(), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["lens_digits", "lens_fashion"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_setting_an_entry_to_what_it_is_changes_nothing(folder, layer):
    question = {"folder": str(ASSETS / "recorded" / folder), "run": REPLORA, "layer": layer}
    before = ask(InsideQuestion(**question, tensor="g_a.0.latent"), InsideAnswer)
    same = Edit(tensor="g_a.0.latent", row=0, column=0, value=float(before.chosen.values[0, 0]))
    after = ask(InsideQuestion(**question, edits=(same,)), InsideAnswer)
    assert after.now.accuracy == after.trained.accuracy


@pytest.mark.slow
def test_grafts_do_what_they_say(folders):
    folder = str(folders["text"])

    def now(**graft):
        return ask(InsideQuestion(folder=folder, run=REPLORA, layer=1, graft=Graft(**graft)), InsideAnswer).now

    trained = now()
    separate = now(sharing="separate")
    for projection in PROJECTIONS:
        np.testing.assert_allclose(separate.parts[projection].a, trained.parts[projection].a, atol=1e-7)
        np.testing.assert_allclose(separate.parts[projection].b, trained.parts[projection].b, atol=1e-7)
    tied = now(sharing="tied")
    np.testing.assert_array_equal(tied.parts["query"].a, tied.parts["value"].a)
    np.testing.assert_allclose(tied.parts["query"].a, trained.parts["query"].a, atol=1e-7)
    assert tied.cosine == pytest.approx(1.0, abs=1e-6)
    tensors = {}
    for name in ("latent", "first_weight", "first_bias", "last_weight_0", "last_bias_0"):
        question = InsideQuestion(folder=folder, run=REPLORA, layer=1, tensor=f"g_a.0.{name}")
        tensors[name] = ask(question, InsideAnswer).chosen.values
    latent = tensors["latent"]
    hidden = latent @ tensors["first_weight"] + tensors["first_bias"]
    linear = hidden @ tensors["last_weight_0"] + tensors["last_bias_0"]
    np.testing.assert_allclose(now(activation="identity").parts["query"].a, linear, atol=1e-6)
    np.testing.assert_allclose(now(residual=True).parts["query"].a, latent + trained.parts["query"].a, atol=1e-6)
    np.testing.assert_allclose(
        now(residual=True).parts["query"].b, trained.parts["query"].b, atol=1e-7
    )  # B has no residual
    one = ask(InsideQuestion(folder=folder, run=REPLORA, layer=0, graft=Graft(layer_sharing="one")), InsideAnswer)
    np.testing.assert_allclose(
        one.now.parts["query"].a, one.trained.parts["query"].a, atol=1e-7
    )  # the first layer's MLP serves all
    assert np.abs(now(layer_sharing="one").parts["query"].a - trained.parts["query"].a).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
def test_merging_changes_no_logit_and_leaves_nothing_beside_the_model(folders, modality):
    found = ask(MergeQuestion(folder=str(folders[modality]), run=REPLORA, rounds=3, examples=8), MergeAnswer)
    assert 0 < found.largest_difference <= 1e-4
    assert found.same_answers == found.examples == 8
    oracle = Oracle(folders[modality], REPLORA)
    assert found.model_parameters == sum(each.numel() for each in oracle.backbone.model.parameters())
    assert found.factor_parameters == 2 * 2 * 2 * 4 * 384  # layers, query and value, A and B, rank, width
    assert found.trained_parameters > found.factor_parameters
    assert all(low <= middle <= high for (low, high), middle in zip(found.quartiles, found.milliseconds, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("run", [LORA, REPLORA])
def test_the_adapter_is_a_peft_folder_that_gives_the_same_logits(folders, modality, run, tmp_path):
    found = ask(AdapterQuestion(folder=str(folders[modality]), run=run), AdapterAnswer)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(found.zip))) as archive:
        assert sorted(archive.namelist()) == ["adapter_config.json", "adapter_model.safetensors", "head.safetensors"]
        archive.extractall(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    fused = modality == "image"
    assert config["r"] == (2 if fused else 1) * {LORA: 2, REPLORA: 4}[run]  # no padding of the other run's rank
    oracle = Oracle(folders[modality], run)
    examples = oracle.task.test.examples[:4]
    head = load((tmp_path / "head.safetensors").read_bytes())
    loaded = load_peft(oracle.backbone.model, tmp_path)
    with torch.no_grad():
        backbone = oracle.backbone.with_model(loaded)
        features = backbone.features(backbone.prefix(backbone.encode(examples), 0), 0)
        logits = features @ head["weight"].T + head["bias"]
    torch.testing.assert_close(logits, oracle.logits(oracle.model, examples), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (HeadQuestion(folder="", runs=()), "runs must be 1 to 4 runs, got 0."),
        (HeadQuestion(folder="", runs=(7,)), "run must be a whole number from 0 to 2, got 7."),
        (HeadQuestion(folder="", runs=(1,), layer=9), "layer must be a whole number from 0 to 2, got 9."),
        (HeadQuestion(folder="", runs=(1,), head=12), "head must be a whole number from 0 to 11, got 12."),
        (HeadQuestion(folder="", runs=(1,), step=5), r"step must be one of the snapshots (0, 3, 6), got 5."),
        (
            HeadQuestion(folder="", runs=(1,), example=Example(index=5000)),
            "example must be a whole number from 0 to 1,197, got 5000.",
        ),
        (HeadQuestion(folder="", runs=(1,), example=Example(picture="eA==")), "The example must be a text here."),
        (InsideQuestion(folder="", run=1), "run must be a RepLoRA run, got run 1, which is lora."),
        (InsideQuestion(folder="", run=2, beside=0), "beside must be a LoRA run, got run 0."),
        (InsideQuestion(folder="", run=2, tensor="x"), "tensor must be one of g_a.0.latent"),
        (
            InsideQuestion(folder="", run=2, edits=(Edit(tensor="g_a.0.latent", row=4),)),
            "row must be a whole number from 0 to 3, got 4.",
        ),
        (
            InsideQuestion(folder="", run=2, edits=(Edit(tensor="g_a.0.latent"),) * 101),
            "edits must be at most 100, got 101.",
        ),
        (InsideQuestion(folder="", run=2, graft=Graft(sharing=cast(Any, "odd"))), "sharing must be one of"),
        (MergeQuestion(folder="", run=0), "run must be a run with an adapter, got run 0"),
        (MergeQuestion(folder="", run=1, rounds=900), "rounds must be a whole number from 1 to 51, got 900."),
        (AdapterQuestion(folder="", run=0), "run must be a run with an adapter, got run 0"),
    ],
)
def test_what_is_not_there_is_a_sentence(folders, change, sentence):
    with pytest.raises(UserError) as caught:
        answer({**change.to_dict(), "folder": str(folders["text"])})
    assert str(caught.value).startswith(sentence)


def test_a_folder_without_snapshots_and_an_unknown_kind_are_sentences(tmp_path):
    with pytest.raises(UserError, match="no snapshots of its factors"):
        answer(HeadQuestion(folder=str(tmp_path), runs=(0,)).to_dict())
    with pytest.raises(
        UserError, match="kind must be one of head, inside, merge, adapter, landscape, continuation, got None"
    ):
        answer({})


def test_own_data_that_were_deleted_are_not_shown_any_more(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path))
    rows = [f"{word} number {place}" for word in ("cat", "dog") for place in range(10)]
    examples = Examples("text", rows, ["cat"] * 10 + ["dog"] * 10, ())
    name = keep_task(split_task(examples, SplitOptions()), Limits())
    spec = RaceOptions(task=name, steps=1, batch_size=2, adapted_blocks=1, device="cpu").race()
    list(race(spec, snapshots=SnapshotWriter(tmp_path / "run", spec)))
    question = HeadQuestion(folder=str(tmp_path / "run"), runs=(0,))
    assert ask(question, HeadAnswer).classes == ("cat", "dog")
    delete_task(name)
    for _ in range(2):
        with pytest.raises(UserError, match="no longer kept"):
            ask(question, HeadAnswer)


def test_arrays_survive_json_bit_for_bit():
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(unpack(json.loads(json.dumps(pack(values)))), values)
    with pytest.raises(ValueError, match="not a packed array"):
        unpack({"shape": [1]})
