"""The standard PEFT LoRA folder, written and read; and the latent state of a RepLoRA that is still to be trained on.

A folder holds adapter_config.json and adapter_model.safetensors, keys `base_model.model.<module>.lora_A.weight` (r,
in_features) and `.lora_B.weight` (out_features, r); trained modules beside the adapters (the head) stand under
modules_to_save. RepLoRA's MLPs are gone by then: what is written is A and B. A fused [query, key, value] projection
becomes one LoRA of r = 2 rank with A = [A_q; A_v] and B = [[B_q, 0], [0, 0], [0, B_v]]. A projection that is not
adapted is not written: its module is no target, its rows of a fused B are zero.

Reading trusts nothing: safetensors only, and names, shapes, rank and size are checked before a tensor is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from replora.adapters.attach import (
    ADAPTER_NAME,
    AdapterError,
    AttentionSite,
    adapter_of,
    attach_factors,
    find_attention,
)
from replora.adapters.direct import DirectFactors
from replora.adapters.factors import Factors, LowRankPair, LowRankPairs
from replora.adapters.kinds import make_factors
from replora.adapters.linear import LowRankLinear
from replora.adapters.reparameterized import ReparameterizedFactors
from replora.config import Method
from replora.methods import PROJECTIONS, Projection
from replora.options import SpecError, UserError

Model = TypeVar("Model", bound=nn.Module)

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
MAX_RANK = 256
MAX_CONFIG_BYTES = 1 << 20
MAX_WEIGHT_BYTES = 1 << 30
PLAIN_ONLY: dict[str, tuple[Any, ...]] = {  # what a plain LoRA says of each option, if it says anything
    "use_dora": (False, None),
    "use_rslora": (False, None),
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


def save_peft(adapted: nn.Module, folder: str | Path, run: int = 0) -> Path:
    """Write run `run` of an adapted model as a PEFT LoRA folder; modules that train beside the adapters go along.

    `peft.PeftModel.from_pretrained(base_model, folder)` then gives the same logits. Returns the folder.
    Raises `AdapterError` for a model without adapters or with a trained parameter that no such module holds,
    `SpecError` for a run it does not have.
    """
    adapter = adapter_of(adapted)
    factors = adapter.factors
    if not 0 <= run < factors.runs:
        raise SpecError(f"run must be a whole number from 0 to {factors.runs - 1}, got {run}.")
    tensors: dict[str, Tensor] = {}
    targets = []
    with torch.no_grad():
        for path, layer in _adapted_layers(adapted):
            a, b = layer.update(factors.at(layer.layer))
            tensors[f"{PREFIX}{path}.lora_A.weight"] = a[run].detach().cpu().contiguous()
            tensors[f"{PREFIX}{path}.lora_B.weight"] = b[run].detach().cpu().contiguous()
            targets.append(path)
        rank = a.shape[1]
    beside = _trained_beside(adapted)
    for name in beside:
        for key, value in adapted.get_submodule(name).state_dict().items():
            tensors[f"{PREFIX}{name}.{key}"] = value.detach().cpu().contiguous()
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": getattr(getattr(adapted, "config", None), "_name_or_path", "") or None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank * float(factors.scaling[run]),
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets,
        "modules_to_save": beside or None,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def load_peft(model: Model, folder: str | Path) -> Model:
    """A frozen copy of `model` with the LoRA of a PEFT folder on query, value or both; `model` is untouched.

    Modules under modules_to_save replace those of the copy. Raises `AdapterFileError` for anything that is not a plain
    LoRA of at most rank 256 on query and value of this very model.
    """
    folder = Path(folder)
    config = _read_config(folder)
    with _open_weights(folder / WEIGHTS_FILE) as weights:
        plan = _plan(find_attention(model), config, _shapes(weights))
        adapted = attach_factors(model, _direct(plan, plan.pairs(weights)), plan.places)
        for name in config["modules_to_save"]:
            _load_module(adapted, name, weights)
    return adapted


def save_latents(adapted: nn.Module, path: str | Path) -> Path:
    """Write everything a RepLoRA (or LoRA) needs to go on training, all runs: latent matrices and MLPs, one file.

    The file is safetensors; its metadata hold the method, the seeds' count and the places of the adapted layers.
    """
    adapter = adapter_of(adapted)
    factors = adapter.factors
    if not isinstance(factors, DirectFactors | ReparameterizedFactors):
        raise SpecError(f"method must be lora or replora to be saved, got {type(factors).__name__}.")
    facts = {
        "method": json.dumps(factors.method.to_dict()),
        "runs": str(factors.runs),
        "layers": json.dumps(adapter.layers),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in factors.named_parameters()}
    save_file(tensors, path, metadata=facts)
    return Path(path)


def load_latents(model: Model, path: str | Path) -> Model:
    """A frozen copy of `model` with the adapters of `save_latents`, ready to be trained on."""
    with _open_weights(Path(path)) as weights:
        facts = weights.metadata() or {}
        try:
            method = Method.from_dict(json.loads(facts["method"]))
            runs, layers = int(facts["runs"]), [int(layer) for layer in json.loads(facts["layers"])]
        except (KeyError, ValueError, TypeError) as error:
            raise AdapterFileError(f"{Path(path).name} does not say which method it holds.") from error
        sites = find_attention(model)
        places = sorted({layer for layer in layers if 0 <= layer < len(sites)})
        if not 1 <= runs <= 1024 or not layers or layers != places:
            raise AdapterFileError(f"{Path(path).name} does not fit a model of {len(sites)} attention layers.")
        if method.rank > MAX_RANK:
            raise AdapterFileError(f"rank must be a whole number from 1 to {MAX_RANK}, got {method.rank}.")
        shape = sites[layers[0]].shape(len(layers))
        one = make_factors(method, shape, [0])  # its shapes must be the file's before all runs are made
        expected = {name: (runs, *value.shape[1:]) for name, value in one.named_parameters()}
        if _shapes(weights) != expected:
            raise AdapterFileError(f"{Path(path).name} holds other matrices than its method has on this model.")
        factors = make_factors(method, shape, range(runs))
        with torch.no_grad():
            for name, parameter in factors.named_parameters():
                parameter.copy_(weights.get_tensor(name))
    return attach_factors(model, factors, layers)


def _adapted_layers(adapted: nn.Module) -> Iterator[tuple[str, LowRankLinear]]:
    for path, module in adapted.named_modules():
        if isinstance(module, LowRankLinear):
            yield path, module


def _trained_beside(module: nn.Module, path: str = "") -> list[str]:
    """The outermost modules, adapters aside, that hold a parameter which is trained and no adapted layer.

    Raises `AdapterError` for a trained parameter that stands in no such module: the folder has no place for it.
    """
    for name, parameter in module.named_parameters(path, recurse=isinstance(module, LowRankLinear)):
        if parameter.requires_grad:
            raise AdapterError(f"{name} is trained, but beside its adapters a PEFT folder holds whole modules only.")
    beside = []
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if inner == ADAPTER_NAME or not any(each.requires_grad for each in child.parameters()):
            continue
        if any(isinstance(each, LowRankLinear) for each in child.modules()):
            beside += _trained_beside(child, inner)
        else:
            beside.append(inner)
    return beside


@dataclass(frozen=True)
class _Plan:
    """Which attention layers a folder adapts, which linear layers of each, and with what scaling."""

    sites: tuple[AttentionSite, ...]
    places: tuple[int, ...]
    linears: tuple[tuple[str, ...], ...]  # of each site
    scaling: float

    def pairs(self, weights: Any) -> list[LowRankPairs]:
        """A (rank, in_features) and B (out_features, rank) of each site's adapted projections."""
        read = [
            {name: _matrices(site, name, weights) for name in names}
            for site, names in zip(self.sites, self.linears, strict=True)
        ]
        fused = {
            projection
            for site, found in zip(self.sites, read, strict=True)
            for name, (_, b) in found.items()
            for projection, rows in site.linears[name].items()
            if len(site.linears[name]) == 1 or torch.count_nonzero(b[rows.start : rows.stop])
        }
        adapted = [each for each in PROJECTIONS if each in fused] or list(PROJECTIONS)  # B may be zero yet
        return [
            {
                projection: pair
                for name, (a, b) in found.items()
                for projection, pair in _split(a, b, _owned(site, name, adapted)).items()
            }
            for site, found in zip(self.sites, read, strict=True)
        ]


def _matrices(site: AttentionSite, name: str, weights: Any) -> LowRankPair:
    """A and B of one linear layer; `AdapterFileError` where B updates rows of no projection."""
    start = f"{PREFIX}{site.path}.{name}"
    pair = LowRankPair(weights.get_tensor(f"{start}.lora_A.weight"), weights.get_tensor(f"{start}.lora_B.weight"))
    rest = torch.ones(len(pair.b), dtype=torch.bool)
    for rows in site.linears[name].values():
        rest[rows.start : rows.stop] = False
    if torch.count_nonzero(pair.b[rest]):
        raise AdapterFileError(f"{site.path}.{name} also updates the key; only query and value can be read.")
    return pair


def _owned(site: AttentionSite, name: str, adapted: Sequence[Projection]) -> dict[Projection, range]:
    """The rows of a linear layer that adapted projections own."""
    return {each: rows for each, rows in site.linears[name].items() if each in adapted}


def _split(a: Tensor, b: Tensor, owned: Mapping[Projection, range]) -> LowRankPairs:
    """A linear layer's pair by projection: by blocks where B has one for each, else with all of A."""
    parts = {projection: b[rows.start : rows.stop] for projection, rows in owned.items()}
    count = max(1, len(parts))
    blocks = [slice(place * (len(a) // count), (place + 1) * (len(a) // count)) for place in range(count)]
    apart = len(a) % count == 0 and all(
        torch.count_nonzero(part) == torch.count_nonzero(part[:, block])
        for part, block in zip(parts.values(), blocks, strict=False)
    )
    if not apart:
        return {projection: LowRankPair(a, part) for projection, part in parts.items()}
    return {
        projection: LowRankPair(a[block], part[:, block])
        for (projection, part), block in zip(parts.items(), blocks, strict=False)
    }


def _plan(sites: Sequence[AttentionSite], config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> _Plan:
    """Check every matrix of the file against the model, by its header alone."""
    rank = config["r"]
    wanted: dict[str, tuple[int, ...]] = {}
    chosen: list[tuple[int, tuple[str, ...]]] = []
    for place, site in enumerate(sites):
        widths = {name: _width(site, name) for name in site.linears}
        found = []
        for name, width in widths.items():
            start = f"{PREFIX}{site.path}.{name}"
            keys = {f"{start}.lora_A.weight": (rank, site.in_features), f"{start}.lora_B.weight": (width, rank)}
            present = [key for key in keys if key in shapes]
            if present and len(site.linears) > 1 and rank > MAX_RANK:
                raise AdapterFileError(f"r must be a whole number from 1 to {MAX_RANK}, got {rank}.")
            if len(present) == 1:
                missing = next(key for key in keys if key not in shapes)
                raise AdapterFileError(f"{WEIGHTS_FILE} lacks {missing}.")
            if present:
                wanted.update(keys)
                found.append(name)
        if found:
            chosen.append((place, tuple(found)))
    beside = tuple(f"{PREFIX}{name}." for name in config["modules_to_save"])
    for key, shape in shapes.items():
        if key in wanted and shape != wanted[key]:
            raise AdapterFileError(f"{key} must have the shape {wanted[key]} of the model, got {shape}.")
        if key not in wanted and not (beside and key.startswith(beside)):
            raise AdapterFileError(f"{key} is no query or value projection of this model.")
    if not chosen:
        raise AdapterFileError(f"{WEIGHTS_FILE} adapts no attention layer of this model.")
    places = tuple(place for place, _ in chosen)
    linears = tuple(names for _, names in chosen)
    return _Plan(tuple(sites[place] for place in places), places, linears, config["lora_alpha"] / rank)


def _width(site: AttentionSite, name: str) -> int:
    """Output width of a linear layer; where several projections are fused it is equal thirds, the key among them."""
    rows = site.linears[name]
    return max(each.stop for each in rows.values())


def _direct(plan: _Plan, found: Sequence[LowRankPairs]) -> Factors:
    """The factors of a folder as one run of LoRA; what a layer lacks, rank or a projection, is zeros."""
    rank = max(len(pair.a) for pairs in found for pair in pairs.values())
    adapted = tuple(each for each in PROJECTIONS if any(each in pairs for pairs in found))
    alpha = max(0.01, min(4096.0, plan.scaling * rank))
    method = Method(name="lora", rank=rank, alpha=alpha, projections=adapted)
    factors = DirectFactors(method, plan.sites[0].shape(len(found)), [0])
    factors.scaling.fill_(plan.scaling)
    with torch.no_grad():
        for parameter in factors.parameters():
            parameter.zero_()
        for layer, pairs in enumerate(found):
            for projection, pair in pairs.items():
                own = len(pair.a)
                factors.get_parameter(f"a_{projection}")[0, layer, :own] = pair.a
                factors.get_parameter(f"b_{projection}")[0, layer, :, :own] = pair.b
    return factors


def _load_module(adapted: nn.Module, name: str, weights: Any) -> None:
    """Put a module of modules_to_save into the adapted copy."""
    try:
        module = adapted.get_submodule(name)
    except AttributeError as error:
        raise AdapterFileError(f"The model has no module {name!r}, which the adapter brings along.") from error
    start = f"{PREFIX}{name}."
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key.removeprefix(start): shape for key, shape in _shapes(weights).items() if key.startswith(start)}
    if expected != found:
        raise AdapterFileError(f"{name} of the adapter has other shapes than the model's: {found} against {expected}.")
    module.load_state_dict({key: weights.get_tensor(start + key) for key in found})
    module.requires_grad_(True)


def _read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json, checked to be that of a plain LoRA."""
    path = _inside(folder, CONFIG_FILE)
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
    return {"r": rank, "lora_alpha": float(alpha), "modules_to_save": beside}


def _inside(folder: Path, name: str) -> Path:
    """A regular file of the folder itself: no link may lead out of it."""
    path = folder / name
    if not folder.is_dir():
        raise AdapterFileError(f"An adapter must be a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, got {folder.name}.")
    if not path.is_file():
        others = sorted(each.name for each in folder.iterdir())[:5]
        raise AdapterFileError(f"The folder {folder.name} has no {name} (it has {', '.join(others) or 'nothing'}).")
    if path.resolve().parent != folder.resolve():
        raise AdapterFileError(f"{name} leads out of the folder {folder.name}.")
    return path


@contextmanager
def _open_weights(path: Path) -> Iterator[Any]:
    """A safetensors file, its header read and its size checked."""
    path = _inside(path.parent, path.name)
    if path.stat().st_size > MAX_WEIGHT_BYTES:
        raise AdapterFileError(f"{path.name} must have at most {MAX_WEIGHT_BYTES:,} bytes.")
    try:
        with safe_open(path, framework="pt") as weights:
            yield weights
    except (SafetensorError, OSError) as error:
        raise AdapterFileError(f"{path.name} is no readable safetensors file: {error}.") from error


def _shapes(weights: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors, from the header."""
    return {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118 (not a mapping)
