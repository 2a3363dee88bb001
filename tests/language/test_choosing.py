"""Questions with choices: each choice scored by transformers alone is the oracle of accuracy, loss and training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from present import of_type, present
from twin import NAME

from replora.backbones import CausalLM, load_backbone
from replora.backbones.causal import PIECE_TOKENS
from replora.catalog import CHOICES, RACES
from replora.cli import main
from replora.config import Method, Race, RaceOptions, Run
from replora.events import Evaluated
from replora.options import SpecError
from replora.result_card import race_card
from replora.statistics.metrics import ACCURACY, metric_of
from replora.studies.spec import DataStudy
from replora.studies.teachers.spec import TeacherStudy
from replora.tasks import Split, TaskError, load_task, nested_subset
from replora.training.batch import TEST_SEED, Batch
from replora.training.cache import Prefixes
from replora.training.graphs import pace_of
from replora.training.objectives.choosing import Answers, Choosing
from replora.training.race import race
from replora.ui.forms.links import NO_PAGES, labelled, servable

TASK = "word_choice"
SMALL = Race(
    runs=(Run(method=Method(name="lora")), Run(method=Method(name="replora", mlp_width=16))),
    task=TASK,
    steps=3,
    batch_size=4,
    adapted_blocks=2,
    evaluate_every=3,
    test_examples=30,
    device="cpu",
    precision="float32",
)

BACKBONES: list[CausalLM] = []  # the twin, in float32


@pytest.fixture(autouse=True)
def backbone(twin: Any) -> Iterator[CausalLM]:
    found = load_backbone(NAME, "continuation")
    assert isinstance(found, CausalLM)
    found.model.float()
    BACKBONES.append(found)
    yield found
    BACKBONES.clear()


def length(text: str) -> int:
    return len(BACKBONES[0].tokenizer(text)["input_ids"])


def cut(prompt: str, choices: list[str]) -> str:
    """The end of a question that the twin, whose tokens are mostly bytes, reads with each of its choices."""
    while max(length(f"{prompt} {choice}") for choice in choices) > PIECE_TOKENS:
        prompt = prompt.split(" ", 1)[1]
    return prompt


def log_probabilities(prompt: str, choice: str) -> torch.Tensor:
    """Of each token of one choice after the prompt, by a forward pass of its own."""
    backbone = BACKBONES[0]
    start = length(prompt)
    ids = torch.tensor([backbone.tokenizer(f"{prompt} {choice}")["input_ids"]])
    with torch.no_grad():
        told = backbone.model(input_ids=ids).logits[0].log_softmax(dim=-1)
    return told[torch.arange(start - 1, ids.shape[1] - 1), ids[0, start:]]


def by_hand(split: Split, how: str) -> tuple[list[bool], float]:
    """Whether the likeliest choice of each example is the right one, and the mean loss of the right answers' tokens."""
    right, losses = [], []
    for example, label in zip(split.examples, split.labels, strict=True):
        prompt, *choices = str(example).split("\n")
        found = [log_probabilities(cut(prompt, choices), choice) for choice in choices]
        scores = [float(each.sum() if how == "sum" else each.mean()) for each in found]
        right.append(int(np.argmax(scores)) == label)
        losses.append(-found[label])
    return right, float(torch.cat(losses).mean())


@pytest.mark.parametrize(("how", "blocks"), [("sum", 3), ("mean", 1)])
def test_untouched_runs_choose_as_transformers_does_choice_by_choice(how, blocks):
    changes: dict[str, Any] = {"choice_score": how, "adapted_blocks": blocks}
    start, end = of_type(Evaluated, list(race(dataclasses.replace(SMALL, **changes))))
    task = load_task(TASK)
    places = nested_subset(task.test.labels, SMALL.test_examples, TEST_SEED)
    right, loss = by_hand(task.test.take(places), how)
    assert 0 < np.mean(right) < 1
    assert start.accuracies == pytest.approx((np.mean(right),) * 2)
    assert start.losses == pytest.approx((loss, loss), abs=1e-4)
    assert end.losses[0] != end.losses[1]


def test_the_two_scores_are_told_apart():
    task = load_task(TASK)
    few = task.test.take(np.arange(60))
    assert by_hand(few, "sum")[0] != by_hand(few, "mean")[0]


def test_the_right_answers_of_a_batch_are_trained_on_and_nothing_else_of_it():
    batch = Batch(SMALL, torch.device("cpu"), Prefixes(), pace_of(torch.device("cpu")))
    picks = batch._picks()[0]
    batch.train_cache.fill(picks)
    rows = batch.train_cache.take(picks.flatten())
    with torch.no_grad():
        found = batch.objective.losses(rows, torch.from_numpy(picks[None]))
    expected = by_hand(batch.task.train.take(picks[0]), "sum")[1]
    assert found.tolist() == pytest.approx([expected] * 2, abs=1e-4)


def test_it_learns_and_a_batch_of_runs_equals_each_run_alone():
    runs = tuple(dataclasses.replace(run, learning_rate=1e-2) for run in SMALL.runs)
    spec = dataclasses.replace(SMALL, runs=runs, steps=8, evaluate_every=8)
    together = of_type(Evaluated, list(race(spec)))
    assert all(present(end) < present(start) for start, end in zip(together[0].losses, together[1].losses, strict=True))
    for place, run in enumerate(runs):
        alone = of_type(Evaluated, list(race(dataclasses.replace(spec, runs=(run,)))))[-1]
        assert alone.losses[0] == pytest.approx(together[1].losses[place], abs=1e-4)


def test_answers_are_told_by_example_and_validation_is_by_the_same_rule():
    spec = dataclasses.replace(SMALL, tell_answers=True, validation_examples=40)
    end = of_type(Evaluated, list(race(spec)))[-1]
    for row, share in zip(end.answers, end.accuracies, strict=True):
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(row), dtype=np.uint8))[: SMALL.test_examples]
        assert bits.mean() == pytest.approx(present(share))
    assert len(end.validation_accuracies) == 2


def test_the_prompt_of_every_row_begins_it_and_no_word_of_a_test_question_was_an_answer(backbone):
    task = load_task(TASK)
    for split in (task.train, task.test):
        for example in split.examples[::25]:
            prompt, *choices = str(example).split("\n")
            assert len(set(choices)) == 4
            start = backbone.tokenizer(prompt)["input_ids"]
            assert all(backbone.tokenizer(f"{prompt} {each}")["input_ids"][: len(start)] == start for each in choices)
    told = [{str(example).split("\n")[1 + label] for example, label in zip(split.examples, split.labels, strict=True)}
            for split in (task.train, task.test)]  # fmt: skip
    offered = {choice for example in task.test.examples for choice in str(example).split("\n")[1:]}
    assert not told[0] & offered


def test_a_question_with_another_number_of_choices_is_one_sentence():
    batch = Batch(SMALL, torch.device("cpu"), Prefixes(), pace_of(torch.device("cpu")))
    assert isinstance(batch.objective, Choosing)
    with pytest.raises(TaskError, match=r"^A question must have 4 choices below it, got 1: 'What\?'\.$"):
        batch.objective.shown(Split(["What?\nthis"], np.array([0])))
    rows = batch.objective.shown(Split(["What?\na\nb\nc\nd"], np.array([2])))
    assert isinstance(rows, Answers)
    assert list(rows.examples) == ["What? a", "What? b", "What? c", "What? d"]


def test_the_command_line_races_it_by_accuracy_with_defaults_of_its_own():
    assert metric_of(TASK) is ACCURACY
    assert set(CHOICES) == {TASK}
    unasked = RaceOptions.on(TASK)
    assert {name: getattr(unasked, name) for name in RACES["choice"]} == dict(RACES["choice"])
    words = ["--adapted-blocks", "3", "--steps", "2", "--test-examples", "20", "--choice-score", "mean"]
    result = CliRunner().invoke(main, ["race", "--task", TASK, *words])
    assert result.exit_code == 0, result.output
    assert "Untouched, before the first step: " in result.output
    assert "All on the same 20 test examples" in result.output
    events = list(race(SMALL))
    card = present(race_card(events))
    share = present(of_type(Evaluated, events)[0].accuracies[0])
    assert (card.compared[0].name, card.compared[0].result) == ("Untouched", f"{100 * share:.1f} %")


def test_a_link_to_it_is_one_sentence_and_the_defaults():
    assert servable(RaceOptions.on(TASK), []) == (RaceOptions(), [NO_PAGES.format(TASK)])


@pytest.mark.parametrize("kind", ["data", "rate"])
def test_studies_of_the_command_line_take_it_with_intervals_over_the_same_questions(kind):
    grid = {"data": ["--fractions", "0.02,1", "--no-tuned"], "rate": ["--rates", "1e-3,1e-2", "--data-fraction", "0.1"]}
    words = ["--task", TASK, "--adapted-blocks", "2", "--steps", "2", "--batch-size", "4", "--test-examples", "20"]
    few = ["--seeds", "0,1", "--validation-examples", "8", "--device", "cpu", "--mlp-width", "8"]
    result = CliRunner().invoke(main, ["study", kind, *words, *grid[kind], *few, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["spec"]["task"] == TASK
    assert "2 seeds: an anecdote" in told["verdict"]


def test_the_pages_of_studies_do_not_offer_it():
    assert labelled(DataStudy(task=TASK), []) == (DataStudy(), [NO_PAGES.format(TASK)])
    with pytest.raises(SpecError, match=r"^task must be one of digits, .*, movie_sentiment, own:ID, got 'word_choice'"):
        TeacherStudy(task=TASK)
