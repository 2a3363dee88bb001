"""Tiny models of many architectures with random weights, and inputs for each: what adapters are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Inputs = dict[str, Tensor]
VOCABULARY, WIDTH, LAYERS, HEADS, INNER, TOKENS = 60, 32, 2, 4, 48, 9


@dataclass(frozen=True)
class Family:
    """An architecture: which library builds it, how, and inputs for so many examples."""

    name: str
    library: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], Inputs]


def randomly(count: int) -> torch.Generator:
    """The random numbers of inputs for so many examples."""
    return torch.Generator().manual_seed(count)


def tokens(count: int, extra: Mapping[str, int] | None = None) -> Inputs:
    """Token ids (count, tokens), and the same again under each name of `extra` with so many tokens."""
    names = {"input_ids": TOKENS, **(extra or {})}
    return {
        name: torch.randint(5, VOCABULARY, (count, length), generator=randomly(count)) for name, length in names.items()
    }


def images(name: str, size: int, channels: int = 3) -> Callable[[int], Inputs]:
    """Pictures (count, channels, size, size) under the name that a model reads them by."""
    return lambda count: {name: torch.randn(count, channels, size, size, generator=randomly(count))}


def sounds(length: int) -> Callable[[int], Inputs]:
    """Waves (count, length)."""
    return lambda count: {"input_values": torch.randn(count, length, generator=randomly(count))}


SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SPLIT: dict[str, Any] = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": INNER,
    "decoder_ffn_dim": INNER,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 40,
    "init_std": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
PATCHES: dict[str, Any] = {"image_size": 32, "patch_size": 8}
WAVES: dict[str, Any] = {
    "conv_dim": (16, 16),
    "conv_stride": (4, 4),
    "conv_kernel": (8, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "apply_spec_augment": False,
}


def _without(sizes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in sizes.items() if name not in names}


def both(count: int) -> Inputs:
    """Token ids and decoder token ids."""
    return tokens(count, {"decoder_input_ids": TOKENS - 2})


def words_and_pictures(count: int) -> Inputs:
    """Token ids and pictures."""
    return {**tokens(count), **images("pixel_values", 32)(count)}


def transformers_family(
    name: str, model: str, config: str, sizes: Mapping[str, Any], inputs: Callable[[int], Inputs] = tokens
) -> Family:
    """A transformers model of a configuration."""

    def build() -> nn.Module:
        import transformers

        built: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**sizes))
        return built

    return Family(name, "transformers", build, inputs)


def timm_family(name: str, size: int = 32, /, **options: Any) -> Family:
    """A timm model, built with options; `of`: the name it has in timm, where families share one."""
    of = options.pop("of", name)

    def build() -> nn.Module:
        import timm

        built: nn.Module = timm.create_model(of, pretrained=False, num_classes=5, **options)
        return built

    return Family(name, "timm", build, images("x", size))


def timm_class(name: str, path: str, size: int, /, *given: Any, **options: Any) -> Family:
    """A class of timm, `models.file.Class`, whose named models have fixed sizes."""

    def build() -> nn.Module:
        from importlib import import_module

        file, _, kind = path.rpartition(".")
        built: nn.Module = getattr(import_module(f"timm.{file}"), kind)(*given, num_classes=5, **options)
        return built

    return Family(name, "timm", build, images("x", size))


def torch_family(name: str, build: Callable[[], nn.Module], inputs: Callable[[int], Inputs]) -> Family:
    """A model of torch's own modules."""
    return Family(name, "torch", build, inputs)


def _towers(vision: dict[str, Any]) -> dict[str, Any]:
    text = {**SIZES, "hidden_size": 16, "projection_dim": 16, "eos_token_id": 2}
    return {"text_config": text, "vision_config": {**_without(SIZES, "vocab_size"), **PATCHES, **vision}}


T5: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": WIDTH,
    "d_kv": 8,
    "d_ff": INNER,
    "num_layers": LAYERS,
    "num_decoder_layers": LAYERS,
    "num_heads": HEADS,
    "initializer_factor": 1.0,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 0,
}
GPT2: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_inner": INNER,
    "n_positions": 40,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FALCON: dict[str, Any] = {**SIZES, "alibi": False, "ffn_hidden_size": INNER}
FEW_KEYS: dict[str, Any] = {**SIZES, "num_key_value_heads": 2}
SEGFORMER: dict[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 4],
    "sr_ratios": [4, 2, 1, 1],
    "initializer_range": 0.2,
}
SWIN: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 1],
    "num_heads": [2, 4],
    "window_size": 4,
    "initializer_range": 0.2,
}

TEXT = (
    transformers_family("BERT", "BertForSequenceClassification", "BertConfig", SIZES),
    transformers_family("RoBERTa", "RobertaModel", "RobertaConfig", SIZES),
    transformers_family(
        "DistilBERT",
        "DistilBertModel",
        "DistilBertConfig",
        {
            "vocab_size": VOCABULARY,
            "dim": WIDTH,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "hidden_dim": INNER,
            "initializer_range": 0.2,
        },
    ),
    transformers_family("ALBERT", "AlbertModel", "AlbertConfig", {**SIZES, "embedding_size": 16}),
    transformers_family("ELECTRA", "ElectraModel", "ElectraConfig", {**SIZES, "embedding_size": 16}),
    transformers_family("CamemBERT", "CamembertModel", "CamembertConfig", SIZES),
    transformers_family("XLM-RoBERTa", "XLMRobertaModel", "XLMRobertaConfig", SIZES),
    transformers_family(
        "MobileBERT",
        "MobileBertModel",
        "MobileBertConfig",
        {
            **SIZES,
            "intra_bottleneck_size": 16,
            "embedding_size": 16,
            "true_hidden_size": 16,
        },
    ),
    transformers_family("SqueezeBERT", "SqueezeBertModel", "SqueezeBertConfig", {**SIZES, "embedding_size": WIDTH}),
    transformers_family("ConvBERT", "ConvBertModel", "ConvBertConfig", {**SIZES, "embedding_size": 16}),
    transformers_family("Longformer", "LongformerModel", "LongformerConfig", {**SIZES, "attention_window": 4}),
    transformers_family("BigBird", "BigBirdModel", "BigBirdConfig", {**SIZES, "attention_type": "original_full"}),
    transformers_family(
        "Nystromformer",
        "NystromformerModel",
        "NystromformerConfig",
        {**SIZES, "num_landmarks": 3, "segment_means_seq_len": 9},
    ),
    transformers_family(
        "Funnel",
        "FunnelModel",
        "FunnelConfig",
        {
            "vocab_size": VOCABULARY,
            "d_model": WIDTH,
            "block_sizes": [1, 1],
            "n_head": HEADS,
            "d_head": 8,
            "d_inner": INNER,
            "num_decoder_layers": 1,
            "initializer_range": 0.2,
        },
    ),
    transformers_family(
        "XLM",
        "XLMModel",
        "XLMConfig",
        {
            "vocab_size": VOCABULARY,
            "emb_dim": WIDTH,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "n_langs": 1,
            "max_position_embeddings": 40,
        },
    ),
    transformers_family("FNet", "FNetModel", "FNetConfig", SIZES),
    transformers_family(
        "DeBERTa",
        "DebertaModel",
        "DebertaConfig",
        {
            **SIZES,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "max_relative_positions": 16,
        },
    ),
    transformers_family(
        "DeBERTa-v2",
        "DebertaV2Model",
        "DebertaV2Config",
        {
            **SIZES,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": 8,
            "share_att_key": True,
        },
    ),
    transformers_family("MPNet", "MPNetModel", "MPNetConfig", SIZES),
    transformers_family(
        "ModernBERT", "ModernBertModel", "ModernBertConfig", {**SIZES, "cls_token_id": 1, "sep_token_id": 2}
    ),
    transformers_family("ESM", "EsmModel", "EsmConfig", {**SIZES, "mask_token_id": 3}),
    transformers_family("RoFormer", "RoFormerModel", "RoFormerConfig", SIZES),
    transformers_family("LayoutLM", "LayoutLMModel", "LayoutLMConfig", SIZES),
    transformers_family("T5", "T5Model", "T5Config", T5, both),
    transformers_family("mT5", "MT5EncoderModel", "MT5Config", T5),
    transformers_family("UMT5", "UMT5EncoderModel", "UMT5Config", T5),
    transformers_family("BART", "BartModel", "BartConfig", SPLIT, both),
    transformers_family("Marian", "MarianModel", "MarianConfig", SPLIT, both),
    transformers_family("Pegasus", "PegasusModel", "PegasusConfig", SPLIT, both),
    transformers_family(
        "LED",
        "LEDModel",
        "LEDConfig",
        {
            **_without(SPLIT, "max_position_embeddings"),
            "attention_window": 4,
            "max_encoder_position_embeddings": 40,
            "max_decoder_position_embeddings": 40,
        },
        both,
    ),
    transformers_family(
        "ProphetNet",
        "ProphetNetModel",
        "ProphetNetConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": WIDTH,
            "num_encoder_layers": LAYERS,
            "num_decoder_layers": LAYERS,
            "num_encoder_attention_heads": HEADS,
            "num_decoder_attention_heads": HEADS,
            "encoder_ffn_dim": INNER,
            "decoder_ffn_dim": INNER,
            "ngram": 2,
            "num_buckets": 8,
            "relative_max_distance": 16,
        },
        both,
    ),
    transformers_family(
        "XLNet",
        "XLNetModel",
        "XLNetConfig",
        {"vocab_size": VOCABULARY, "d_model": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "d_inner": INNER},
    ),
)
DECODERS = (
    transformers_family("GPT-2", "GPT2Model", "GPT2Config", GPT2),
    transformers_family(
        "GPT-2 with cross-attention",
        "GPT2Model",
        "GPT2Config",
        {**GPT2, "add_cross_attention": True},
        lambda count: {
            **tokens(count),
            "encoder_hidden_states": torch.randn(count, 5, WIDTH, generator=randomly(count)),
        },
    ),
    transformers_family("OpenAI GPT", "OpenAIGPTModel", "OpenAIGPTConfig", _without(GPT2, "n_inner")),
    transformers_family(
        "GPT-Neo",
        "GPTNeoModel",
        "GPTNeoConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": WIDTH,
            "num_layers": 2,
            "num_heads": HEADS,
            "intermediate_size": INNER,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "max_position_embeddings": 40,
            "initializer_range": 0.2,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    transformers_family("GPT-J", "GPTJModel", "GPTJConfig", {**_without(GPT2, "n_inner"), "rotary_dim": 4}),
    transformers_family("GPT-NeoX", "GPTNeoXModel", "GPTNeoXConfig", SIZES),
    transformers_family("GPT-BigCode", "GPTBigCodeModel", "GPTBigCodeConfig", {**GPT2, "multi_query": True}),
    transformers_family(
        "GPT-BigCode, many keys", "GPTBigCodeModel", "GPTBigCodeConfig", {**GPT2, "multi_query": False}
    ),
    transformers_family("CodeGen", "CodeGenModel", "CodeGenConfig", {**_without(GPT2, "n_inner"), "rotary_dim": 4}),
    transformers_family(
        "BLOOM",
        "BloomModel",
        "BloomConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": WIDTH,
            "n_layer": LAYERS,
            "n_head": HEADS,
            "initializer_range": 0.2,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    transformers_family(
        "Falcon", "FalconModel", "FalconConfig", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}
    ),
    transformers_family("Falcon, one key", "FalconModel", "FalconConfig", {**FALCON, "multi_query": True}),
    transformers_family("Falcon, many keys", "FalconModel", "FalconConfig", {**FALCON, "multi_query": False}),
    transformers_family(
        "MPT",
        "MptModel",
        "MptConfig",
        {
            "vocab_size": VOCABULARY,
            "d_model": WIDTH,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "expansion_ratio": 2,
            "max_seq_len": 40,
            "initializer_range": 0.2,
        },
    ),
    transformers_family(
        "OPT",
        "OPTModel",
        "OPTConfig",
        {**_without(SIZES, "intermediate_size"), "ffn_dim": INNER, "word_embed_proj_dim": WIDTH},
    ),
    transformers_family("Llama", "LlamaModel", "LlamaConfig", SIZES),
    transformers_family("Mistral", "MistralModel", "MistralConfig", FEW_KEYS),
    transformers_family("Mixtral", "MixtralModel", "MixtralConfig", {**FEW_KEYS, "num_local_experts": 2}),
    transformers_family("Gemma", "GemmaModel", "GemmaConfig", {**FEW_KEYS, "head_dim": 8}),
    transformers_family("Gemma 2", "Gemma2Model", "Gemma2Config", {**FEW_KEYS, "head_dim": 8}),
    transformers_family("Qwen2", "Qwen2ForSequenceClassification", "Qwen2Config", FEW_KEYS),
    transformers_family("Qwen3", "Qwen3Model", "Qwen3Config", {**FEW_KEYS, "head_dim": 8}),
    transformers_family("Phi", "PhiModel", "PhiConfig", SIZES),
    transformers_family("Phi-3", "Phi3Model", "Phi3Config", FEW_KEYS),
    transformers_family("StarCoder2", "Starcoder2Model", "Starcoder2Config", FEW_KEYS),
    transformers_family("StableLM", "StableLmModel", "StableLmConfig", FEW_KEYS),
    transformers_family("OLMo", "OlmoModel", "OlmoConfig", FEW_KEYS),
    transformers_family("Granite", "GraniteModel", "GraniteConfig", FEW_KEYS),
    transformers_family("Cohere", "CohereModel", "CohereConfig", FEW_KEYS),
    transformers_family("Persimmon", "PersimmonModel", "PersimmonConfig", SIZES),
    transformers_family(
        "DeepSeek-V3",
        "DeepseekV3Model",
        "DeepseekV3Config",
        {
            **SIZES,
            "num_key_value_heads": HEADS,
            "kv_lora_rank": 8,
            "q_lora_rank": 12,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "moe_intermediate_size": 16,
            "first_k_dense_replace": 1,
        },
    ),
    transformers_family(
        "Mamba",
        "MambaModel",
        "MambaConfig",
        {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": 4},
    ),
)
PICTURES = (
    transformers_family(
        "ViT", "ViTModel", "ViTConfig", {**_without(SIZES, "vocab_size"), **PATCHES}, images("pixel_values", 32)
    ),
    transformers_family(
        "DeiT", "DeiTModel", "DeiTConfig", {**_without(SIZES, "vocab_size"), **PATCHES}, images("pixel_values", 32)
    ),
    transformers_family("BEiT", "BeitModel", "BeitConfig", {**SIZES, **PATCHES}, images("pixel_values", 32)),
    transformers_family(
        "DINOv2",
        "Dinov2Model",
        "Dinov2Config",
        {**_without(SIZES, "vocab_size"), **PATCHES},
        images("pixel_values", 32),
    ),
    transformers_family(
        "DINOv3",
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        {**_without(SIZES, "vocab_size"), **PATCHES},
        images("pixel_values", 32),
    ),
    transformers_family("Swin", "SwinModel", "SwinConfig", SWIN, images("pixel_values", 32)),
    transformers_family("Swin V2", "Swinv2Model", "Swinv2Config", SWIN, images("pixel_values", 32)),
    transformers_family("SegFormer", "SegformerModel", "SegformerConfig", SEGFORMER, images("pixel_values", 64)),
    transformers_family(
        "PVT",
        "PvtModel",
        "PvtConfig",
        {
            "image_size": 32,
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 4],
            "sequence_reduction_ratios": [4, 2, 1, 1],
            "initializer_range": 0.2,
        },
        images("pixel_values", 32),
    ),
    transformers_family(
        "Hiera",
        "HieraModel",
        "HieraConfig",
        {
            "embed_dim": 16,
            "image_size": [32, 32],
            "depths": [1, 1],
            "num_heads": [2, 4],
            "query_stride": [2, 2],
            "masked_unit_size": [4, 4],
            "masked_unit_attention": [True, False],
            "num_query_pool": 1,
            "initializer_range": 0.2,
        },
        images("pixel_values", 32),
    ),
    transformers_family(
        "SAM, vision",
        "SamVisionModel",
        "SamVisionConfig",
        {
            **_without(SIZES, "vocab_size"),
            **PATCHES,
            "window_size": 2,
            "global_attn_indexes": [1],
            "output_channels": 16,
        },
        images("pixel_values", 32),
    ),
    transformers_family(
        "SigLIP, vision",
        "SiglipVisionModel",
        "SiglipVisionConfig",
        {**_without(SIZES, "vocab_size"), **PATCHES},
        images("pixel_values", 32),
    ),
    transformers_family("CLIP", "CLIPModel", "CLIPConfig", _towers({}), words_and_pictures),
    transformers_family(
        "BLIP",
        "BlipForImageTextRetrieval",
        "BlipConfig",
        {
            "text_config": {**SIZES, "encoder_hidden_size": WIDTH},
            "vision_config": {**_without(SIZES, "vocab_size"), **PATCHES},
            "image_text_hidden_size": 16,
        },
        words_and_pictures,
    ),
    transformers_family(
        "DETR",
        "DetrModel",
        "DetrConfig",
        {
            **_without(SPLIT, "vocab_size", "max_position_embeddings"),
            "num_queries": 4,
            "use_timm_backbone": False,
            "use_pretrained_backbone": False,
            "backbone_config": {
                "model_type": "resnet",
                "embedding_size": 8,
                "hidden_sizes": [8, 8],
                "depths": [1, 1],
                "layer_type": "basic",
                "out_features": ["stage2"],
            },
            "backbone": None,
        },
        images("pixel_values", 32),
    ),
    transformers_family(
        "TrOCR decoder",
        "TrOCRForCausalLM",
        "TrOCRConfig",
        {
            **_without(SPLIT, "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"),
            "cross_attention_hidden_size": 24,
        },
        lambda count: {**tokens(count), "encoder_hidden_states": torch.randn(count, 5, 24, generator=randomly(count))},
    ),
)
SOUNDS = (
    transformers_family("Wav2Vec2", "Wav2Vec2Model", "Wav2Vec2Config", {**SIZES, **WAVES}, sounds(320)),
    transformers_family("HuBERT", "HubertModel", "HubertConfig", {**SIZES, **WAVES}, sounds(320)),
    transformers_family("WavLM", "WavLMModel", "WavLMConfig", {**SIZES, **WAVES}, sounds(320)),
    transformers_family(
        "Whisper",
        "WhisperModel",
        "WhisperConfig",
        {
            **_without(SPLIT, "max_position_embeddings"),
            "num_mel_bins": 8,
            "max_source_positions": 10,
            "max_target_positions": 20,
            "begin_suppress_tokens": None,
            "suppress_tokens": None,
        },
        lambda count: {
            "input_features": torch.randn(count, 8, 20, generator=randomly(count)),
            "decoder_input_ids": tokens(count)["input_ids"],
        },
    ),
    transformers_family(
        "AST",
        "ASTModel",
        "ASTConfig",
        {
            **_without(SIZES, "vocab_size"),
            "num_mel_bins": 16,
            "max_length": 32,
            "patch_size": 8,
            "frequency_stride": 8,
            "time_stride": 8,
        },
        lambda count: {"input_values": torch.randn(count, 32, 16, generator=randomly(count))},
    ),
)


def _caformer() -> nn.Module:
    from timm.models.metaformer import Attention, LayerNorm2dNoBias, LayerNormNoBias, MetaFormer, SepConv

    built: nn.Module = MetaFormer(
        depths=(1, 1, 1, 1),
        dims=(16, 16, 32, 32),
        token_mixers=[SepConv, SepConv, Attention, Attention],
        norm_layers=[LayerNorm2dNoBias, LayerNorm2dNoBias, LayerNormNoBias, LayerNormNoBias],
        num_classes=5,
    )
    return built


def _mvit() -> nn.Module:
    from timm.models.mvitv2 import MultiScaleVit, MultiScaleVitCfg

    sizes = MultiScaleVitCfg(depths=(1, 1), embed_dim=16, num_heads=1, stride_q=((1, 1), (2, 2)))
    built: nn.Module = MultiScaleVit(sizes, img_size=64, num_classes=5)
    return built


PLAIN: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
TIMM = (
    timm_family("vit_tiny_patch16_224", **PLAIN),
    timm_family("vit with registers and q_norm", of="vit_small_patch16_224", qk_norm=True, reg_tokens=2, **PLAIN),
    timm_family("deit_tiny_distilled_patch16_224", **PLAIN),
    timm_family("beit_base_patch16_224", **PLAIN),
    timm_family("beitv2_base_patch16_224", **PLAIN),
    timm_family("eva02_tiny_patch14_224", **PLAIN),
    timm_family("eva, separate", of="eva02_tiny_patch14_224", **PLAIN, qkv_fused=False),
    timm_family("eva, fused", of="eva02_tiny_patch14_224", **PLAIN, qkv_fused=True),
    timm_family("vit_relpos_small_patch16_224", **PLAIN),
    timm_family(
        "samvit_base_patch16",
        img_size=64,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=4,
        window_size=4,
        global_attn_indexes=(1,),
    ),
    timm_family("cait_xxs24_224", **PLAIN),
    timm_family("xcit_nano_12_p16_224", img_size=32, patch_size=16, embed_dim=32, depth=2, num_heads=4),
    timm_family("convit_tiny", **PLAIN),
    timm_family(
        "crossvit_9_240",
        img_size=32,
        patch_size=(8, 16),
        embed_dim=(16, 32),
        depth=((1, 1, 0),),
        num_heads=(2, 4),
        mlp_ratio=(2, 2, 1),
    ),
    timm_family(
        "swin_tiny_patch4_window7_224",
        img_size=32,
        patch_size=2,
        embed_dim=16,
        depths=(2, 1),
        num_heads=(2, 4),
        window_size=4,
    ),
    timm_family(
        "swinv2_tiny_window8_256",
        img_size=32,
        patch_size=2,
        embed_dim=16,
        depths=(2, 1),
        num_heads=(2, 4),
        window_size=4,
    ),
    timm_family(
        "swinv2_cr_tiny_224", img_size=32, patch_size=2, embed_dim=16, depths=(2, 1), num_heads=(2, 4), window_size=4
    ),
    timm_family(
        "pvt_v2_b0", 64, depths=(1, 1, 1, 1), embed_dims=(8, 16, 24, 32), num_heads=(1, 2, 2, 4), sr_ratios=(4, 2, 1, 1)
    ),
    timm_family(
        "twins_svt_small",
        img_size=64,
        depths=(2, 2),
        embed_dims=(16, 32),
        num_heads=(2, 4),
        mlp_ratios=(2, 2),
        sr_ratios=(4, 2),
        wss=(4, 4),
    ),
    timm_family(
        "twins_pcpvt_small",
        img_size=64,
        depths=(1, 1, 1, 1),
        embed_dims=(8, 16, 24, 32),
        num_heads=(1, 2, 2, 4),
        mlp_ratios=(2, 2, 2, 2),
    ),
    timm_family(
        "tiny_vit_5m_224",
        64,
        embed_dims=(16, 16, 32, 32),
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 4, 4),
        window_sizes=(4, 4, 4, 2),
    ),
    timm_family("efficientformer_l1", 224, embed_dims=(16, 16, 32, 32), depths=(1, 1, 1, 2)),
    timm_family("efficientformerv2_s0", 224, embed_dims=(16, 16, 32, 32), depths=(1, 1, 1, 2)),
    timm_family("maxvit_rmlp_pico_rw_256", 64, img_size=64, depths=(1, 1, 1, 1), embed_dim=(32, 32, 64, 64)),
    timm_family("maxvit_tiny_tf_224", 64, img_size=64, depths=(1, 1, 1, 1), embed_dim=(32, 32, 64, 64)),
    timm_family("coatnet_nano_rw_224", 64, img_size=64, depths=(1, 1, 1, 1), embed_dim=(32, 32, 64, 64)),
    timm_class(
        "nest_tiny", "models.nest.Nest", 64, img_size=64, embed_dims=(16, 16, 32), num_heads=(2, 2, 4), depths=(1, 1, 1)
    ),
    timm_family("davit_tiny", 64, embed_dims=(16, 32), depths=(1, 1), num_heads=(2, 4)),
    Family("mvitv2_tiny", "timm", _mvit, images("x", 64)),
    timm_family(
        "hiera_tiny_224",
        64,
        img_size=(64, 64),
        stages=(1, 1),
        embed_dim=16,
        num_heads=2,
        q_pool=1,
        mask_unit_size=(4, 4),
    ),
    timm_class(
        "gcvit_xxtiny",
        "models.gcvit.GlobalContextVit",
        64,
        img_size=64,
        embed_dim=16,
        depths=(2, 2),
        num_heads=(2, 4),
        window_ratio=(16, 16),
    ),
    timm_family("edgenext_xx_small", 64, dims=(16, 16, 32, 32), depths=(1, 1, 2, 2)),
    timm_family("coat_lite_tiny", 64, img_size=64, embed_dims=(16, 16, 32, 32), serial_depths=(1, 1, 1, 1)),
    timm_family(
        "tnt_s_legacy_patch16_224",
        32,
        img_size=32,
        patch_size=16,
        embed_dim=32,
        inner_dim=8,
        num_heads_inner=2,
        depth=2,
        num_heads_outer=4,
    ),
    timm_class(
        "volo_d1_224",
        "models.volo.VOLO",
        64,
        (1, 1, 1, 1),
        img_size=64,
        use_aux_head=False,
        embed_dims=(16, 32, 32, 32),
        num_heads=(2, 4, 4, 4),
    ),
    timm_family("levit_128s", 224, embed_dim=(16, 16, 32), depth=(1, 1, 1), num_heads=(2, 2, 4), key_dim=8),
    timm_family("fastvit_sa12", 64, embed_dims=(16, 16, 32, 32), layers=(1, 1, 1, 1)),
    Family("caformer_s18", "timm", _caformer, images("x", 64)),
    timm_family("vit_base_patch16_siglip_224", **PLAIN),
    timm_family("resnet18"),
)


class Contrastive(nn.Module):
    """A tower as OpenCLIP builds it: residual blocks around `nn.MultiheadAttention`, batch first or sequence first."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.attention = nn.ModuleList(nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, 5) of x (batch, tokens, width)."""
        x = x if self.batch_first else x.transpose(0, 1)
        for norm, attention in zip(self.norms, self.attention, strict=True):
            read = norm(x)
            x = x + attention(read, read, read, need_weights=False)[0]
        pooled = x.mean(1 if self.batch_first else 0)
        logits: Tensor = self.head(pooled)
        return logits


class OtherWidths(nn.Module):
    """Cross-attention of torch whose keys and values are of another width than its queries."""

    def __init__(self, read: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, kdim=read, vdim=read, batch_first=True)
        self.width = read

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) of x (batch, tokens, width)."""
        read = x[..., : self.width]
        output: Tensor = self.attention(x, read, read, need_weights=False)[0]
        return output


def _sequences(name: str) -> Callable[[int], Inputs]:
    return lambda count: {name: torch.randn(count, TOKENS, WIDTH, generator=randomly(count))}


TORCH = (
    torch_family("OpenCLIP's attention", lambda: Contrastive(True), _sequences("x")),
    torch_family("OpenCLIP's attention, sequence first", lambda: Contrastive(False), _sequences("x")),
    torch_family(
        "nn.TransformerEncoder",
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, batch_first=True), LAYERS, enable_nested_tensor=False
        ),
        _sequences("src"),
    ),
    torch_family("nn.MultiheadAttention of other widths", lambda: OtherWidths(24), _sequences("x")),
)
FAMILIES: tuple[Family, ...] = (*TEXT, *DECODERS, *PICTURES, *SOUNDS, *TIMM, *TORCH)
