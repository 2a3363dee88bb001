"""A backbone by its name: out of the assets, the hub or a folder; whatever goes wrong is one sentence."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from replora.backbones.base import Backbone, BackboneError
from replora.backbones.pictures import TimmViT, TransformersVision
from replora.backbones.texts import TransformersText
from replora.backbones.weights import WEIGHTS_FILE, read_weights
from replora.catalog import ASSETS, BACKBONES
from replora.hub.download import Downloads, reachable
from replora.hub.names import is_downloaded
from replora.options import UserError


def load_backbone(name: str) -> Backbone:
    """A backbone by name: embedded, 'timm:NAME', 'hf:ID' or 'local:FOLDER', in float32 on the CPU.

    Raises `BackboneError` where the name is unknown, the files are missing or damaged, or a needed download fails.
    """
    if name in BACKBONES:
        return _load_folder(name, ASSETS / BACKBONES[name].folder)
    kind, _, rest = name.partition(":")
    if kind not in LOADERS or not rest:
        raise BackboneError(
            f"backbone must be one of auto, {', '.join(BACKBONES)}, timm:NAME, hf:ID, local:FOLDER; got {name!r}."
        )
    return LOADERS[kind](name, rest)


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


def _load_folder(name: str, folder: Path) -> Backbone:
    """A folder with config.json: timm's in the form of the embedded one ('library': 'timm'), or transformers' own.

    Its weights are those of `read_weights`, as of the embedded ones, or model.safetensors.
    """
    with _loading(name, f"the folder needs a readable config.json and {WEIGHTS_FILE} or model.safetensors."):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = None
        if (folder / WEIGHTS_FILE).is_file():
            weights = {key: torch.from_numpy(values) for key, values in read_weights(folder / WEIGHTS_FILE).items()}
        if config.get("library") != "timm":
            return _from_transformers(name, str(folder), weights, local=True)
        import timm

        model = timm.create_model(config["architecture"], pretrained=False, **config["model_args"])
        model.pretrained_cfg = {**model.pretrained_cfg, **config["pretrained_cfg"]}
        model.load_state_dict(weights or load_file(folder / "model.safetensors"))
        return TimmViT(name, model)


def _load_timm(name: str, rest: str) -> Backbone:
    import timm

    with (
        _loading(name, "it needs a download from the hub, which did not succeed, or timm does not know it."),
        _hub(name),
    ):
        return TimmViT(name, timm.create_model(rest, pretrained=True, num_classes=0))


def _load_transformers(name: str, source: str) -> Backbone:
    with _loading(name, "it needs a download from the hub, which did not succeed, or it is no encoder."), _hub(name):
        return _from_transformers(name, source, local=False)


def _from_transformers(name: str, source: str, weights: dict[str, Tensor] | None = None, *, local: bool) -> Backbone:
    """A model of transformers; `weights` in place of those that lie at the source."""
    import transformers
    from transformers.utils import logging

    config = transformers.AutoConfig.from_pretrained(source, local_files_only=local)
    model_class = transformers.MODEL_MAPPING[type(config)]
    # A pooler that the checkpoint lacks would be drawn at random; the features here do not use one.
    pooler = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(model_class).parameters else {}
    logging.disable_progress_bar()
    try:
        model = model_class.from_pretrained(
            None if weights else source,
            config=config,
            state_dict=weights,
            local_files_only=local,
            use_safetensors=True,
            dtype=torch.float32,
            **pooler,
        )
    finally:
        logging.enable_progress_bar()
    if model.main_input_name == "pixel_values":
        processor = transformers.AutoImageProcessor.from_pretrained(source, local_files_only=local)
        return TransformersVision(name, model, processor)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=local)
    return TransformersText(name, model, tokenizer)


LOADERS: dict[str, Callable[[str, str], Backbone]] = {
    "timm": _load_timm,
    "hf": _load_transformers,
    "local": lambda name, rest: _load_folder(name, Path(rest)),
}
