"""Folders as people have them, made by PEFT itself on small models with random weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from torch import Tensor, nn

SMALL = {"vocab_size": 50, "num_attention_heads": 4, "hidden_size": 32, "num_hidden_layers": 3, "intermediate_size": 48}
IDS = torch.arange(14).view(2, 7)


def _text(name: str, **more: Any) -> nn.Module:
    kind = getattr(transformers, name)
    return kind(kind.config_class(**SMALL, initializer_range=0.2, **more))


def _images(**more: Any) -> nn.Module:
    sizes = {"image_size": 16, "patch_size": 8, "initializer_range": 0.2}
    return transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL, **sizes, **more))


def _short() -> nn.Module:
    config = transformers.DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=48)
    return transformers.DistilBertForSequenceClassification(config)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "bert": lambda: _text("BertForSequenceClassification"),
    "tokens": lambda: _text("RobertaForTokenClassification", pad_token_id=0),
    "answers": lambda: _text("ElectraForQuestionAnswering"),
    "masked": lambda: _text("BertForMaskedLM", tie_word_embeddings=True),
    "llama": lambda: _text("LlamaForCausalLM", num_key_value_heads=2),
    "tied": lambda: _text("LlamaForCausalLM", tie_word_embeddings=True),
    "score": lambda: _text("Qwen2ForSequenceClassification", pad_token_id=0, num_key_value_heads=2),
    "distilbert": _short,
    "images": _images,
}


def made(name: str, dtype: torch.dtype = torch.float32) -> Any:
    """One of the models, the same each time."""
    torch.manual_seed(0)
    return MODELS[name]().eval().to(dtype)


@torch.no_grad()
def output(model: Any) -> Tensor:
    """What a model makes of two examples."""
    images = getattr(model.config, "model_type", "") == "vit"
    given = torch.linspace(-1, 1, 2 * 3 * 16 * 16).view(2, 3, 16, 16) if images else IDS
    found = model(given.to(next(model.parameters()).dtype) if images else given)
    return torch.cat([each.flatten() for each in found.to_tuple() if isinstance(each, Tensor)])


def trained(model: nn.Module, config: peft.PeftConfig) -> Any:
    """A PEFT model around a copy of `model`, everything that trains moved."""
    torch.manual_seed(1)
    wrapped = peft.get_peft_model(copy.deepcopy(model), config).eval()
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return wrapped


def written(model: nn.Module, folder: Path, **options: Any) -> Path:
    """A folder of PEFT with a LoRA of these options on `model`."""
    both = {"r": 4, "lora_alpha": 6, "target_modules": ["query", "value"]}
    more = options.pop("saved", {})
    trained(model, peft.LoraConfig(**{**both, **options})).save_pretrained(folder, **more)
    return folder


def opened(model: nn.Module, folder: Path) -> Any:
    """What PEFT makes of a folder: the oracle."""
    return peft.PeftModel.from_pretrained(copy.deepcopy(model), folder).eval()
