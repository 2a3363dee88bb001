"""A PEFT folder of a model of the Llama family as one GGUF file, which llama.cpp adds to that model (`--lora FILE`).

llama.cpp turns neighbouring numbers of a head by their position where transformers turns its two halves, so the rows of
a query's weight stand in another order there, and with them those of its B.
"""

from __future__ import annotations

import json
import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from replora.adapters.peft.folder import CONFIG_FILE, WEIGHTS_FILE
from replora.backbones.base import BackboneError

WRITER = "gguf"  # llama.cpp's own package for such files
GGUF_FILE = "adapter.gguf"
ARCHITECTURES = {"LlamaForCausalLM": "llama", "MistralForCausalLM": "llama"}
LAYER = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.self_attn\.([qv])_proj\.lora_([AB])\.weight")


def can_write(model: object) -> bool:
    """Whether the package that writes such files is installed, and the model is one that they are for."""
    return type(model).__name__ in ARCHITECTURES and find_spec(WRITER) is not None


def save_gguf(folder: Path, model: Any) -> Path:
    """Write `adapter.gguf` into a folder of `save_peft`, of the same A and B; `model`: which the folder belongs to.

    Tensors blk.N.attn_q.weight.lora_a (r, in_features) and .lora_b (out_features, r), as llama.cpp's converter writes
    them. Raises `BackboneError` for a folder that holds more than A and B of query and value.
    """
    import gguf

    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    rank = config["r"]
    scaling = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    writer = gguf.GGUFWriter(folder / GGUF_FILE, ARCHITECTURES[type(model).__name__])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, scaling * rank)
    for key, values in sorted(load_file(folder / WEIGHTS_FILE).items()):
        found = LAYER.fullmatch(key)
        if found is None:
            raise BackboneError(f"{key} has no place in a GGUF adapter: A and B of query and value have.")
        block, projection, side = found.groups()
        if (projection, side) == ("q", "B"):
            values = interleaved(values, model.config.num_attention_heads)
        writer.add_tensor(f"blk.{block}.attn_{projection}.weight.lora_{side.lower()}", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / GGUF_FILE


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows (heads * head_dim, ...), of which each head's second half comes between those of its first."""
    halves = rows.reshape(heads, 2, len(rows) // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))
