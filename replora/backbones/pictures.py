"""Backbones for pictures: timm's vision transformer, and the image encoders of transformers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from replora.backbones.base import Backbone, BackboneError, Rows, attention_for, first_tensor
from replora.backbones.class_token import last_block, pools_class_token
from replora.catalog import Modality


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
        short = self.shortcuts and pools_class_token(model)
        with attention_for(tokens):
            for block in blocks[:-1]:
                tokens = block(tokens)
            tokens = model.norm(last_block(blocks[-1], tokens) if short else blocks[-1](tokens))
        features: Tensor = model.forward_head(tokens, pre_logits=True)
        return features


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
