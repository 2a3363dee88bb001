"""A PEFT LoRA folder as the adapters of a model: names, shapes and rank are checked before a tensor is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from replora.adapters.attach import adapter_of, attach_factors
from replora.adapters.factors import Factors, LowRankPair, LowRankPairs
from replora.adapters.grouped import factors_for, place_of
from replora.adapters.layers import matrix_of
from replora.adapters.peft.beside import biases_of, check_keys, load_modules, load_values
from replora.adapters.peft.contents import Contents, contents_of
from replora.adapters.peft.description import RESIDUALS, Description, read_description
from replora.adapters.peft.folder import (
    MAX_RANK,
    PREFIX,
    WEIGHTS_FILE,
    AdapterFileError,
    modules_of,
    numbers,
    open_weights,
    plain_name,
    shapes_of,
)
from replora.adapters.peft.patterns import Patterns
from replora.adapters.peft.residual import without_start
from replora.adapters.rows import OwnedRows
from replora.adapters.sites import AttentionSite, Inputs, find_attention
from replora.config import AlphaOver, Method, alpha_divisor
from replora.methods import DIRECT, PROJECTIONS, Projection

Model = TypeVar("Model", bound=nn.Module)


def load_peft(model: Model, folder: str | Path, *, inputs: Inputs | None = None) -> Model:
    """A frozen copy of `model` with the LoRA of a PEFT folder on query, value or both; `model` is untouched.

    rsLoRA, ranks and alphas by layer, and starts that leave a residual (PiSSA, OLoRA) are held exactly. Modules under
    modules_to_save and biases replace those of the copy and are trained from now on; embeddings that were saved along
    replace those of the copy. inputs: one example, as for `attach`. Raises `AdapterFileError` for anything else that
    would change what the adapter computes, and for what is not on query and value of this very model; its sentence
    names it.
    """
    folder = Path(folder)
    description, patterns = read_description(folder), Patterns()
    with open_weights(folder / WEIGHTS_FILE) as weights:
        sites, shapes = find_attention(model, inputs), shapes_of(weights)
        owned = {layer_name(site, name) for site in sites for name in site.linears}
        idle = _idle_keys(sites, weights)
        contents = contents_of(model, owned, description, patterns, shapes.keys() - idle)
        plan = _plan(sites, description, patterns, contents, shapes)
        adapted = attach_factors(model, _direct(plan, plan.pairs(model, weights)), plan.places, inputs=inputs)
        _load_beside(adapted, description, contents, weights)
    return adapted


def layer_name(site: AttentionSite, name: str) -> str:
    """The plain name of a site's linear layer."""
    return plain_name(site.module_path(name))


@dataclass(frozen=True)
class _Plan:
    """Which attention layers a folder adapts, which linear layers of each, and with what scaling.

    scalings: of each linear layer, by its name; scaling: what their factors are to be held at.
    """

    sites: tuple[AttentionSite, ...]
    places: tuple[int, ...]
    linears: tuple[tuple[str, ...], ...]  # of each site
    scalings: Mapping[str, float]
    scaling: float
    alpha_over: AlphaOver
    start: str

    def pairs(self, model: nn.Module, weights: Any) -> list[LowRankPairs]:
        """A (rank, in_features) and B (out_features, rank) of each site's adapted projections."""
        read = [
            {name: self._matrices(model, site, name, weights) for name in names}
            for site, names in zip(self.sites, self.linears, strict=True)
        ]
        fused = {
            projection
            for site, found in zip(self.sites, read, strict=True)
            for name, (_, b) in found.items()
            for projection, rows in site.linears[name].items()
            if len(site.linears[name]) == 1 or torch.count_nonzero(rows.take(b))
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

    def _matrices(self, model: nn.Module, site: AttentionSite, name: str, weights: Any) -> LowRankPair:
        """A and B of one linear layer; `AdapterFileError` where B updates rows of no projection."""
        path = layer_name(site, name)
        scaling = self.scalings[path]
        pair = LowRankPair(*(numbers(weights, f"{PREFIX}{path}.lora_{side}.weight").float() for side in "AB"))
        if self.start in RESIDUALS:
            module = modules_of(model)[path]
            weight: Tensor = getattr(module, name) if site.bare else matrix_of(module)
            pair = without_start(pair, weight, self.start, scaling)
        rest = torch.ones(len(pair.b), dtype=torch.bool)
        for rows in site.linears[name].values():
            rest[list(rows)] = False
        if torch.count_nonzero(pair.b[rest]):
            raise AdapterFileError(f"{path} also updates the key; only query and value can be read.")
        return LowRankPair(pair.a, pair.b * (scaling / self.scaling))


def _plan(
    sites: Sequence[AttentionSite],
    description: Description,
    patterns: Patterns,
    contents: Contents,
    shapes: Mapping[str, tuple[int, ...]],
) -> _Plan:
    """Check every matrix of the file against the model, by its header alone."""
    chosen: list[tuple[int, tuple[str, ...]]] = []
    scalings: dict[str, float] = {}
    for place, site in enumerate(sites):
        found = tuple(name for name in site.linears if layer_name(site, name) in contents.layers)
        if not found:
            continue
        chosen.append((place, found))
        for name in found:
            path = layer_name(site, name)
            rank, (read, width) = description.rank_of(path, patterns), site.widths[name]
            if len(site.linears) > 1 and rank > MAX_RANK:
                raise AdapterFileError(f"r must be a whole number from 1 to {MAX_RANK}, got {rank}.")
            start = f"{PREFIX}{path}"
            wanted = {f"{start}.lora_A.weight": (rank, read), f"{start}.lora_B.weight": (width, rank)}
            for key, shape in wanted.items():
                if shapes[key] != shape:
                    raise AdapterFileError(f"{key} must have the shape {shape} of the model, got {shapes[key]}.")
            scalings[path] = description.scaling_of(path, patterns)
    places = tuple(place for place, _ in chosen)
    linears = tuple(names for _, names in chosen)
    most = Counter(scalings.values()).most_common(1)[0][0]
    return _Plan(
        tuple(sites[place] for place in places),
        places,
        linears,
        scalings,
        most,
        description.alpha_over,
        description.start,
    )


def _idle_keys(sites: Sequence[AttentionSite], weights: Any) -> set[str]:
    """The keys of updates of zero of the output projection, which PEFT adapts along with `nn.MultiheadAttention`.

    Raises `AdapterFileError` where it is no zero.
    """
    found = set()
    for site in sites:
        start = f"{PREFIX}{plain_name(site.path)}.base_layer.out_proj.lora_"
        keys = {key for key in weights.keys() if site.bare and key.startswith(start)}  # noqa: SIM118 (not a mapping)
        if any(torch.count_nonzero(numbers(weights, key)) for key in keys if key.endswith("B.weight")):
            raise AdapterFileError(f"{site.path} also updates its output projection; only query and value can be held.")
        found |= keys
    return found


def _owned(site: AttentionSite, name: str, adapted: Sequence[Projection]) -> dict[Projection, OwnedRows]:
    """The rows of a linear layer that adapted projections own."""
    return {each: rows for each, rows in site.linears[name].items() if each in adapted}


def _split(a: Tensor, b: Tensor, owned: Mapping[Projection, OwnedRows]) -> LowRankPairs:
    """A linear layer's pair by projection: by blocks where B has one for each, else with all of A."""
    parts = {projection: rows.take(b) for projection, rows in owned.items()}
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
    said = plan.scaling * alpha_divisor(rank, plan.alpha_over)
    alpha = max(0.01, min(4096.0, said))  # what a method takes; the rest of it goes into B
    method = Method(name=DIRECT, rank=rank, alpha=alpha, alpha_over=plan.alpha_over, projections=adapted)
    factors = factors_for(method, [site.shape(1) for site in plan.sites], [0])
    scaling = plan.scaling if alpha == said else method.scaling
    for module in factors.modules():
        if isinstance(module, Factors):
            module.scaling.fill_(scaling)
    with torch.no_grad():
        for parameter in factors.parameters():
            parameter.zero_()
        for layer, pairs in enumerate(found):
            part, place = place_of(factors, layer)
            for projection, pair in pairs.items():
                own = len(pair.a)
                part.get_parameter(f"a_{projection}")[0, place, :own] = pair.a
                part.get_parameter(f"b_{projection}")[0, place, :, :own] = pair.b * (plan.scaling / scaling)
    return factors


def _load_beside(adapted: nn.Module, description: Description, contents: Contents, weights: Any) -> None:
    """Put what stands beside the adapters into the adapted copy."""
    adapter = adapter_of(adapted)
    if description.bias != "none":
        present = contents.biases | contents.keys
        biases = {
            key if key in present else key.replace(".base_layer.", "."): parameter  # as PEFT named it before 0.6
            for key, parameter in biases_of(adapted, description.bias).items()
        }
        check_keys(biases, contents.biases | (present & biases.keys()), weights)
        load_values(biases, weights)
        for parameter in biases.values():
            parameter.requires_grad_(True)
        adapter.bias = description.bias
    modules = modules_of(adapted)
    for name in contents.embeddings:
        wanted = {f"{PREFIX}{name}.{key}": value for key, value in modules[name].state_dict().items()}
        check_keys(wanted, {key for key in shapes_of(weights) if key.startswith(f"{PREFIX}{name}.")}, weights)
        load_values(wanted, weights)
    adapter.brought = contents.embeddings
    load_modules(adapted, contents.modules, weights, contents.keys)
