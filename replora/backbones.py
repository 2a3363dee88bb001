"""Backbones: a frozen pretrained model with a prefix that is computed once an example and a suffix that is adapted.

`prefix` runs all that stands before the adapted blocks, `features` the rest. Both work on rows: a dict of tensors with
one row an example, so that a cache can keep them.
"""

from __future__ import annotations

import copy
import inspect
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from replora.adapters.attach import find_attention
from replora.catalog import ASSETS, BACKBONES, MAX_TOKENS, Modality
from replora.hub.download import Downloads, reachable
from replora.hub.names import is_downloaded
from replora.options import UserError

Rows = dict[str, Tensor]


class BackboneError(UserError):
    """A backbone that cannot be had or used."""


class Backbone(ABC):
    """A frozen model and how examples pass through it. `model` may be swapped for its adapted copy."""

    modality: Modality
    width: int

    def __init__(self, name: str, model: nn.Module) -> None:
        self.name = name
        self.model = model.requires_grad_(False).eval()
        self.blocks = len(find_attention(model))

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def with_model(self, model: nn.Module) -> Backbone:
        """The same backbone around another model of the same class (its adapted copy, say)."""
        other = copy.copy(self)
        other.model = model
        return other

    @abstractmethod
    def encode(self, examples: Sequence[Any]) -> Rows:
        """Inputs of the model for raw examples (encoded images or texts), on the CPU, one row an example."""

    @abstractmethod
    def prefix(self, inputs: Rows, first: int) -> Rows:
        """What stands before block `first`, for inputs on the model's device: the rows that `features` goes on from."""

    @abstractmethod
    def features(self, rows: Rows, first: int) -> Tensor:
        """Pooled features (rows, width) from the rows of `prefix` with the same `first`."""


class TimmViT(Backbone):
    """timm's VisionTransformer, any size: the rows are the tokens before block `first`."""

    modality: Modality = "image"

    def __init__(self, name: str, model: nn.Module) -> None:
        for part in ("patch_embed", "_pos_embed", "patch_drop", "norm_pre", "blocks", "norm", "forward_head"):
            if not hasattr(model, part):
                raise BackboneError(f"{name} is a {type(model).__name__}, not a timm vision transformer with blocks.")
        super().__init__(name, model)
        self.width = int(model.num_features)  # type: ignore[arg-type]
        config: Mapping[str, Any] = model.pretrained_cfg  # type: ignore[assignment]
        self.preprocess = image_preprocessor(
            tuple(config["input_size"][1:]), config["mean"], config["std"], config.get("interpolation", "bicubic")
        )

    def encode(self, examples: Sequence[bytes]) -> Rows:
        return {"pixels": self.preprocess(examples)}  # (rows, 3, height, width)

    def prefix(self, inputs: Rows, first: int) -> Rows:
        model: Any = self.model
        tokens = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(inputs["pixels"]))))
        for block in model.blocks[:first]:
            tokens = block(tokens)
        return {"tokens": tokens}  # (rows, tokens, width)

    def features(self, rows: Rows, first: int) -> Tensor:
        model: Any = self.model
        tokens = rows["tokens"]
        blocks = list(model.blocks[first:])
        for block in blocks[:-1]:
            tokens = block(tokens)
        tokens = model.norm(self._last_block(blocks[-1], tokens))
        features: Tensor = model.forward_head(tokens, pre_logits=True)
        return features

    def _last_block(self, block: Any, tokens: Tensor) -> Tensor:
        """The last block; where only the class token is pooled, the other tokens end at the attention."""
        from timm.models.vision_transformer import Block

        model: Any = self.model
        if type(block) is not Block or model.global_pool != "token" or model.attn_pool is not None:
            return block(tokens)  # type: ignore[no-any-return]
        tokens = tokens + block.drop_path1(block.ls1(block.attn(block.norm1(tokens))))
        tokens = tokens[:, :1]
        return tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))  # type: ignore[no-any-return]


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

    def features(self, rows: Rows, first: int) -> Tensor:
        if self._is_bert():
            hidden = self._layers(rows, first, self.blocks)
        else:
            hidden = first_tensor(self.model(input_ids=rows["ids"], attention_mask=rows["mask"].long()))
        weights = rows["mask"].unsqueeze(-1).to(hidden.dtype)  # (rows, tokens, 1)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)

    def _is_bert(self) -> bool:
        """Whether the model is embeddings and a list of layers, as in the BERT family."""
        return hasattr(self.model, "embeddings") and hasattr(getattr(self.model, "encoder", None), "layer")

    def _layers(self, rows: Rows, start: int, stop: int) -> Tensor:
        """Hidden states (rows, tokens, width) after the layers from `start` to before `stop`."""
        model: Any = self.model
        hidden: Tensor = rows["hidden"] if "hidden" in rows else model.embeddings(input_ids=rows["ids"])
        mask = rows["mask"]
        if bool(mask.all()):
            bias, kept = None, None
        else:
            bias, kept = attention_bias(mask, hidden.dtype), mask.flatten().nonzero().flatten()
        for layer in model.encoder.layer[start:stop]:
            hidden = self._layer(layer, hidden, bias, kept)
        return hidden

    def _layer(self, layer: Any, hidden: Tensor, bias: Tensor | None, kept: Tensor | None) -> Tensor:
        """One layer; in BERT's own, padding skips all that follows the attention (three quarters of the products)."""
        from transformers.models.bert.modeling_bert import BertLayer

        if kept is None or type(layer) is not BertLayer:
            return first_tensor(layer(hidden, bias))
        context = layer.attention.self(hidden, bias)[0]  # (rows, tokens, width)
        tokens = layer.attention.output(context.flatten(0, 1)[kept], hidden.flatten(0, 1)[kept])
        tokens = layer.feed_forward_chunk(tokens)  # (kept tokens, width)
        padded: Tensor = tokens.new_zeros(hidden.shape[0] * hidden.shape[1], tokens.shape[1])
        return padded.index_copy(0, kept, tokens).view_as(hidden)


class TransformersVision(Backbone):
    """An image encoder of transformers, run whole; its class token is the feature."""

    modality: Modality = "image"

    def __init__(self, name: str, model: nn.Module, processor: Any) -> None:
        super().__init__(name, model)
        config: Any = model.config
        self.width = int(config.hidden_size)
        size = config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        self.preprocess = image_preprocessor((height, width), processor.image_mean, processor.image_std, "bicubic")

    def encode(self, examples: Sequence[bytes]) -> Rows:
        return {"pixels": self.preprocess(examples)}  # (rows, 3, height, width)

    def prefix(self, inputs: Rows, first: int) -> Rows:
        return inputs

    def features(self, rows: Rows, first: int) -> Tensor:
        return first_tensor(self.model(pixel_values=rows["pixels"]))[:, 0]


def use_plain_attention(model: nn.Module) -> None:
    """Attention as matrix products and a softmax: on CPUs and for short sequences faster than the fused kernel.

    Forward and backward on two cores, 16 sequences of 32 tokens, 12 heads: 1.1 against 2.4 ms in float32, 0.9 against
    6.0 ms in bfloat16.
    """
    for module in model.modules():
        if isinstance(getattr(module, "fused_attn", None), bool):
            module.fused_attn = False  # type: ignore[assignment]
    if hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")  # type: ignore[operator]


def first_tensor(output: Any) -> Tensor:
    """The hidden states of a transformers layer or model, whatever it wraps them in."""
    return output if isinstance(output, Tensor) else output[0]


def attention_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The additive mask (rows, 1, 1, tokens) of a boolean one (rows, tokens)."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)[
        :, None, None
    ]


def image_preprocessor(
    size: tuple[int, int], mean: Sequence[float], std: Sequence[float], interpolation: str
) -> Callable[[Sequence[bytes]], Tensor]:
    """From encoded images to normalised pixels (images, 3, height, width)."""
    height, width = size
    resampling = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[interpolation]
    shift, scale = (torch.tensor(each).view(3, 1, 1) for each in (mean, std))

    def preprocess(images: Sequence[bytes]) -> Tensor:
        pixels = np.empty((len(images), height, width, 3), dtype=np.uint8)
        for place, encoded in enumerate(images):
            with Image.open(io.BytesIO(encoded)) as image:
                pixels[place] = np.asarray(image.convert("RGB").resize((width, height), resampling))
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return (scaled - shift) / scale

    return preprocess


def load_backbone(name: str) -> Backbone:
    """A backbone by name: embedded, 'timm:NAME', 'hf:ID' or 'local:FOLDER', in float32 on the CPU.

    Raises `BackboneError` where the name is unknown, the files are missing or damaged, or a needed download fails.
    """
    if name in BACKBONES:
        return _load_folder(name, ASSETS / BACKBONES[name].folder)
    kind, _, rest = name.partition(":")
    if kind not in LOADERS or not rest:
        raise BackboneError(
            f"backbone must be one of auto, {', '.join(BACKBONES)}, timm:NAME, hf:ID, local:FOLDER; got {name!r}."
        )
    return LOADERS[kind](name, rest)


@contextmanager
def _loading(name: str, advice: str) -> Iterator[None]:
    """Turn whatever the libraries raise on missing or damaged files, each with types of its own, into one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise BackboneError(f"{name} cannot be loaded: {advice} ({reason})") from error


@contextmanager
def _hub(name: str) -> Iterator[None]:
    """The hub's cache alone where that has all, where this server downloads nothing, or where the hub is out of reach.

    Without this, offline answers take minutes of retries.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    closed = before or is_downloaded(name) or Downloads.from_environment().downloads == "off"
    constants.HF_HUB_OFFLINE = closed or not reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _load_folder(name: str, folder: Path) -> Backbone:
    """A folder with config.json: timm's in the form of the embedded one ('library': 'timm'), or transformers' own."""
    with _loading(name, "the folder needs a readable config.json and model.safetensors."):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("library") != "timm":
            return _from_transformers(name, str(folder), local=True)
        import timm

        model = timm.create_model(config["architecture"], pretrained=False, **config["model_args"])
        model.pretrained_cfg = {**model.pretrained_cfg, **config["pretrained_cfg"]}
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return TimmViT(name, model)


def _load_timm(name: str, rest: str) -> Backbone:
    import timm

    with (
        _loading(name, "it needs a download from the hub, which did not succeed, or timm does not know it."),
        _hub(name),
    ):
        return TimmViT(name, timm.create_model(rest, pretrained=True, num_classes=0))


def _load_transformers(name: str, source: str) -> Backbone:
    with _loading(name, "it needs a download from the hub, which did not succeed, or it is no encoder."), _hub(name):
        return _from_transformers(name, source, local=False)


def _from_transformers(name: str, source: str, *, local: bool) -> Backbone:
    import transformers
    from transformers.utils import logging

    config = transformers.AutoConfig.from_pretrained(source, local_files_only=local)
    model_class = transformers.MODEL_MAPPING[type(config)]
    # A pooler that the checkpoint lacks would be drawn at random; the features here do not use one.
    pooler = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(model_class).parameters else {}
    logging.disable_progress_bar()
    try:
        model = model_class.from_pretrained(
            source, local_files_only=local, use_safetensors=True, dtype=torch.float32, **pooler
        )
    finally:
        logging.enable_progress_bar()
    if model.main_input_name == "pixel_values":
        processor = transformers.AutoImageProcessor.from_pretrained(source, local_files_only=local)
        return TransformersVision(name, model, processor)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=local)
    return TransformersText(name, model, tokenizer)


LOADERS: dict[str, Callable[[str, str], Backbone]] = {
    "timm": _load_timm,
    "hf": _load_transformers,
    "local": lambda name, rest: _load_folder(name, Path(rest)),
}
