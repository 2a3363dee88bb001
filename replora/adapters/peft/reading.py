"""A PEFT LoRA folder as the adapters of a model: names, shapes and rank are checked before a tensor is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from replora.adapters.attach import AttentionSite, attach_factors, find_attention
from replora.adapters.direct import DirectFactors
from replora.adapters.factors import Factors, LowRankPair, LowRankPairs
from replora.adapters.peft.beside import wanted_beside
from replora.adapters.peft.folder import (
    MAX_RANK,
    PREFIX,
    WEIGHTS_FILE,
    AdapterFileError,
    FolderConfig,
    open_weights,
    read_config,
    shapes_of,
)
from replora.config import AlphaOver, Method, alpha_divisor
from replora.methods import DIRECT, PROJECTIONS, Projection

Model = TypeVar("Model", bound=nn.Module)


def load_peft(model: Model, folder: str | Path) -> Model:
    """A frozen copy of `model` with the LoRA of a PEFT folder on query, value or both; `model` is untouched.

    Modules under modules_to_save replace those of the copy. Raises `AdapterFileError` for anything that is not a plain
    LoRA of at most rank 256 on query and value of this very model.
    """
    folder = Path(folder)
    config = read_config(folder)
    with open_weights(folder / WEIGHTS_FILE) as weights:
        beside = wanted_beside(model, config.beside, config.task_type)
        plan = _plan(find_attention(model), config, beside, shapes_of(weights))
        adapted = attach_factors(model, _direct(plan, plan.pairs(weights)), plan.places)
        for name in beside:
            _load_module(adapted, name, weights)
    return adapted


@dataclass(frozen=True)
class _Plan:
    """Which attention layers a folder adapts, which linear layers of each, and with what scaling."""

    sites: tuple[AttentionSite, ...]
    places: tuple[int, ...]
    linears: tuple[tuple[str, ...], ...]  # of each site
    scaling: float
    alpha_over: AlphaOver

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


def _plan(
    sites: Sequence[AttentionSite], config: FolderConfig, beside: Sequence[str], shapes: Mapping[str, tuple[int, ...]]
) -> _Plan:
    """Check every matrix of the file against the model, by its header alone."""
    rank = config.rank
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
    starts = tuple(f"{PREFIX}{name}." for name in beside)
    for key, shape in shapes.items():
        if key in wanted and shape != wanted[key]:
            raise AdapterFileError(f"{key} must have the shape {wanted[key]} of the model, got {shape}.")
        if key not in wanted and not key.startswith(starts):
            raise AdapterFileError(f"{key} is no query or value projection of this model.")
    if not chosen:
        raise AdapterFileError(f"{WEIGHTS_FILE} adapts no attention layer of this model.")
    places = tuple(place for place, _ in chosen)
    linears = tuple(names for _, names in chosen)
    return _Plan(tuple(sites[place] for place in places), places, linears, config.scaling, config.alpha_over)


def _width(site: AttentionSite, name: str) -> int:
    """Output width of a linear layer; where several projections are fused it is equal thirds, the key among them."""
    rows = site.linears[name]
    return max(each.stop for each in rows.values())


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


def _direct(plan: _Plan, found: Sequence[LowRankPairs]) -> Factors:
    """The factors of a folder as one run of LoRA; what a layer lacks, rank or a projection, is zeros."""
    rank = max(len(pair.a) for pairs in found for pair in pairs.values())
    adapted = tuple(each for each in PROJECTIONS if any(each in pairs for pairs in found))
    alpha = max(0.01, min(4096.0, plan.scaling * alpha_divisor(rank, plan.alpha_over)))
    method = Method(name=DIRECT, rank=rank, alpha=alpha, alpha_over=plan.alpha_over, projections=adapted)
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
    module = adapted.get_submodule(name)
    start = f"{PREFIX}{name}."
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key.removeprefix(start): shape for key, shape in shapes_of(weights).items() if key.startswith(start)}
    if expected != found:
        raise AdapterFileError(f"{name} of the adapter has other shapes than the model's: {found} against {expected}.")
    module.load_state_dict({key: weights.get_tensor(start + key) for key in found})
    module.requires_grad_(True)
