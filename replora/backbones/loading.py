"""A backbone by its name: out of the assets, the hub or a folder; whatever goes wrong is one sentence."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from replora.backbones.base import Backbone, BackboneError, quietly
from replora.backbones.causal import CausalLM
from replora.backbones.packaged import hub_name, ready_folder
from replora.backbones.pictures import TimmViT, TransformersVision
from replora.backbones.texts import TransformersText
from replora.backbones.weights import WEIGHTS_FILE, read_weights
from replora.catalog import ASSETS, BACKBONES, PACKAGED, Modality
from replora.hub.download import Downloads, reachable
from replora.hub.names import is_downloaded
from replora.options import UserError


def load_backbone(name: str, modality: Modality = "text") -> Backbone:
    """A backbone by name: embedded, packaged, 'timm:NAME', 'hf:ID' or 'local:FOLDER', on the CPU.

    modality: of the task; a language model of the hub or a folder reads texts or, for "continuation", continues them.
    In float32; weights of models that continue texts as they are stored, if that is bfloat16.
    Raises `BackboneError` where the name is unknown, the files are missing or damaged, or a needed download fails;
    `HubError` where a packaged model is not on this machine.
    """
    if name in BACKBONES:
        return _load_folder(name, ASSETS / BACKBONES[name].folder, modality)
    if name in PACKAGED:
        return _load_packaged(name)
    kind, _, rest = name.partition(":")
    if kind not in LOADERS or not rest:
        raise BackboneError(
            f"backbone must be one of auto, {', '.join([*BACKBONES, *PACKAGED])}, timm:NAME, hf:ID, local:FOLDER; "
            f"got {name!r}."
        )
    return LOADERS[kind](name, rest, modality)


@contextmanager
def _loading(name: str, advice: str) -> Iterator[None]:
    """Turn whatever the libraries raise on missing or damaged files, each with types of its own, into one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise BackboneError(f"{name} cannot be loaded: {advice} ({reason})") from error


@contextmanager
def _hub(name: str) -> Iterator[None]:
    """The hub's cache alone where that has all, where this server downloads nothing, or where the hub is out of reach.

    Without this, offline answers take minutes of retries.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    closed = before or is_downloaded(name) or Downloads.from_environment().downloads == "off"
    constants.HF_HUB_OFFLINE = closed or not reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _load_packaged(name: str) -> Backbone:
    with _loading(name, "its package or what is kept of it cannot be read."):
        backbone = _continuing(name, str(ready_folder(name)), local=True)
        config: Any = backbone.model.config
        config.name_or_path = hub_name(name)
        return backbone


def _load_folder(name: str, folder: Path, modality: Modality) -> Backbone:
    """A folder with config.json: timm's in the form of the embedded one ('library': 'timm'), or transformers' own.

    Its weights are those of `read_weights`, as of the embedded ones, or model.safetensors.
    """
    with _loading(name, f"the folder needs a readable config.json and {WEIGHTS_FILE} or model.safetensors."):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = None
        if (folder / WEIGHTS_FILE).is_file():
            weights = {key: torch.from_numpy(values) for key, values in read_weights(folder / WEIGHTS_FILE).items()}
        if config.get("library") != "timm":
            if modality == "continuation" and weights is None:
                return _continuing(name, str(folder), local=True)
            return _from_transformers(name, str(folder), weights, local=True)
        import timm

        model = timm.create_model(config["architecture"], pretrained=False, **config["model_args"])
        model.pretrained_cfg = {**model.pretrained_cfg, **config["pretrained_cfg"]}
        model.load_state_dict(weights or load_file(folder / "model.safetensors"))
        return TimmViT(name, model)


def _load_timm(name: str, rest: str, modality: Modality) -> Backbone:
    import timm

    with (
        _loading(name, "it needs a download from the hub, which did not succeed, or timm does not know it."),
        _hub(name),
    ):
        return TimmViT(name, timm.create_model(rest, pretrained=True, num_classes=0))


def _load_transformers(name: str, source: str, modality: Modality) -> Backbone:
    if modality == "continuation":
        with (
            _loading(name, "it needs a download from the hub, which did not succeed, or continues no texts."),
            _hub(name),
        ):
            return _continuing(name, source, local=False)
    with _loading(name, "it needs a download from the hub, which did not succeed, or it is no encoder."), _hub(name):
        return _from_transformers(name, source, local=False)


def _continuing(name: str, source: str, *, local: bool) -> Backbone:
    """A causal language model of transformers, its weights in bfloat16 where they are stored so, else in float32."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(source, local_files_only=local)
    stored = torch.bfloat16 if config.dtype == torch.bfloat16 else torch.float32
    with quietly():
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, local_files_only=local, use_safetensors=True, dtype=stored
        )
    return CausalLM(name, model, transformers.AutoTokenizer.from_pretrained(source, local_files_only=local))


def _from_transformers(name: str, source: str, weights: dict[str, Tensor] | None = None, *, local: bool) -> Backbone:
    """A model of transformers; `weights` in place of those that lie at the source."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(source, local_files_only=local)
    model_class = transformers.MODEL_MAPPING[type(config)]
    # A pooler that the checkpoint lacks would be drawn at random; the features here do not use one.
    pooler = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(model_class).parameters else {}
    with quietly():
        model = model_class.from_pretrained(
            None if weights else source,
            config=config,
            state_dict=weights,
            local_files_only=local,
            use_safetensors=True,
            dtype=torch.float32,
            **pooler,
        )
    if model.main_input_name == "pixel_values":
        processor = transformers.AutoImageProcessor.from_pretrained(source, local_files_only=local)
        return TransformersVision(name, model, processor)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=local)
    return TransformersText(name, model, tokenizer)


LOADERS: dict[str, Callable[[str, str, Modality], Backbone]] = {
    "timm": _load_timm,
    "hf": _load_transformers,
    "local": lambda name, rest, modality: _load_folder(name, Path(rest), modality),
}
