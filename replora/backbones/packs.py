"""Texts in packs: several share a sequence of fixed width, in which each token sees its own text alone.

A batch of rows pads every text to the longest, whatever that is today. Here texts are put side by side into the fewest
sequences of one width that hold them: a third of the tokens for short texts, in shapes that do not change from batch to
batch. A group of texts, the batch of a run, has `count` sequences; its rows are `ids` or `hidden` (groups, count,
width), each token's `positions` in its text, its `owner`, which of the group's texts it is of (their number for
padding), and `shares` (groups, texts, count * width), by which the tokens of a text are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from replora.backbones.base import Rows

Counts = npt.NDArray[np.int64]
MULTIPLE = 64  # of the width: what kernels of attention take at once


@dataclass(frozen=True)
class Sequences:
    """How many sequences a group of texts has, and how wide they are."""

    count: int
    width: int


def width_for(longest: int) -> int:
    """The width of sequences into which texts of up to `longest` tokens go."""
    return -(-longest // MULTIPLE) * MULTIPLE


def fit(lengths: Counts, width: int) -> tuple[Counts, int]:
    """Where each text begins in its group's sequences, and how many of those the fullest group has.

    lengths: tokens of each text, (..., texts), at most `width`. First fit, the longest text first.
    """
    flat = lengths.reshape(-1, lengths.shape[-1])
    order = np.argsort(-flat, axis=1, kind="stable")
    room = np.full_like(flat, width)
    starts = np.empty_like(flat)
    groups = np.arange(len(flat))
    for text in order.T:
        size = flat[groups, text]
        chosen = (room >= size[:, None]).argmax(axis=1)
        starts[groups, text] = (chosen + 1) * width - room[groups, chosen]
        room[groups, chosen] -= size
    return starts.reshape(lengths.shape), int((room < width).sum(axis=1).max())


def pack(rows: Rows, places: Tensor, starts: Tensor, lengths: Tensor, sequences: Sequences) -> Rows:
    """The rows of groups of texts out of `rows`, which are padded.

    places: which texts; starts: where each begins in its group, as `fit` has it; lengths: their tokens; all (groups,
    texts).
    """
    shape, texts = (len(places), sequences.count, sequences.width), places.shape[1]
    token = torch.arange(sequences.count * sequences.width, device=places.device)
    inside = (token >= starts[:, :, None]) & (token < (starts + lengths)[:, :, None])  # (groups, texts, tokens)
    short = torch.arange(-texts, 0, device=places.device)
    owner = texts + (inside * short[:, None]).sum(dim=1)  # (groups, tokens)
    held = owner < texts
    source = torch.where(held, owner, 0)  # padding holds the first token of the first text
    positions = torch.where(held, token - starts.gather(1, source), 0)
    name = "hidden" if "hidden" in rows else "ids"
    padded = rows[name]  # (examples, longest, ...)
    chosen = (places.gather(1, source) * padded.shape[1] + positions).flatten()
    return {
        name: padded.flatten(0, 1).index_select(0, chosen).unflatten(0, shape),
        "positions": positions.view(shape),
        "owner": owner.view(shape),
        "shares": inside / lengths[:, :, None],
    }


def packed_features(model: Any, rows: Rows, first: int) -> Tensor:
    """Pooled features (groups * texts, width) of a model of the BERT family from its layer `first` on."""
    owner = rows["owner"].flatten(0, 1)  # (sequences, tokens)
    if "hidden" in rows:
        hidden = rows["hidden"].flatten(0, 1)
    else:
        hidden = model.embeddings(rows["ids"].flatten(0, 1), position_ids=rows["positions"].flatten(0, 1))
    own = owner[:, None, :, None] == owner[:, None, None, :]  # (sequences, 1, tokens, tokens)
    for layer in model.encoder.layer[first:]:
        hidden = _layer(layer, hidden, own)
    groups = len(rows["owner"])
    with torch.autocast(owner.device.type, enabled=False):
        return torch.bmm(rows["shares"], hidden.float().view(groups, -1, hidden.shape[-1])).flatten(0, 1)


def _layer(layer: Any, hidden: Tensor, own: Tensor) -> Tensor:
    """One of BERT's layers on sequences (sequences, tokens, width)."""
    attention = layer.attention.self
    heads = (attention.num_attention_heads, attention.attention_head_size)
    query, key, value = (
        projection(hidden).unflatten(-1, heads).transpose(1, 2)  # (sequences, heads, tokens, head width)
        for projection in (attention.query, attention.key, attention.value)
    )
    context = F.scaled_dot_product_attention(query, key, value, own)
    hidden = layer.attention.output(context.transpose(1, 2).flatten(2), hidden)
    return layer.feed_forward_chunk(hidden)  # type: ignore[no-any-return]
