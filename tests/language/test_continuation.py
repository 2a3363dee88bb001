"""Texts that adapted models write: transformers' own `generate`, merged models and PEFT's are the oracle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from present import of_type
from stored_race import SPEC, keep_twin
from twin import NAME, SENTENCES

from replora import merge
from replora.adapters.peft import save_peft
from replora.backbones import CausalLM, load_backbone
from replora.events import Finished
from replora.lens import subject as subjects
from replora.lens.answers import ContinuationAnswer, HeadAnswer, Written
from replora.lens.attention import part_sizes
from replora.lens.continuation import answer as answers
from replora.lens.continuation.generation import drawn, pieces
from replora.lens.questions import FROZEN, ContinuationQuestion, Example, HeadQuestion, LensError, Part, folders_of
from replora.lens.service import answer
from replora.lens.subject import Subject, subject
from replora.options import UserError
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter

LORA, REPLORA = 0, 1
PROMPTS = ("The weather today is", "My lord", "What news?")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with the twin and a race on each corpus: on plays of all blocks, on the dictionary of the last."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("continued")
        keep_twin(folder, patch)
        for kept in (subjects._backbones, subjects._subjects, subjects._adapted, answers._live):
            kept.clear()
        for task, blocks in (("plays", 3), ("devils_dictionary", 1)):
            spec = dataclasses.replace(SPEC, task=task, adapted_blocks=blocks)
            assert of_type(Finished, list(race(spec, snapshots=SnapshotWriter(folder / task, spec))))
        yield folder


@pytest.fixture(scope="module")
def plays(data: Path) -> Subject:
    return subject(str(data / "plays"))


def asked(data: Path, models: Any, prompts: Any = PROMPTS, **values: Any) -> ContinuationAnswer:
    """Through JSON, as between processes, until it is over."""
    question = ContinuationQuestion(folder=str(data / "plays"), models=models, prompts=prompts, **values)
    while True:
        found = ContinuationAnswer.from_dict(json.loads(json.dumps(answer(json.loads(json.dumps(question.to_dict()))))))
        if found.over:
            return found


def adapted(about: Subject, run: int, step: int = 4) -> CausalLM:
    """The run's model, without what runs of higher rank bring along."""
    taken = about.taken(step, [run])
    backbone = about.adapted(taken.pairs, taken.scaling)
    assert isinstance(backbone, CausalLM)
    return backbone


def nats_of(model: Any, prompt: list[int], ids: list[int]) -> np.ndarray:
    """Log-probabilities of `ids` after `prompt` by one forward pass of transformers."""
    whole = torch.tensor([[*prompt, *ids]])
    with torch.no_grad():
        told = model(input_ids=whole).logits.log_softmax(dim=-1)
    places = range(len(prompt) - 1, len(prompt) + len(ids) - 1)
    return np.array([float(told[0, place, token]) for place, token in zip(places, ids, strict=True)])


def greedy(model: Any, ids: list[int], tokens: int) -> list[int]:
    prompt = torch.tensor([ids])
    found = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=tokens)
    return [int(each) for each in found[0, len(ids) :]]


def agree(told: Written, tokenizer: Any, prompt: str, model: Any, untouched: Any, tokens: int) -> None:
    ids = tokenizer(prompt)["input_ids"]
    wanted = greedy(model, ids, tokens)
    ended = wanted[-1] == 0
    assert told.ended == ended
    wanted = wanted[: len(wanted) - ended]
    assert told.tokens == pieces(tokenizer, ids, wanted)
    assert prompt + "".join(told.tokens) == tokenizer.decode(ids + wanted)
    np.testing.assert_allclose(told.nats, nats_of(model, ids, wanted), atol=1e-4)
    np.testing.assert_allclose(told.untouched_nats, nats_of(untouched, ids, wanted), atol=1e-4)


def test_greedy_texts_are_those_of_transformers_generate_for_each_prompt_alone(data, plays):
    told = asked(data, ((), (Part(run=LORA),), (Part(run=REPLORA),)), tokens=12)
    assert (told.step, told.steps) == (4, (0, 2, 4))
    untouched = plays.backbone.model
    models = [untouched, *(merge(adapted(plays, run).model) for run in (LORA, REPLORA))]
    for model, written in zip(models, told.models, strict=True):
        for prompt, each in zip(PROMPTS, written, strict=True):
            agree(each, plays.causal.tokenizer, prompt, model, untouched, 12)
    texts = [["".join(each.tokens) for each in written] for written in told.models]
    assert texts[0] != texts[1]
    assert all(np.array_equal(each.nats, each.untouched_nats) for each in told.models[0])


def test_peft_writes_the_same_with_the_exported_folder(data, plays, tmp_path):
    told = asked(data, ((Part(run=LORA),),), tokens=10)
    export = save_peft(adapted(plays, LORA).model, tmp_path / "adapter")
    plain = load_backbone(NAME).model.float()
    oracle = peft.PeftModelForCausalLM.from_pretrained(plain, export).eval()
    for prompt, written in zip(PROMPTS, told.models[0], strict=True):
        ids = plays.causal.tokenizer(prompt)["input_ids"]
        wanted = greedy(oracle, ids, 10)
        assert written.tokens == pieces(plays.causal.tokenizer, ids, wanted)
        np.testing.assert_allclose(written.nats, nats_of(oracle, ids, wanted), atol=1e-3)


def test_at_weight_one_the_dial_is_the_merged_model_and_at_zero_the_untouched_one(data, plays):
    weights = (1.0, 0.0, -1.0, 2.0)
    told = asked(data, tuple((Part(run=REPLORA, weight=weight),) for weight in weights), tokens=8)
    untouched = plays.backbone.model
    taken = plays.taken(4, [REPLORA])
    for weight, written in zip(weights, told.models, strict=True):
        turned = merge(plays.adapted(taken.pairs, weight * taken.scaling).model)
        for prompt, each in zip(PROMPTS, written, strict=True):
            agree(each, plays.causal.tokenizer, prompt, turned, untouched, 8)
    assert all(np.array_equal(each.nats, each.untouched_nats) for each in told.models[1])
    one = merge(adapted(plays, REPLORA).model)
    for place, prompt in enumerate(PROMPTS):
        agree(told.models[0][place], plays.causal.tokenizer, prompt, one, untouched, 8)


def test_two_updates_are_mixed_as_their_matrices_are_added(data, plays):
    other = subject(str(data / "devils_dictionary"))
    assert other.backbone is plays.backbone  # its weights are there once
    mixed = (Part(run=LORA, weight=0.5), Part(run=REPLORA, weight=-0.75, folder=str(data / "devils_dictionary")))
    told = asked(data, (mixed,), tokens=8)
    model: Any = merge(adapted(plays, LORA).model)  # to be given the sum by hand
    untouched: Any = plays.backbone.model
    for about, part in ((plays, mixed[0]), (other, mixed[1])):
        taken = about.taken(4, [part.run])
        for layer in range(about.first, about.backbone.blocks):
            attention = model.model.layers[layer].self_attn
            plain = untouched.model.layers[layer].self_attn
            for name, (a, b) in zip(("q_proj", "v_proj"), taken.pairs.values(), strict=True):
                place = layer - about.first
                weight, base = getattr(attention, name).weight, getattr(plain, name).weight
                if about is plays:
                    weight.data.copy_(base)
                weight.data += part.weight * taken.scaling[0] * b[0, place] @ a[0, place]
    for prompt, each in zip(PROMPTS, told.models[0], strict=True):
        agree(each, plays.causal.tokenizer, prompt, model, untouched, 8)


def test_an_earlier_step_is_an_earlier_model(data, plays):
    told = asked(data, ((Part(run=LORA, step=0),), (Part(run=LORA, step=2),), (Part(run=LORA),)), tokens=8)
    start, middle, end = (written[0] for written in told.models)
    assert np.array_equal(start.nats, start.untouched_nats)
    assert not np.array_equal(middle.nats, end.nats)
    stepped = asked(data, ((Part(run=LORA),),), tokens=8, step=2)
    assert stepped.models[0][0].tokens == middle.tokens
    assert stepped.step == 2


def test_draws_are_the_same_for_all_models_and_prompts_beside_them_change_nothing(data):
    models = ((), (Part(run=LORA, weight=0.0),), (Part(run=LORA),))
    drawn_texts = [asked(data, models, tokens=10, temperature=1.0, seed=seed).models for seed in (1, 1, 2)]
    texts = [[["".join(each.tokens) for each in written] for written in found] for found in drawn_texts]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert texts[0][0] == texts[0][1] != texts[0][2]
    alone = asked(data, ((),), PROMPTS[1:2], tokens=10, temperature=1.0, seed=1)
    assert "".join(alone.models[0][0].tokens) == texts[0][0][1]


def test_tokens_are_drawn_as_often_as_their_probability_says():
    logits = torch.tensor([1.0, 0.0, -1.0, 0.5])
    draws, temperature = 20_000, 0.7
    noise = torch.from_numpy(np.random.default_rng(0).gumbel(size=(draws, 4))).float()
    found = np.bincount(drawn(logits.expand(draws, 4), temperature, noise), minlength=4) / draws
    np.testing.assert_allclose(found, (logits / temperature).softmax(dim=0), atol=0.012)  # four standard errors


def test_a_moment_is_a_token_at_least_and_the_same_question_goes_on(data, plays):
    question = ContinuationQuestion(
        folder=str(data / "plays"), models=((), (Part(run=REPLORA),)), prompts=PROMPTS[:2], tokens=6, seed=9
    )
    lengths = []
    while True:
        found = answers.answer_continuation(plays, question, seconds=0.0)
        lengths.append(sum(len(each.tokens) for written in found.models for each in written))
        if found.over:
            break
        # what others ask in between changes nothing
        asked(data, ((), (Part(run=LORA, weight=len(lengths) / 10),)), PROMPTS[2:], tokens=2)
    assert lengths == sorted(lengths)
    assert len(lengths) > 5
    whole = asked(data, question.models, PROMPTS[:2], tokens=6)
    assert [[each.tokens for each in written] for written in found.models] == [
        [each.tokens for each in written] for written in whole.models
    ]
    assert found is not answers.answer_continuation(plays, question, seconds=0.0)
    assert not answers._live


def test_a_character_of_several_tokens_is_in_the_last_of_them(plays):
    tokenizer = plays.causal.tokenizer
    prompt, ids = tokenizer("caf")["input_ids"], tokenizer("\u00e9 \u2603!")["input_ids"]
    told = pieces(tokenizer, prompt, ids)
    assert len(told) == len(ids) > 4
    assert "".join(told) == "\u00e9 \u2603!"
    assert told[0] == ""
    assert told[1] == "\u00e9"


def refusal(data: Path, **values: Any) -> str:
    given = {"models": ((),), "prompts": ("Hail",), **values}
    with pytest.raises(UserError) as found:
        answer(ContinuationQuestion(folder=str(data / "plays"), **given).to_dict())
    return str(found.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"models": ()}, "models must be a whole number from 1 to 4, got 0."),
        ({"models": ((),) * 5}, "models must be a whole number from 1 to 4, got 5."),
        ({"models": ((Part(run=0),) * 5,)}, "A model must have at most 4 updates, got 5."),
        ({"models": ((Part(run=2),),)}, "run must be a whole number from 0 to 1, got 2."),
        ({"models": ((Part(run=0, weight=2.5),),)}, "weight must be a number from -1 to 2, got 2.5."),
        ({"models": ((Part(run=0, weight=float("nan")),),)}, "weight must be a number from -1 to 2, got nan."),
        ({"models": ((Part(run=0, step=3),),)}, "step must be one of the snapshots (0, 2, 4), got 3."),
        ({"prompts": ()}, "prompts must be a whole number from 1 to 4, got 0."),
        ({"prompts": (" ",)}, "text must have 1 to 20,000 characters that can be seen, got none."),
        ({"prompts": ("word " * 100,)}, "A prompt must have 1 to 64 tokens of the model, got 399."),
        ({"tokens": 49}, "tokens must be a whole number from 1 to 48, got 49."),
        ({"temperature": 2.1}, "temperature must be a number from 0 to 2, got 2.1."),
        ({"temperature": float("nan")}, "temperature must be a number from 0 to 2, got nan."),
        ({"seed": -1}, "seed must be a whole number from 0 to 1,000,000, got -1."),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_be_had_is_one_sentence(data, values, sentence):
    assert refusal(data, **values) == sentence


def test_races_on_classes_have_no_text_and_those_on_texts_no_classes(data, tmp_path):
    labels = dataclasses.replace(SPEC, task="wordnet_topics", adapted_blocks=1, steps=1, evaluate_every=1)
    list(race(labels, snapshots=SnapshotWriter(tmp_path / "topics", labels)))
    elsewhere = (Part(run=0, folder=str(tmp_path / "topics")),)
    assert refusal(data, models=(elsewhere,)) == "The race must be on texts to continue, got wordnet_topics."
    for kind in ("inside", "merge", "landscape"):
        values: dict[str, Any] = {"runs": [0, 1]} if kind == "landscape" else {"run": REPLORA}
        with pytest.raises(LensError, match="must be on a task with classes, got plays, texts to continue"):
            answer({"kind": kind, "folder": str(data / "plays"), **values})


def test_all_folders_of_a_question_are_known_to_who_guards_them():
    parts = (Part(run=0), Part(run=1, folder="/b"))
    question = ContinuationQuestion(folder="/a", models=((), parts), prompts=tuple(SENTENCES))
    assert folders_of(question.to_dict()) == {"/a", "/b"}
    assert ContinuationQuestion.from_dict(question.to_dict()) == question


def test_a_head_of_a_causal_model_is_a_mixture_of_the_tokens_before(data, plays):
    text = "My lord, the weather today is fine"
    question = HeadQuestion(
        folder=str(data / "plays"), runs=(FROZEN, LORA, REPLORA), example=Example(sentence=text), layer=1, head=4
    )
    found = HeadAnswer.from_dict(json.loads(json.dumps(answer(question.to_dict()))))
    assert (found.causal, found.heads, found.heads_a_value, found.label) == (True, 6, 3, -1)
    assert "".join(found.tokens).replace("\u0120", " ") == text
    untouched = plays.backbone.model
    rows = plays.backbone.encode([text])
    for place, (run, model) in enumerate(
        [(FROZEN, untouched), *((run, merge(adapted(plays, run).model)) for run in (LORA, REPLORA))]
    ):
        told = found.runs[place]
        assert told.run == run
        with torch.no_grad():
            expected: Any = model(input_ids=rows["ids"], output_attentions=True)
        np.testing.assert_allclose(told.gates, expected.attentions[1][0, 4], atol=1e-5)
        assert not np.triu(told.gates, 1).any()
        assert told.identity < 1e-5
        assert told.split < 1e-5
        shares = expected.logits[0, -1].softmax(dim=-1)
        best = int(shares.argmax())
        name = plays.causal.tokenizer.decode([best]).replace(" ", "\u0120", 1)
        assert found.classes[int(told.probabilities.argmax())] == name
        assert told.probabilities.max() == pytest.approx(float(shares[best]), abs=1e-5)
    assert not found.runs[0].change.any()
    assert (found.runs[1].change > 0).all()
    # three query heads share an expert: its norm, and how far it moved, are the same for heads 3 to 5, and only those
    heads = [
        HeadAnswer.from_dict(answer(dataclasses.replace(question, head=head).to_dict())).runs[1] for head in range(6)
    ]
    for head in (4, 5):
        np.testing.assert_array_equal(heads[head].expert_norms, heads[3].expert_norms)
        np.testing.assert_array_equal(heads[head].shifts, heads[3].shifts)
        assert not np.array_equal(heads[head].gates, heads[3].gates)
    assert not np.array_equal(heads[2].expert_norms, heads[3].expert_norms)


def test_the_parts_of_an_update_are_those_that_attention_tells_of_the_adapted_model(data, plays):
    told = asked(data, ((), (Part(run=LORA),), (Part(run=REPLORA),)), tokens=1, parts=True)
    ids = torch.tensor([plays.causal.tokenizer(PROMPTS[0])["input_ids"]])
    assert told.routing[0] == told.expert[0] == 0
    for place, run in ((1, LORA), (2, REPLORA)):
        sizes = part_sizes(adapted(plays, run).model, {"input_ids": ids})
        for name in ("routing", "expert"):
            expected = float((getattr(sizes, name) / sizes.base_output).mean())
            assert getattr(told, name)[place] == pytest.approx(expected, rel=1e-4)
    turned = asked(data, ((Part(run=LORA, weight=2.0),), (Part(run=LORA, weight=0.0),)), tokens=1, parts=True)
    assert turned.expert[0] > told.expert[1] > turned.expert[1] == 0
    assert asked(data, ((),), tokens=1).routing == ()
