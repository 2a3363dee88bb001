"""A model inside a package, read by transformers once and kept as it writes models: the second time takes a second."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from replora.backbones.base import quietly
from replora.catalog import PACKAGED
from replora.hub.packaged import check_here, is_kept, kept_folder, packaged_file


def ready_folder(name: str) -> Path:
    """The folder of a packaged model, converted now where it is not yet; `HubError` where it is not on this machine."""
    folder = kept_folder(name)
    if not is_kept(name):
        check_here(name)
        file = packaged_file(name)
        assert file is not None  # it is here, and not kept
        draft = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        draft.mkdir(parents=True)
        try:
            convert(file, draft)
            if not is_kept(name):  # by another process in the meantime
                shutil.rmtree(folder, ignore_errors=True)
                draft.rename(folder)
        except OSError:
            if not is_kept(name):  # by another process between the look and the renaming
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def convert(file: Path, folder: Path) -> None:
    """Write the model and tokenizer of a GGUF file into a folder, its quantised weights as bfloat16 numbers."""
    import transformers

    source: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(file.parent), **source)
    plain = transformers.GgufConfig(dequantize=True)
    with quietly():
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(file.parent), dtype=torch.bfloat16, quantization_config=plain, **source
        )
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def hub_name(name: str) -> str:
    """What a PEFT folder calls the base model: its name on the hub, not where it is kept here."""
    return PACKAGED[name].hub
