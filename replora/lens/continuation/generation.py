"""Texts written token by token: by models beside each other, after several prompts, all in one pass a token.

Beside each model runs the untouched one, which reads the same tokens: so the log-probability of every token under both
is known when it is written. Prompts of fewer tokens are gone on with while longer ones are still read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from replora.backbones import CausalLM
from replora.lens.answers import Written
from replora.seeding import stream

INCOMPLETE = "\ufffd"  # what a tokenizer of bytes makes of the first bytes of a character


@dataclass(frozen=True)
class Way:
    """How tokens are chosen: at temperature 0 the most probable one, else drawn; `most` of them after each prompt."""

    most: int
    temperature: float = 0.0
    seed: int = 0


@dataclass
class _Text:
    """A prompt and what one model has written after it."""

    prompt: list[int]
    ids: list[int] = field(default_factory=list)
    nats: list[float] = field(default_factory=list)
    untouched: list[float] = field(default_factory=list)
    ended: bool = False


class Generation:
    """Goes on with `prompts` (token ids) until `ends`, tokens that end a text, or as far as `way` says.

    plain: which models are untouched themselves. The models are the first runs of a stack; behind them it has one more
    run for each that is not, which is untouched and reads what that model writes, in their order.
    """

    def __init__(
        self, prompts: Sequence[Sequence[int]], plain: Sequence[bool], ends: Collection[int], way: Way
    ) -> None:
        self.ends, self.way = ends, way
        self.prompts = [list(prompt) for prompt in prompts]
        self.texts = [[_Text(prompt) for prompt in self.prompts] for _ in plain]
        self.models = len(plain)
        self.reads = [*range(self.models), *(place for place, own in enumerate(plain) if not own)]  # by run, a model
        beside = iter(range(self.models, len(self.reads)))
        self.untouched = [place if own else next(beside) for place, own in enumerate(plain)]  # by model, a run
        self.seen = min(map(len, self.prompts))
        self.next = torch.tensor([[prompt[: self.seen] for prompt in self.prompts]] * self.models)
        self.past: Any = None

    @property
    def over(self) -> bool:
        """Whether nothing is added any more."""
        return all(self._over(text) for texts in self.texts for text in texts)

    @torch.no_grad()
    def advance(self, backbone: CausalLM) -> None:
        """One more token of every text, of its prompt or written, by the stack in `backbone`."""
        ids = self.next[self.reads].flatten(0, 1)  # (runs * prompts, tokens)
        hidden, self.past = backbone.continued(ids, self.past)
        logits = backbone.logits(hidden[:, -1]).view(len(self.reads), len(self.prompts), -1)
        chosen = self._choose(logits[: self.models])
        nats = logits.log_softmax(dim=-1)  # (runs, prompts, vocabulary)
        for model, texts in enumerate(self.texts):
            for place, text in enumerate(texts):
                token = int(chosen[model, place])
                own, plain = nats[model, place, token], nats[self.untouched[model], place, token]
                chosen[model, place] = self._take(text, token, float(own), float(plain))
        self.seen += 1
        self.next = chosen[..., None]

    def written(self, tokenizer: Any) -> tuple[tuple[Written, ...], ...]:
        """What there is by now, by model and prompt."""
        return tuple(tuple(self._told(text, tokenizer) for text in texts) for texts in self.texts)

    def _choose(self, logits: Tensor) -> Tensor:
        """Tokens (models, prompts) by their logits (models, prompts, vocabulary)."""
        if not self.way.temperature:
            return logits.argmax(dim=-1)
        size = logits.shape[-1]
        noise = [self._noise(prompt, self.seen - len(prompt), size) for prompt in self.prompts]
        return drawn(logits, self.way.temperature, torch.from_numpy(np.stack(noise)).float())

    def _noise(self, prompt: Sequence[int], place: int, size: int) -> npt.NDArray[np.float64]:
        """Gumbel noise (size,) for the token in a place after a prompt, whatever is asked beside it."""
        return stream(self.way.seed, "continuation", *prompt, place).gumbel(size=size)

    def _take(self, text: _Text, token: int, nats: float, untouched: float) -> int:
        """Note a chosen token where the text is not over; the token that comes next in it."""
        if self.seen < len(text.prompt):
            return text.prompt[self.seen]
        if not self._over(text):
            text.ended = token in self.ends
            if not text.ended:
                text.ids.append(token)
                text.nats.append(nats)
                text.untouched.append(untouched)
        return token

    def _over(self, text: _Text) -> bool:
        return text.ended or len(text.ids) >= self.way.most

    def _told(self, text: _Text, tokenizer: Any) -> Written:
        return Written(
            tokens=pieces(tokenizer, text.prompt, text.ids),
            nats=np.array(text.nats, dtype=np.float32),
            untouched_nats=np.array(text.untouched, dtype=np.float32),
            over=self._over(text),
            ended=text.ended,
        )


def drawn(logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Tokens drawn with the shares softmax(logits / temperature), (...), of logits (..., vocabulary).

    noise: Gumbel, of which every argmax is such a draw (Gumbel-max); equal noise makes like models draw alike.
    """
    return (logits / temperature + noise).argmax(dim=-1)


def pieces(tokenizer: Any, prompt: Sequence[int], ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token of `ids` after `prompt`; a character of several tokens is in the last of them."""
    told, done = [], len(tokenizer.decode(prompt, clean_up_tokenization_spaces=False))
    for place in range(1, len(ids) + 1):
        text = tokenizer.decode([*prompt, *ids[:place]], clean_up_tokenization_spaces=False)
        if text.endswith(INCOMPLETE) and place < len(ids):
            told.append("")
            continue
        told.append(text[done:])
        done = len(text)
    return tuple(told)
