"""An adapted model as a standard PEFT LoRA folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from replora.adapters.attach import ADAPTER_NAME, AdapterError, adapter_of
from replora.adapters.linear import LowRankLinear
from replora.adapters.peft.folder import CONFIG_FILE, PREFIX, WEIGHTS_FILE
from replora.config import alpha_divisor
from replora.options import SpecError


def save_peft(adapted: nn.Module, folder: str | Path, run: int = 0) -> Path:
    """Write run `run` of an adapted model as a PEFT LoRA folder; modules that train beside the adapters go along.

    `peft.PeftModel.from_pretrained(base_model, folder)` then gives the same logits. Returns the folder.
    Raises `AdapterError` for a model without adapters or with a trained parameter that no such module holds,
    `SpecError` for a run it does not have.
    """
    adapter = adapter_of(adapted)
    factors = adapter.factors
    if not 0 <= run < factors.runs:
        raise SpecError(f"run must be a whole number from 0 to {factors.runs - 1}, got {run}.")
    tensors: dict[str, Tensor] = {}
    targets = []
    with torch.no_grad():
        for path, layer in _adapted_layers(adapted):
            a, b = layer.update(factors.at(layer.layer))
            tensors[f"{PREFIX}{path}.lora_A.weight"] = a[run].detach().cpu().contiguous()
            tensors[f"{PREFIX}{path}.lora_B.weight"] = b[run].detach().cpu().contiguous()
            targets.append(path)
        rank = a.shape[1]
    beside = _trained_beside(adapted)
    for name in beside:
        for key, value in adapted.get_submodule(name).state_dict().items():
            tensors[f"{PREFIX}{name}.{key}"] = value.detach().cpu().contiguous()
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": getattr(getattr(adapted, "config", None), "_name_or_path", "") or None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha_divisor(rank, factors.alpha_over) * float(factors.scaling[run]),
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets,
        "modules_to_save": beside or None,
    }
    if factors.alpha_over == "root":
        config["use_rslora"] = True
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def _adapted_layers(adapted: nn.Module) -> Iterator[tuple[str, LowRankLinear]]:
    for path, module in adapted.named_modules():
        if isinstance(module, LowRankLinear):
            yield path, module


def _trained_beside(module: nn.Module, path: str = "") -> list[str]:
    """The outermost modules, adapters aside, that hold a parameter which is trained and no adapted layer.

    Raises `AdapterError` for a trained parameter that stands in no such module: the folder has no place for it.
    """
    for name, parameter in module.named_parameters(path, recurse=isinstance(module, LowRankLinear)):
        if parameter.requires_grad:
            raise AdapterError(f"{name} is trained, but beside its adapters a PEFT folder holds whole modules only.")
    beside = []
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if inner == ADAPTER_NAME or not any(each.requires_grad for each in child.parameters()):
            continue
        if any(isinstance(each, LowRankLinear) for each in child.modules()):
            beside += _trained_beside(child, inner)
        else:
            beside.append(inner)
    return beside
