"""Backbones: a frozen pretrained model with a prefix that is computed once an example and a suffix that is adapted.

`prefix` runs all that stands before the adapted blocks, `features` the rest. Both work on rows: a dict of tensors with
one row an example, so that a cache can keep them.
"""

from __future__ import annotations

from replora.backbones.base import Backbone, BackboneError, Rows, use_plain_attention
from replora.backbones.causal import CausalLM
from replora.backbones.loading import load_backbone
from replora.backbones.pictures import TimmViT, TransformersVision
from replora.backbones.texts import TransformersText

__all__ = [
    "Backbone",
    "BackboneError",
    "CausalLM",
    "Rows",
    "TimmViT",
    "TransformersText",
    "TransformersVision",
    "load_backbone",
    "use_plain_attention",
]
