"""Where and how precisely a race computes."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch

import replora
from replora.options import SpecError


def choose_device(wanted: str) -> torch.device:
    """The device of a setting: auto takes CUDA, then MPS, then the CPU. `SpecError` where it is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        wanted = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[wanted]:
        present = ", ".join(name for name, here in there.items() if here)
        raise SpecError(f"device must be one of those of this machine ({present}) or auto, got {wanted}.")
    return torch.device(wanted)


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The type of matrix products: auto is bfloat16 where the device multiplies it faster, else float32."""
    if wanted == "auto":
        return torch.bfloat16 if multiplies_bfloat16_faster(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]


def multiplies_bfloat16_faster(device: torch.device) -> bool:
    """CUDA from compute capability 8; CPUs with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        facts = torch.cpu.get_capabilities()
        return bool(facts.get("avx512_bf16") or facts.get("amx_bf16"))
    return False


def is_of_one_type(device: torch.device) -> bool:
    """Whether rows and frozen weights are of the products' type, so that a step casts nothing on the way.

    Between products, too, bfloat16 is then what is kept; sums over tokens and classes are float32's. On MPS autocast
    casts instead.
    """
    return device.type in ("cpu", "cuda")


def device_name(device: torch.device) -> str:
    """The device in words, for the card of a race."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    return f"CPU ({platform.machine()})"


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    packages = {name: version(name) for name in ("torch", "timm", "transformers")}
    return {"replora": replora.__version__, "python": platform.python_version(), **packages}


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Same inputs, same bits: deterministic kernels on CUDA for the length of the block. The CPU's are already."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    settings: Any = torch.utils.deterministic
    before, filled = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    settings.fill_uninitialized_memory = False  # a sixth of a step's time, and nothing here reads what it never wrote
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        settings.fill_uninitialized_memory = filled
