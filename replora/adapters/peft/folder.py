"""The files of a PEFT folder: their names and limits, opened without trust.

safetensors only; the size of a file is checked before it is opened, and what its header says before a tensor is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from replora.adapters.attach import ADAPTER_NAME
from replora.options import SHORT, UserError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
WHOLE_MODEL = "model.safetensors"
PREFIX = "base_model.model."
COMPILED = "_orig_mod"  # under which torch.compile keeps the module that it wraps
MAX_RANK = 256
MAX_WEIGHT_BYTES = 1 << 30
LONGEST_NAME = 200
FLOATS = ("F64", "F32", "F16", "BF16")


class AdapterFileError(UserError):
    """An adapter file that cannot be read or does not fit the model."""


def plain_name(path: str) -> str:
    """The name of a module or parameter as it is without torch.compile."""
    return ".".join(part for part in path.split(".") if part != COMPILED)


def shown(name: str) -> str:
    """A name out of a folder, fit for a sentence."""
    return name if len(name) <= LONGEST_NAME and name.isprintable() else SHORT.repr(name)


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of a model by their plain names, those that several names have under each of them."""
    return {plain_name(path): module for path, module in model.named_modules(remove_duplicate=False)}


def inside(folder: Path, name: str) -> Path:
    """A regular file of the folder itself; a link may lead to the blobs of the hub's cache that the folder is in."""
    path = folder / name
    try:
        if not folder.is_dir():
            raise AdapterFileError(
                f"An adapter must be a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, got {shown(folder.name)}."
            )
        if not path.is_file():
            raise AdapterFileError(_absent(folder, name))
        home = folder.resolve()
        blobs = [above.parent / "blobs" for above in home.parents if above.name == "snapshots"]
        if path.resolve().parent not in (home, *blobs):
            raise AdapterFileError(f"{name} leads out of the folder {shown(folder.name)}.")
    except OSError as error:
        raise AdapterFileError(f"The folder {shown(folder.name)} cannot be read: {error.strerror}.") from error
    return path


def _absent(folder: Path, name: str) -> str:
    """What a folder has instead of a file, and what to do about it where it is something that people have."""
    others = sorted(path.name for path in folder.iterdir())
    said = f"The folder {shown(folder.name)} has no {name} (it has {', '.join(map(shown, others[:5])) or 'nothing'})"
    if "adapter_model.bin" in others:
        return f"{said}: adapter_model.bin is a pickle, which may run code; load it with PEFT and save it again."
    if any(other.startswith("adapter_model-00001-of-") for other in others):
        return f"{said}: weights in several files are not read; save them as one."
    if "snapshots" in others:
        return f"{said}: it is a folder of the hub's cache; name the one inside of its snapshots."
    if WHOLE_MODEL in others and _holds_our_state(folder / WHOLE_MODEL):
        return (
            f"{said}: {WHOLE_MODEL} is the whole state of an adapted model in training; attach the same Method to the "
            "model and give that file's tensors to load_state_dict."
        )
    return f"{said}."


def _holds_our_state(path: Path) -> bool:
    """Whether a file of a whole model, as transformers' Trainer writes it, is that of an adapted one."""
    try:
        with safe_open(path, framework="pt") as weights:
            return any(f"{ADAPTER_NAME}." in key for key in weights.keys())  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError):
        return False


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


def numbers(weights: Any, key: str, like: Tensor | None = None) -> Tensor:
    """A tensor of the file; `AdapterFileError` unless it holds finite floating-point numbers.

    like: what it is to replace in the model; whole numbers are taken for whole numbers.
    """
    kind = weights.get_slice(key).get_dtype()
    if like is not None and not like.is_floating_point():
        values: Tensor = weights.get_tensor(key)
        if values.dtype != like.dtype:
            raise AdapterFileError(f"{key} must hold {like.dtype} as the model does, got {kind}.")
        return values
    if kind not in FLOATS:
        raise AdapterFileError(f"{key} must hold floating-point numbers ({', '.join(FLOATS)}), got {kind}.")
    values = weights.get_tensor(key)
    if not torch.isfinite(values.float()).all():
        raise AdapterFileError(f"{key} holds numbers that are not finite.")
    return values
