"""The latent state of a RepLoRA that is still to be trained on, as a file of its own: latent matrices and MLPs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from torch import nn

from replora.adapters.attach import adapter_of, attach_factors
from replora.adapters.direct import DirectFactors
from replora.adapters.grouped import GroupedFactors, factors_for
from replora.adapters.peft.folder import MAX_RANK, AdapterFileError, numbers, open_weights, shapes_of
from replora.adapters.reparameterized import ReparameterizedFactors
from replora.adapters.sites import Inputs, find_attention
from replora.config import Method
from replora.methods import METHODS, has_adapter
from replora.options import SpecError

Model = TypeVar("Model", bound=nn.Module)


def save_latents(adapted: nn.Module, path: str | Path) -> Path:
    """Write everything a RepLoRA (or LoRA) needs to go on training, all runs: latent matrices and MLPs, one file.

    The file is safetensors; its metadata hold the method, the seeds' count and the places of the adapted layers.
    """
    adapter = adapter_of(adapted)
    factors = adapter.factors
    if not isinstance(factors, DirectFactors | ReparameterizedFactors | GroupedFactors):
        named = " or ".join(name for name in METHODS if has_adapter(name))
        raise SpecError(f"method must be {named} to be saved, got {type(factors).__name__}.")
    facts = {
        "method": json.dumps(factors.method.to_dict()),
        "runs": str(factors.runs),
        "layers": json.dumps(adapter.layers),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in factors.named_parameters()}
    save_file(tensors, path, metadata=facts)
    return Path(path)


def load_latents(model: Model, path: str | Path, *, inputs: Inputs | None = None) -> Model:
    """A frozen copy of `model` with the adapters of `save_latents`, ready to be trained on; inputs as for `attach`."""
    with open_weights(Path(path)) as weights:
        facts = weights.metadata() or {}
        try:
            method = Method.from_dict(json.loads(facts["method"]))
            runs, layers = int(facts["runs"]), [int(layer) for layer in json.loads(facts["layers"])]
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise AdapterFileError(f"{Path(path).name} does not say which method it holds.") from error
        sites = find_attention(model, inputs)
        places = sorted({layer for layer in layers if 0 <= layer < len(sites)})
        if not 1 <= runs <= 1024 or not layers or layers != places:
            raise AdapterFileError(f"{Path(path).name} does not fit a model of {len(sites)} attention layers.")
        if method.rank > MAX_RANK:
            raise AdapterFileError(f"rank must be a whole number from 1 to {MAX_RANK}, got {method.rank}.")
        shapes = [sites[layer].shape(1) for layer in layers]
        one = factors_for(method, shapes, [0])  # its shapes must be the file's before all runs are made
        expected = {name: (runs, *value.shape[1:]) for name, value in one.named_parameters()}
        if shapes_of(weights) != expected:
            raise AdapterFileError(f"{Path(path).name} holds other matrices than its method has on this model.")
        factors = factors_for(method, shapes, range(runs))
        with torch.no_grad():
            for name, parameter in factors.named_parameters():
                parameter.copy_(numbers(weights, name))
    return attach_factors(model, factors, layers, inputs=inputs)
