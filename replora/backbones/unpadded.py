"""BERT's layers on the tokens of texts without their padding.

All that is done token by token (three quarters of the products, with query, key and value all of them) runs on the
tokens side by side; only between query, key, value and what follows do they stand text by text. Runs are blocks of
equal length, filled up to a multiple, so that shapes repeat. What fills a block up stands for padding of its own run
and is read by nothing but padding: its gradient is zero.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from replora.backbones.base import Rows

MULTIPLE = 16  # of the tokens of a run: new shapes cost a processor's library more than a few tokens
WIDTHS = 8  # of the length of texts in the attention


class Layout:
    """Where the tokens of a batch of texts stand without padding, by its mask (rows, tokens); runs: blocks of rows.

    Texts are `width` long here, at least one more than the longest, so that every run has padding.
    """

    def __init__(self, mask: Tensor, runs: int) -> None:
        self.rows, self.tokens = mask.shape
        longest = int(mask.sum(dim=1).max())
        self.width = (longest // WIDTHS + 1) * WIDTHS
        kept = mask.new_zeros(self.rows, self.width)
        kept[:, :longest] = mask[:, :longest]
        self.mask = kept
        by_run = kept.view(runs, -1)  # (runs, batch * width)
        counts = by_run.sum(dim=1)
        length = min((int(counts.max()) // MULTIPLE + 1) * MULTIPLE, by_run.shape[1])
        starts = torch.arange(runs, device=mask.device)[:, None]
        order = by_run.logical_not().byte().argsort(dim=1, stable=True)[:, :length]
        # Of each place the padded token that stands there, and of each padded token its place: padding has the last.
        self.sources = (starts * by_run.shape[1] + order).flatten()  # (runs * length,)
        ranks = torch.where(by_run, by_run.cumsum(dim=1) - 1, length - 1)
        self.places = (starts * length + ranks).flatten()  # (rows * width,)

    def bias(self, heads: int, dtype: torch.dtype) -> Tensor:
        """What keeps padding from being read, (rows * heads, 1, width)."""
        bias = torch.zeros(self.rows, 1, self.width, dtype=dtype, device=self.mask.device)
        bias.masked_fill_(~self.mask[:, None], torch.finfo(dtype).min)
        return bias.repeat_interleave(heads, dim=0)

    def by_head(self, heads: int) -> tuple[Tensor, Tensor]:
        """`places` of (rows, heads, width), and `sources` of (places, heads), in units of a head."""
        head = torch.arange(heads, device=self.places.device)
        places = self.places.view(self.rows, 1, self.width) * heads + head[:, None]
        row, token = self.sources // self.width, self.sources % self.width
        sources = (row[:, None] * heads + head) * self.width + token[:, None]
        return places.flatten(), sources.flatten()

    def pack(self, padded: Tensor) -> Tensor:
        """(runs * length, ...) of (rows, tokens, ...), without a gradient; what `width` adds is read as the first."""
        row, token = self.sources // self.width, self.sources % self.width
        token = torch.where(token < self.tokens, token, 0)
        return padded.detach().flatten(0, 1).index_select(0, row * self.tokens + token)

    def unpack(self, packed: Tensor) -> Tensor:
        """(rows, width, ...) of (runs * length, ...)."""
        return moved(packed, self.places, self.sources).view(self.rows, self.width, -1)


class _Moved(torch.autograd.Function):
    """Rows of a matrix in another order, and gradients back by the inverse of it, without sums."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, there: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return values.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, ctx.back), None, None


def moved(values: Tensor, there: Tensor, back: Tensor) -> Tensor:
    """The rows `there` of a matrix; back: for each row of it the one its gradient stands at."""
    return _Moved.apply(values, there, back)  # type: ignore[no-any-return]


def mix(query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor) -> Tensor:
    """softmax(scale query key^T + bias) value, each (heads, tokens, head_dim), their heads side by side.

    The strided views that transformers' own plain attention multiplies take ten times as long: 4.3 against 0.5 ms for
    32 sequences of 32 tokens and 12 heads, on one core.
    """
    return torch.bmm(torch.baddbmm(bias, query, key.mT, alpha=scale).softmax(dim=-1), value)


def knows(model: Any) -> bool:
    """Whether the model is BERT's own embeddings and layers."""
    from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer

    return type(model.embeddings) is BertEmbeddings and all(type(each) is BertLayer for each in model.encoder.layer)


def layers(model: Any, rows: Rows, start: int, stop: int, runs: int) -> Tensor:
    """Hidden states (rows, tokens, width) after a BERT's layers from `start` to before `stop`; padding holds anything.

    runs: of how many runs the rows are, one after another; so many that do not share them evenly are taken for one.
    """
    layout = Layout(rows["mask"], 1 if len(rows["mask"]) % runs else runs)
    if "hidden" in rows:
        hidden = layout.pack(rows["hidden"])
    else:
        ids = layout.pack(rows["ids"])
        positions = layout.sources % layout.width
        hidden = model.embeddings(input_ids=ids[None], position_ids=positions[None])[0]
    heads = model.config.num_attention_heads
    there, back = layout.by_head(heads)
    bias: Tensor | None = None
    for layer in model.encoder.layer[start:stop]:
        attention = layer.attention.self
        query, key, value = (
            moved(made.view(len(hidden) * heads, -1), there, back).view(layout.rows * heads, layout.width, -1)
            for made in (attention.query(hidden), attention.key(hidden), attention.value(hidden))
        )
        bias = layout.bias(heads, query.dtype) if bias is None else bias
        mixed = mix(query, key, value, attention.scaling, bias)
        mixed = moved(mixed.flatten(0, 1), back, there).view(len(hidden), -1)
        hidden = layer.feed_forward_chunk(layer.attention.output(mixed, hidden))
    hidden = layout.unpack(hidden)
    missing = max(0, layout.tokens - layout.width)
    return F.pad(hidden, (0, 0, 0, missing))[:, : layout.tokens]
