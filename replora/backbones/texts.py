"""Backbones for texts: the encoders of transformers, mean-pooled; padding is skipped where BERT lets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from replora.adapters.attach import adapter_of, is_adapted
from replora.backbones import unpadded
from replora.backbones.base import Backbone, Rows, first_tensor
from replora.backbones.packs import packed_features
from replora.catalog import MAX_TOKENS, Modality


class TransformersText(Backbone):
    """An encoder of transformers for text, mean-pooled over the tokens.

    The BERT family (embeddings, encoder.layer) keeps hidden states before block `first`; other encoders, and any
    encoder adapted from its first block on, keep token ids and run whole.
    """

    modality: Modality = "text"

    def __init__(self, name: str, model: nn.Module, tokenizer: Any) -> None:
        super().__init__(name, model)
        self.tokenizer = tokenizer
        config: Any = model.config
        self.width = int(config.hidden_size if hasattr(config, "hidden_size") else config.dim)
        self.max_tokens = min(MAX_TOKENS, int(getattr(config, "max_position_embeddings", MAX_TOKENS)))

    def encode(self, examples: Sequence[str]) -> Rows:
        encoded = self.tokenizer(
            list(examples), truncation=True, max_length=self.max_tokens, padding=True, return_tensors="pt"
        )
        return {"ids": encoded["input_ids"], "mask": encoded["attention_mask"].bool()}  # (rows, tokens)

    def prefix(self, inputs: Rows, first: int) -> Rows:
        if first == 0 or not self._is_bert():
            return inputs
        hidden = self._layers(inputs, 0, first)
        return {"hidden": hidden, "mask": inputs["mask"]}  # (rows, tokens, width), (rows, tokens)

    @property
    def packs(self) -> bool:
        from transformers.models.bert.modeling_bert import BertLayer

        model: Any = self.model
        return self._is_bert() and all(type(each) is BertLayer for each in model.encoder.layer)

    def features(self, rows: Rows, first: int) -> Tensor:
        if "owner" in rows:
            return packed_features(self.model, rows, first)
        if self._is_bert():
            hidden = self._layers(rows, first, self.blocks)
        else:
            hidden = first_tensor(self.model(input_ids=rows["ids"], attention_mask=rows["mask"].long()))
        hidden = hidden.float()
        weights = rows["mask"].unsqueeze(-1).to(hidden.dtype)  # (rows, tokens, 1)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)

    def _is_bert(self) -> bool:
        """Whether the model is embeddings and a list of layers, as in the BERT family."""
        return hasattr(self.model, "embeddings") and hasattr(getattr(self.model, "encoder", None), "layer")

    def _layers(self, rows: Rows, start: int, stop: int) -> Tensor:
        """Hidden states (rows, tokens, width) after the layers from `start` to before `stop`."""
        model: Any = self.model
        mask = rows["mask"]
        padded = not bool(mask.all())
        if padded and self.shortcuts and unpadded.knows(model):
            runs = adapter_of(model).factors.runs if is_adapted(model) else 1
            return unpadded.layers(model, rows, start, stop, runs)
        hidden: Tensor = rows["hidden"] if "hidden" in rows else model.embeddings(input_ids=rows["ids"])
        bias = attention_bias(mask, hidden.dtype) if padded else None
        for layer in model.encoder.layer[start:stop]:
            hidden = first_tensor(layer(hidden, bias))
        return hidden


def attention_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The additive mask (rows, 1, 1, tokens) of a boolean one (rows, tokens)."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)[
        :, None, None
    ]
