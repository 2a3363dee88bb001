"""Which of some texts goes on best: choices by their likelihood after a question, the right one learnt as it is said.

An example is a question on a line of its own and its choices below; the label is the place of the right one. The model
is given "question choice", of which the choice's tokens count, and of a question that is too long its end. Trained is
the cross-entropy of the right choice, and tested whether its log-probability, summed or a mean over its tokens, is the
highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from replora.backbones import CausalLM, Rows
from replora.backbones.causal import PIECE_TOKENS
from replora.config import Training
from replora.tasks import Indices, Split, Task, TaskError
from replora.training.cache import PrefixCache
from replora.training.objectives.base import Tested
from replora.training.objectives.continuing import Continuing
from replora.training.stack import RunStack
from replora.training.steps import Score

Question = tuple[str, list[str]]  # and its choices


@dataclass(frozen=True)
class Answers(Split):
    """Questions with an answer each, as the model is given them; `prompts` are the questions alone."""

    prompts: Sequence[str] = ()


class Choosing(Continuing):
    """Of each example the row with the right choice is trained on, and a row a choice tested."""

    def __init__(self, spec: Training, task: Task, stack: RunStack, seeds: Sequence[int]) -> None:
        super().__init__(spec, task, stack, seeds)
        self.tokenizer: Any = cast(CausalLM, stack.backbone).tokenizer
        self.choices = len(task.classes)
        self.rows = self._right(task.train)
        self.starts = self._starts(self.rows)

    def trained(self) -> Split:
        return self.rows

    def _right(self, split: Split) -> Answers:
        """The row with the right choice of each example."""
        rows = self.shown(split)
        right = np.arange(len(split)) * self.choices + split.labels
        texts, prompts = ([str(each[place]) for place in right] for each in (rows.examples, rows.prompts))
        return Answers(texts, split.labels, prompts)

    def shown(self, split: Split) -> Answers:
        """A row for each choice, example after example."""
        asked = [_question(str(example), self.choices) for example in split.examples]
        left = list(range(len(asked)))
        while left:
            excess = self._excess([asked[place] for place in left])
            left = [place for place, tokens in zip(left, excess, strict=True) if tokens > 0]
            for place, tokens in zip(left, excess[excess > 0], strict=True):
                asked[place] = _shortened(*asked[place], tokens)
        texts = [f"{prompt} {answer}" for prompt, answers in asked for answer in answers]
        prompts = [prompt for prompt, _ in asked for _ in range(self.choices)]
        return Answers(texts, np.repeat(split.labels, self.choices), prompts)

    def _excess(self, asked: Sequence[Question]) -> Indices:
        """By how many tokens each question with the longest of its choices is longer than what the model reads."""
        texts = [f"{prompt} {answer}" for prompt, answers in asked for answer in answers]
        lengths = np.array([len(ids) for ids in self.tokenizer(texts)["input_ids"]]).reshape(len(asked), -1)
        excess: Indices = lengths.max(axis=1) - PIECE_TOKENS
        return excess

    def losses(self, rows: Rows, picks: Tensor) -> Tensor:
        losses, counted = self._by_answer(rows, self.starts[picks[0].flatten()])
        sums, tokens = (each.reshape(self.stack.runs, -1).sum(dim=1) for each in (losses, counted))
        return sums / tokens.clamp_min(1)

    def score(self, cache: PrefixCache) -> Score:
        """Of each run and row the sum of the losses of the answer's tokens, and how many they are."""
        starts = self._starts(cache.split)

        def score(rows: Rows, places: Tensor) -> Tensor:
            found = self._by_answer(rows, starts[places].repeat(self.stack.runs))
            return torch.stack([each.sum(dim=1) for each in found]).view(2, self.stack.runs, -1)

        return score

    def tested(self, scores: Tensor, cache: PrefixCache) -> Tested:
        """Accuracy, and the mean loss of the right answers' tokens."""
        sums, tokens = scores.unflatten(-1, (-1, self.choices))  # (runs, examples, choices)
        right = self._labels(cache).expand(len(sums), -1)[..., None]
        losses = sums.gather(-1, right).sum(dim=(1, 2)) / tokens.gather(-1, right).sum(dim=(1, 2))
        return Tested(self.answers(scores, cache).float().mean(dim=1), losses)

    def answers(self, scores: Tensor, cache: PrefixCache) -> Tensor:
        sums, tokens = scores.unflatten(-1, (-1, self.choices))
        likelihoods = -sums / tokens if self.spec.choice_score == "mean" else -sums
        chosen: Tensor = likelihoods.argmax(dim=-1)
        return chosen == self._labels(cache)

    def _labels(self, cache: PrefixCache) -> Tensor:
        """The place of the right choice of each example, (examples,)."""
        return torch.from_numpy(cache.split.labels[:: self.choices].copy()).to(self.stack.device)

    def _by_answer(self, rows: Rows, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each token of an answer, zeros elsewhere, and which those are, (runs * batch, tokens - 1)."""
        losses, _, held = self._by_token(rows)
        predicted = torch.arange(1, held.shape[1] + 1, device=held.device)  # the place of each token that is predicted
        counted = held & (predicted >= starts[:, None])
        return losses * counted, counted.to(losses.dtype)

    def _starts(self, split: Split) -> Tensor:
        """At which token of each row its answer begins."""
        prompts = self.tokenizer(list(cast(Answers, split).prompts))["input_ids"]
        return torch.tensor([len(ids) for ids in prompts], device=self.stack.device)


def _question(example: str, choices: int) -> Question:
    prompt, *answers = example.split("\n")
    if len(answers) != choices:
        raise TaskError(f"A question must have {choices} choices below it, got {len(answers)}: {prompt[:60]!r}.")
    return prompt, answers


def _shortened(prompt: str, answers: list[str], tokens: int) -> Question:
    """A question without its first words, as few as can have so many tokens, of which none is less than a byte."""
    left = prompt
    while len(prompt.encode()) - len(left.encode()) < tokens:
        _, space, left = left.partition(" ")
        if not space:
            raise TaskError(f"A choice must have fewer than {PIECE_TOKENS} tokens: {answers[0][:60]!r}.")
    return left, answers
