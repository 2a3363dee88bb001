"""An adapted model as a standard PEFT LoRA folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from replora.adapters.attach import AdapterError, adapter_of
from replora.adapters.linear import LowRankLinear, LowRankUpdate, LowRankWeight
from replora.adapters.peft.beside import biases_of, state_of, to_save
from replora.adapters.peft.folder import COMPILED, CONFIG_FILE, PREFIX, WEIGHTS_FILE, modules_of, plain_name
from replora.adapters.peft.origin import origin_of
from replora.adapters.sites import TOGETHER
from replora.config import alpha_divisor
from replora.options import SpecError


def save_peft(adapted: nn.Module, folder: str | Path, run: int = 0) -> Path:
    """Write run `run` of an adapted model as a PEFT LoRA folder; modules that train beside the adapters go along.

    So does the head that PEFT wants of a classifier, trained or not: a base model without one would draw its own.

    `peft.PeftModel.from_pretrained(base_model, folder)` then gives the same logits, and so does the `AutoPeftModel` of
    the task where the base model is one of transformers with a name or folder. Returns the folder.
    Nothing is written, and no folder made, where it fails. Raises `AdapterError` for a model without adapters or with a
    trained parameter that no such module holds, `SpecError` for a run it does not have.
    """
    adapted = getattr(adapted, COMPILED, adapted)
    adapter = adapter_of(adapted)
    factors = adapter.factors
    if not 0 <= run < factors.runs:
        raise SpecError(f"run must be a whole number from 0 to {factors.runs - 1}, got {run}.")
    tensors: dict[str, Tensor] = {}
    targets = []
    with torch.no_grad():
        pairs = {path: _pair(layer, run) for path, layer in _adapted_layers(adapted)}
        rank = max(len(a) for a, _ in pairs.values())
        for path, (a, b) in pairs.items():
            targets.append(plain_name(path))
            start, missing = f"{PREFIX}{targets[-1]}", rank - len(a)  # fused layers hold the ranks of two projections
            tensors[f"{start}.lora_A.weight"] = nn.functional.pad(a, (0, 0, 0, missing))
            tensors[f"{start}.lora_B.weight"] = nn.functional.pad(b, (0, missing))
            tensors |= _beside_bare(adapted.get_submodule(path), start, rank)
    origin = origin_of(adapted)
    listed, beside = to_save(adapted, origin["task_type"])
    modules = modules_of(adapted)
    for name in beside:
        tensors |= {f"{PREFIX}{name}.{key}": value for key, value in state_of(modules[name]).items()}
    if adapter.bias != "none":
        tensors |= biases_of(adapted, adapter.bias)
    config = {
        "peft_type": "LORA",
        **origin,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": _alpha(float(factors.scaling[run]), alpha_divisor(rank, factors.alpha_over)),
        "lora_dropout": 0.0,
        "bias": adapter.bias,
        "target_modules": targets,
        "modules_to_save": listed or None,
    }
    if any(isinstance(layer, LowRankLinear) and layer.transposed for _, layer in _adapted_layers(adapted)):
        config["fan_in_fan_out"] = True
    if factors.alpha_over == "root":
        config["use_rslora"] = True
    # A tied matrix is written once for each module that holds it: safetensors refuses shared memory.
    return _write(
        Path(folder), {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}, config
    )


def _write(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """Both files, each put in its place when it is whole; where that fails no new folder stays."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            save_file(dict(tensors), Path(unfinished, WEIGHTS_FILE), metadata={"format": "pt"})
            Path(unfinished, CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            for name in (WEIGHTS_FILE, CONFIG_FILE):
                os.replace(Path(unfinished, name), folder / name)
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _alpha(scaling: float, divisor: float) -> float:
    """The shortest alpha of this scaling, which is held in single precision; a whole number is an int, as in PEFT."""
    rounded = (float(f"{scaling * divisor:.{digits}g}") for digits in range(1, 18))
    alpha = next(each for each in rounded if np.float32(each / divisor) == np.float32(scaling))
    return int(alpha) if alpha.is_integer() else alpha


def _adapted_layers(adapted: nn.Module) -> Iterator[tuple[str, LowRankUpdate]]:
    """All updates, by the path of the layer that PEFT is to adapt; `AdapterError` where PEFT cannot do it."""
    for path, module in adapted.named_modules():
        if isinstance(module, LowRankLinear):
            if module.through_weight:
                raise AdapterError(
                    f"{path} is a {type(module.base_layer).__name__} with a forward of its own, behind which PEFT "
                    "would add the update; merge the model and save that."
                )
            yield path, module
        elif isinstance(module, LowRankWeight):
            attention, _, name = path.partition(".parametrizations.")
            if not name.startswith(f"{TOGETHER}."):
                raise AdapterError(f"{attention} keeps query and value apart, which PEFT does not adapt; merge it.")
            yield attention, module


def _pair(layer: LowRankUpdate, run: int) -> tuple[Tensor, Tensor]:
    """A (r, in_features) and unscaled B (out_features, r) of one layer and run."""
    a, b = layer.update(layer.factors.at(layer.layer))
    return a[run], b[run]


def _beside_bare(module: nn.Module, start: str, rank: int) -> dict[str, Tensor]:
    """An update of zero for the output projection of `nn.MultiheadAttention`, which PEFT always adapts as well."""
    if not isinstance(module, nn.MultiheadAttention):
        return {}
    out_features, in_features = module.out_proj.weight.shape
    start = f"{start}.base_layer.out_proj"
    return {
        f"{start}.lora_A.weight": torch.zeros(rank, in_features),
        f"{start}.lora_B.weight": torch.zeros(out_features, rank),
    }
