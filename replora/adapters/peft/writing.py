"""An adapted model as a standard PEFT LoRA folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from replora.adapters.attach import adapter_of
from replora.adapters.linear import LowRankLinear
from replora.adapters.peft.beside import biases_of, state_of, to_save
from replora.adapters.peft.folder import COMPILED, CONFIG_FILE, PREFIX, WEIGHTS_FILE, modules_of, plain_name
from replora.adapters.peft.origin import origin_of
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
        for path, layer in _adapted_layers(adapted):
            a, b = layer.update(factors.at(layer.layer))
            targets.append(plain_name(path))
            tensors[f"{PREFIX}{targets[-1]}.lora_A.weight"] = a[run]
            tensors[f"{PREFIX}{targets[-1]}.lora_B.weight"] = b[run]
        rank = a.shape[1]
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
            folder.rmdir()
        raise
    return folder


def _alpha(scaling: float, divisor: float) -> float:
    """The shortest alpha of this scaling, which is held in single precision; a whole number is an int, as in PEFT."""
    rounded = (float(f"{scaling * divisor:.{digits}g}") for digits in range(1, 18))
    alpha = next(each for each in rounded if np.float32(each / divisor) == np.float32(scaling))
    return int(alpha) if alpha.is_integer() else alpha


def _adapted_layers(adapted: nn.Module) -> Iterator[tuple[str, LowRankLinear]]:
    for path, module in adapted.named_modules():
        if isinstance(module, LowRankLinear):
            yield path, module
