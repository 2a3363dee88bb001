"""Small models of real classes with random weights, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn


@dataclass(frozen=True)
class Example:
    """A model, inputs for `examples` examples, and how its logits are read."""

    model: nn.Module
    inputs: Callable[[int], dict[str, Tensor]]
    target_modules: list[str]

    def logits(self, model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        output: Any = model(**inputs)
        return output if isinstance(output, Tensor) else output.logits


def _tokens(count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(count)
    mask = torch.ones(count, 7, dtype=torch.long)
    mask[0, 4:] = 0
    return {"input_ids": torch.randint(0, 50, (count, 7), generator=generator), "attention_mask": mask}


def _bert() -> Example:
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        num_labels=5,
        initializer_range=0.2,
    )
    model = transformers.BertForSequenceClassification(config).eval()
    return Example(model, _tokens, ["query", "value"])


def _distilbert() -> Example:
    config = transformers.DistilBertConfig(
        vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=48, num_labels=5, initializer_range=0.2
    )
    return Example(transformers.DistilBertForSequenceClassification(config).eval(), _tokens, ["q_lin", "v_lin"])


def _grouped_query() -> Example:
    config = transformers.Qwen2Config(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        num_labels=5,
        pad_token_id=0,
        initializer_range=0.2,
    )
    return Example(transformers.Qwen2ForSequenceClassification(config).eval(), _tokens, ["q_proj", "v_proj"])


def _timm_vit() -> Example:
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=4, num_classes=5
    )

    def images(count: int) -> dict[str, Tensor]:
        return {"x": torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(count))}

    return Example(model.eval(), images, ["qkv"])


EXAMPLES = {"bert": _bert, "distilbert": _distilbert, "qwen2": _grouped_query, "timm": _timm_vit}


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    torch.manual_seed(0)
    return EXAMPLES[request.param]()


@pytest.fixture
def timm_example() -> Example:
    torch.manual_seed(0)
    return _timm_vit()


@pytest.fixture
def bert_example() -> Example:
    torch.manual_seed(0)
    return _bert()


@pytest.fixture
def grouped_query_example() -> Example:
    torch.manual_seed(0)
    return _grouped_query()
