"""What every backbone is: a frozen model, its prefix and its suffix; and what all of them use."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from replora.adapters.sites import find_attention
from replora.catalog import Modality
from replora.options import UserError

Rows = dict[str, Tensor]
SHORT = 64  # tokens


class BackboneError(UserError):
    """A backbone that cannot be had or used."""


class Backbone(ABC):
    """A frozen model and how examples pass through it. `model` may be swapped for its adapted copy."""

    modality: Modality
    width: int
    shortcuts = True  # whether `features` may leave out what nobody reads, past the model's own modules

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

    def module_by_module(self) -> Backbone:
        """The same backbone, running the model's modules as they are: for who watches them."""
        other = copy.copy(self)
        other.shortcuts = False
        return other

    @property
    def packs(self) -> bool:
        """Whether `features` takes rows of `replora.backbones.packs` too."""
        return False

    @abstractmethod
    def encode(self, examples: Sequence[Any]) -> Rows:
        """Inputs of the model for raw examples (encoded images or texts), on the CPU, one row an example."""

    @abstractmethod
    def prefix(self, inputs: Rows, first: int) -> Rows:
        """What stands before block `first`, for inputs on the model's device: the rows that `features` goes on from."""

    @abstractmethod
    def features(self, rows: Rows, first: int) -> Tensor:
        """Features from the rows of `prefix` with the same `first`: pooled ones (rows, width), of models that continue
        texts one at each token (rows, tokens, width).
        """


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


def attention_for(tokens: Tensor) -> AbstractContextManager[object]:
    """What attention over tokens (rows, tokens, width) is computed by: on CUDA flash attention takes 128 at once.

    For shorter sequences the memory-efficient kernel, which takes 64, is the faster one.
    """
    if tokens.is_cuda and tokens.shape[1] <= SHORT:
        return sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    return nullcontext()


@contextmanager
def quietly() -> Iterator[None]:
    """Without the progress bars of transformers for the length of the block."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def first_tensor(output: Any) -> Tensor:
    """The hidden states of a transformers layer or model, whatever it wraps them in."""
    return output if isinstance(output, Tensor) else output[0]
