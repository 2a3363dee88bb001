"""The files of a PEFT folder: their names and limits, opened without trust.

safetensors only; the size of a file is checked before it is opened, and what its configuration says before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from replora.config import AlphaOver, alpha_divisor
from replora.options import UserError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
COMPILED = "_orig_mod"  # under which torch.compile keeps the module that it wraps
MAX_RANK = 256
MAX_CONFIG_BYTES = 1 << 20
MAX_WEIGHT_BYTES = 1 << 30
PLAIN_ONLY: dict[str, tuple[Any, ...]] = {  # what a plain LoRA says of each option, if it says anything
    "use_dora": (False, None),
    "bias": ("none", None),
    "fan_in_fan_out": (False, None),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "layer_replication": (None,),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, []),
}


class AdapterFileError(UserError):
    """An adapter file that cannot be read or does not fit the model."""


@dataclass(frozen=True)
class FolderConfig:
    """What adapter_config.json says of a plain LoRA. beside: the modules that go along with the adapters."""

    rank: int
    alpha: float
    beside: tuple[str, ...]
    alpha_over: AlphaOver = "rank"
    task_type: str | None = None

    @property
    def scaling(self) -> float:
        """alpha / rank, or alpha / sqrt(rank) of an rsLoRA."""
        return self.alpha / alpha_divisor(self.rank, self.alpha_over)


def read_config(folder: Path) -> FolderConfig:
    """adapter_config.json, checked to be that of a plain LoRA."""
    path = inside(folder, CONFIG_FILE)
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise AdapterFileError(f"{CONFIG_FILE} must have at most {MAX_CONFIG_BYTES:,} bytes.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterFileError(f"{CONFIG_FILE} cannot be read: {error}.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise AdapterFileError(f"{CONFIG_FILE} must describe a LoRA (peft_type LORA).")
    for name, plain in PLAIN_ONLY.items():
        if config.get(name) not in plain:
            raise AdapterFileError(f"{name} must be {plain[0]!r} for a plain LoRA, got {str(config[name])[:40]!r}.")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= 2 * MAX_RANK:
        raise AdapterFileError(f"r must be a whole number from 1 to {2 * MAX_RANK}, got {str(rank)[:40]}.")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= 1e6:
        raise AdapterFileError(f"lora_alpha must be a number above 0 and up to 1e6, got {str(alpha)[:40]}.")
    beside = config.get("modules_to_save") or []
    if not isinstance(beside, list) or not all(isinstance(name, str) and name for name in beside):
        raise AdapterFileError("modules_to_save must be a list of names.")
    root = config.get("use_rslora") or False
    if not isinstance(root, bool):
        raise AdapterFileError(f"use_rslora must be true or false, got {str(root)[:40]!r}.")
    task = config.get("task_type")
    if task is not None and not isinstance(task, str):
        raise AdapterFileError(f"task_type must be a name, got {str(task)[:40]}.")
    return FolderConfig(rank, float(alpha), tuple(beside), "root" if root else "rank", task)


def plain_name(path: str) -> str:
    """The name of a module or parameter as it is without torch.compile."""
    return ".".join(part for part in path.split(".") if part != COMPILED)


def inside(folder: Path, name: str) -> Path:
    """A regular file of the folder itself: no link may lead out of it."""
    path = folder / name
    if not folder.is_dir():
        raise AdapterFileError(f"An adapter must be a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, got {folder.name}.")
    if not path.is_file():
        others = sorted(path.name for path in folder.iterdir())[:5]
        raise AdapterFileError(f"The folder {folder.name} has no {name} (it has {', '.join(others) or 'nothing'}).")
    if path.resolve().parent != folder.resolve():
        raise AdapterFileError(f"{name} leads out of the folder {folder.name}.")
    return path


@contextmanager
def open_weights(path: Path) -> Iterator[Any]:
    """A safetensors file, its header read and its size checked."""
    path = inside(path.parent, path.name)
    if path.stat().st_size > MAX_WEIGHT_BYTES:
        raise AdapterFileError(f"{path.name} must have at most {MAX_WEIGHT_BYTES:,} bytes.")
    try:
        with safe_open(path, framework="pt") as weights:
            yield weights
    except (SafetensorError, OSError) as error:
        raise AdapterFileError(f"{path.name} is no readable safetensors file: {error}.") from error


def shapes_of(weights: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors, from the header."""
    return {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118 (not a mapping)
