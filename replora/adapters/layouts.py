"""Which rows of a fused layer are query, key and value, for classes whose source was read.

Every class is in an architecture that `python -m benchmarks.models` holds against PEFT, most against
`replora.adapters.probe` too. A class that is not here, or a subclass of one that is, is asked by one forward pass
instead. Source: the `forward` of each class in timm 1.0 and transformers 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from torch import nn

from replora.adapters.rows import OwnedRows

Layout = Callable[
    [Any, Sequence[str], int], Mapping[str, OwnedRows]
]  # of a module, its layer's roles, and its layer's rows


def repeated(count: int, parts: Sequence[tuple[str, int]]) -> dict[str, OwnedRows]:
    """`count` times, one after another, the parts: role and number of rows."""
    places: dict[str, list[int]] = {role: [] for role, _ in parts}
    done = 0
    for _ in range(count):
        for role, size in parts:
            places[role] += range(done, done + size)
            done += size
    return {role: OwnedRows.of(each) for role, each in places.items()}


def in_order(module: Any, roles: Sequence[str], rows: int) -> dict[str, OwnedRows]:
    """[query; key; value], equal parts."""
    return repeated(1, [(role, rows // len(roles)) for role in roles])


def by_head(heads: str) -> Layout:
    """[query; key; value] of the first head, of the second, and so on; `heads` names their number, with dots."""

    def layout(module: Any, roles: Sequence[str], rows: int) -> dict[str, OwnedRows]:
        count = int(attrgetter(heads)(module))
        return repeated(count, [(role, rows // len(roles) // count) for role in roles])

    return layout


def narrow_keys(module: Any, roles: Sequence[str], rows: int) -> dict[str, OwnedRows]:
    """By head, the values wider than queries and keys: LeViT's attention."""
    sizes = {"query": module.key_dim, "key": module.key_dim, "value": module.val_dim}
    return repeated(module.num_heads, [(role, sizes[role]) for role in roles])


def maxvit(module: Any, roles: Sequence[str], rows: int) -> Mapping[str, OwnedRows]:
    """By head or in order, as the model was built."""
    return (by_head("num_heads") if module.head_first else in_order)(module, roles, rows)


def grouped_queries(module: Any, roles: Sequence[str], rows: int) -> dict[str, OwnedRows]:
    """[all queries; fewer keys; as many values]: Phi-3."""
    keys = module.num_key_value_heads * module.head_dim
    return repeated(1, [("query", rows - 2 * keys), ("key", keys), ("value", keys)])


def falcon(module: Any, roles: Sequence[str], rows: int) -> Mapping[str, OwnedRows]:
    """By group of heads that share key and value, all in one group, or by head: three generations of Falcon."""
    if module.new_decoder_architecture or module.multi_query:
        groups, one = module.num_kv_heads, module.head_dim
        return repeated(groups, [("query", rows // groups - 2 * one), ("key", one), ("value", one)])
    return by_head("num_heads")(module, roles, rows)


def big_code(module: Any, roles: Sequence[str], rows: int) -> Mapping[str, OwnedRows]:
    """[all queries; one key; one value], or by head: StarCoder and its kin."""
    if roles == ("key", "value"):
        return in_order(module, roles, rows)
    if module.multi_query:
        return repeated(1, [("query", rows - 2 * module.kv_dim), ("key", module.kv_dim), ("value", module.kv_dim)])
    return by_head("num_heads")(module, roles, rows)


def latent_keys(module: Any, roles: Sequence[str], rows: int) -> dict[str, OwnedRows]:
    """By head, the keys without their rotary part, which other rows make, and the values: DeepSeek's attention."""
    return repeated(module.num_heads, [("key", module.qk_nope_head_dim), ("value", module.v_head_dim)])


def codegen(module: Any, roles: Sequence[str], rows: int) -> dict[str, OwnedRows]:
    """[query; value; key] of each of the four shards that the model was trained on."""
    part = rows // 3 // module.mp_num
    return repeated(module.mp_num, [("query", part), ("value", part), ("key", part)])


LAYOUTS: Mapping[str, Layout] = {
    **dict.fromkeys(
        (
            "timm.layers.attention.Attention",
            "timm.layers.attention_pool.AttentionPoolLatent",
            "timm.models.beit.Attention",
            "timm.models.cait.TalkingHeadAttn",
            "timm.models.coat.FactorAttnConvRelPosEnc",
            "timm.models.convit.GPSA",
            "timm.models.davit.ChannelAttention",
            "timm.models.davit.WindowAttention",
            "timm.models.edgenext.CrossCovarianceAttn",
            "timm.models.eva.EvaAttention",
            "timm.models.fastvit.Attention",
            "timm.models.hiera.MaskUnitAttention",
            "timm.models.metaformer.Attention",
            "timm.models.mvitv2.MultiScaleAttention",
            "timm.models.nest.Attention",
            "timm.models.pvt_v2.Attention",
            "timm.models.swin_transformer.WindowAttention",
            "timm.models.swin_transformer_v2.WindowAttention",
            "timm.models.swin_transformer_v2_cr.WindowMultiHeadAttention",
            "timm.models.tnt.Attention",
            "timm.models.twins.GlobalSubSampleAttn",
            "timm.models.twins.LocallyGroupedAttn",
            "timm.models.vision_transformer_relpos.RelPosAttention",
            "timm.models.vision_transformer_sam.Attention",
            "timm.models.volo.Attention",
            "timm.models.volo.ClassAttention",
            "timm.models.xcit.XCA",
            "transformers.models.blip.modeling_blip.BlipAttention",
            "transformers.models.gpt2.modeling_gpt2.GPT2Attention",
            "transformers.models.hiera.modeling_hiera.HieraMaskUnitAttention",
            "transformers.models.modernbert.modeling_modernbert.ModernBertAttention",
            "transformers.models.mpt.modeling_mpt.MptAttention",
            "transformers.models.openai.modeling_openai.Attention",
            "transformers.models.sam.modeling_sam.SamVisionSdpaAttention",
        ),
        in_order,
    ),
    "timm.models.efficientformer.Attention": narrow_keys,
    "timm.models.maxxvit.AttentionCl": maxvit,
    "timm.models.tiny_vit.Attention": narrow_keys,
    "transformers.models.bloom.modeling_bloom.BloomAttention": by_head("num_heads"),
    "transformers.models.codegen.modeling_codegen.CodeGenAttention": codegen,
    "transformers.models.deberta.modeling_deberta.DisentangledSelfAttention": by_head("num_attention_heads"),
    "transformers.models.deepseek_v3.modeling_deepseek_v3.DeepseekV3Attention": latent_keys,
    "transformers.models.falcon.modeling_falcon.FalconAttention": falcon,
    "transformers.models.gpt_bigcode.modeling_gpt_bigcode.GPTBigCodeAttention": big_code,
    "transformers.models.gpt_neox.modeling_gpt_neox.GPTNeoXAttention": by_head("config.num_attention_heads"),
    "transformers.models.persimmon.modeling_persimmon.PersimmonAttention": by_head("num_heads"),
    "transformers.models.phi3.modeling_phi3.Phi3Attention": grouped_queries,
}


def layout_of(module: nn.Module) -> Layout | None:
    """How a module's fused layer is laid out, if its very class is known."""
    return LAYOUTS.get(f"{type(module).__module__}.{type(module).__qualname__}")
