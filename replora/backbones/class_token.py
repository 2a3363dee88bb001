"""The last attention of a vision transformer where nothing but the class token is read.

A single query needs neither keys nor values: q . (W_k x_j) = (W_k^T q) . x_j, and sum_j gate_j W_v x_j is
W_v (sum_j gate_j x_j). So the products with frozen weights have one row an example and head, not one a token. The bias
of the key adds the same to all logits of a query, which the softmax does not see.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replora.adapters.linear import base_of, in_product_type, low_rank_add, scaled_pair


def pools_class_token(model: Any) -> bool:
    """Whether a timm transformer of plain blocks reads nothing but its class token in the end."""
    from timm.models.vision_transformer import Block

    return type(model.blocks[-1]) is Block and model.global_pool == "token" and model.attn_pool is None


def last_block(block: Any, tokens: Tensor) -> Tensor:
    """The class token (rows, 1, width) after a block of tokens (rows, tokens, width)."""
    x = block.norm1(tokens)
    read = class_token_output(block.attn, x) if _is_plain(block.attn) else block.attn(x)[:, :1]
    tokens = tokens[:, :1] + block.drop_path1(block.ls1(read))
    return tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))  # type: ignore[no-any-return]


def _is_plain(attention: nn.Module) -> bool:
    """Whether it is timm's attention of queries, keys and values as they are projected, without a gate."""
    from timm.models.vision_transformer import Attention

    norms = (getattr(attention, name, None) for name in ("q_norm", "k_norm", "norm"))
    plain = all(each is None or isinstance(each, nn.Identity) for each in norms)
    return type(attention) is Attention and plain and getattr(attention, "gate", None) is None


def class_token_output(attention: Any, x: Tensor) -> Tensor:
    """What timm's attention gives for the first of its tokens x (rows, tokens, width), (rows, 1, width)."""
    heads, x = attention.num_heads, in_product_type(x)
    base = base_of(attention.qkv)
    query_bias, _, value_bias = (None,) * 3 if base.bias is None else base.bias.chunk(3)
    query_weight, key_weight, value_weight = base.weight.chunk(3)
    pair = scaled_pair(attention.qkv, "query")
    query = F.linear(x[:, 0], query_weight, query_bias)  # (rows, heads * head_dim)
    if pair is not None:
        query = low_rank_add(query, x[:, 0], *pair)
    asked = torch.bmm(_by_head(attention.scale * query, heads), key_weight.unflatten(0, (heads, -1)))
    gates = (asked.transpose(0, 1) @ x.mT).softmax(dim=-1)  # (rows, heads, tokens)
    mixed = in_product_type(gates) @ x  # (rows, heads, width)
    value = torch.bmm(mixed.transpose(0, 1), value_weight.unflatten(0, (heads, -1)).mT)  # (heads, rows, head_dim)
    value = value.transpose(0, 1)
    if value_bias is not None:
        value = value + value_bias.unflatten(0, (heads, -1))
    pair = scaled_pair(attention.qkv, "value")
    if pair is not None:
        value = value + _update(mixed, *pair)
    output: Tensor = attention.proj_drop(attention.proj(value.flatten(1)))
    return output[:, None]


def _by_head(values: Tensor, heads: int) -> Tensor:
    """(heads, rows, head_dim) of (rows, heads * head_dim)."""
    return values.view(len(values), heads, -1).transpose(0, 1)


def _update(mixed: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """B A of what each head has mixed: (rows, heads, head_dim) of mixed (rows, heads, width), by the rows of B."""
    runs, heads = len(a), mixed.shape[1]
    hidden = torch.bmm(mixed.reshape(runs, -1, mixed.shape[2]), a.to(mixed.dtype).mT)  # (runs, batch * heads, rank)
    hidden = hidden.unflatten(1, (-1, heads)).transpose(1, 2)  # (runs, heads, batch, rank)
    values: Tensor = hidden @ b.to(mixed.dtype).unflatten(1, (heads, -1)).mT  # (runs, heads, batch, head_dim)
    return values.transpose(1, 2).flatten(0, 1)
