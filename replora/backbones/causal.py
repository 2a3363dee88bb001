"""Backbones that continue texts: causal language models of transformers, whose every token predicts the next one.

A token sees itself and those before it, so padding, which stands at the end, is seen by padding alone and needs no mask
but in the loss.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from replora.backbones.base import Backbone, BackboneError, Rows, first_tensor
from replora.backbones.lean import block
from replora.catalog import Modality

PIECE_TOKENS = 64  # of a piece of text at most: what a race trains on and is tested on
KNOWN = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")  # embeddings, layers, a norm, a linear head


class CausalLM(Backbone):
    """A causal language model of the Llama family: the rows are token ids, and hidden states before block `first`."""

    modality: Modality = "continuation"

    def __init__(self, name: str, model: nn.Module, tokenizer: Any) -> None:
        if type(model).__name__ not in KNOWN:
            raise BackboneError(
                f"{name} is a {type(model).__name__}; of causal language models {', '.join(KNOWN)} can be adapted."
            )
        super().__init__(name, model)
        self.tokenizer = tokenizer
        self.width = int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.lean = getattr(model.config, "hidden_act", "") == "silu"

    @property
    def head(self) -> nn.Linear:
        """The frozen layer that makes logits of hidden states; often its weight is that of the embeddings."""
        return self.model.lm_head  # type: ignore[return-value]

    def encode(self, examples: Sequence[str]) -> Rows:
        """Token ids and which of them are no padding, (rows, tokens), padded at the end; long pieces are cut."""
        cut: list[list[int]] = [ids[:PIECE_TOKENS] for ids in self.tokenizer(list(examples))["input_ids"]]
        longest = max(map(len, cut))
        ids, mask = (torch.zeros(len(cut), longest, dtype=dtype) for dtype in (torch.int64, torch.bool))
        for row, piece in enumerate(cut):
            ids[row, : len(piece)] = torch.tensor(piece)
            mask[row, : len(piece)] = True
        return {"ids": ids, "mask": mask}

    def prefix(self, inputs: Rows, first: int) -> Rows:
        if first == 0:
            return inputs
        return {**inputs, "hidden": self._layers(inputs, 0, first)}  # hidden (rows, tokens, width)

    def features(self, rows: Rows, first: int) -> Tensor:
        """The hidden state that predicts the next token, at each token, (rows, tokens, width)."""
        model: Any = self.model
        hidden: Tensor = model.model.norm(self._layers(rows, first, self.blocks))
        return hidden

    def logits(self, features: Tensor) -> Tensor:
        """Logits (..., vocabulary) in float32 of `features` (..., width)."""
        return self.head(features.to(self.head.weight.dtype)).float()  # type: ignore[no-any-return]

    def continued(self, ids: Tensor, past: Any = None) -> tuple[Tensor, Any]:
        """The hidden states (rows, tokens, width) of `ids` (rows, tokens), which follow upon those in `past`.

        And the keys and values of all tokens so far, to be given as `past` with the tokens that come next: by
        transformers' own forward pass. `past` is written into.
        """
        inner: Any = self.model.model
        kept = {} if past is None else {_past_name(inner): past}
        output = inner(input_ids=ids, use_cache=True, **kept)
        return output.last_hidden_state, output[_past_name(inner)]

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end a text, as the model and its tokenizer say."""
        told: list[Any] = [self.tokenizer.eos_token_id]
        for config in (self.model.generation_config, self.model.config):
            own = getattr(config, "eos_token_id", None)
            told += own if isinstance(own, list) else [own]
        return frozenset(each for each in told if each is not None)

    def _layers(self, rows: Rows, start: int, stop: int) -> Tensor:
        """Hidden states (rows, tokens, width) after the layers from `start` to before `stop`.

        In float32 where autocast casts what is multiplied, else in the type of the weights.
        """
        inner: Any = self.model.model
        hidden: Tensor = rows["hidden"] if "hidden" in rows else inner.embed_tokens(rows["ids"])
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.float()
        tokens = hidden.shape[1]
        positions = torch.arange(tokens, device=hidden.device)[None]
        turns = inner.rotary_emb(hidden, positions)
        bias = causal_bias(tokens, hidden)
        for layer in inner.layers[start:stop]:
            if self.shortcuts and self.lean:
                hidden = block(layer, hidden, bias[0, 0], turns)
            else:
                hidden = first_tensor(layer(hidden, attention_mask=bias, position_embeddings=turns))
        return hidden


def _past_name(inner: nn.Module) -> str:
    """What transformers calls the keys and values of the tokens before: its later versions otherwise."""
    return "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"


def causal_bias(tokens: int, like: Tensor) -> Tensor:
    """The additive mask (1, 1, tokens, tokens) by which a token sees itself and those before it."""
    unseen = torch.full((tokens, tokens), torch.finfo(like.dtype).min, dtype=like.dtype, device=like.device)
    return unseen.triu(diagonal=1)[None, None]
