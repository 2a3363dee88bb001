"""Attach adapters to a copy of a model, merge them, take them off."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from replora.adapters.factors import Factors
from replora.adapters.grouped import factors_for, place_of
from replora.adapters.linear import LowRankLinear, LowRankWeight
from replora.adapters.rows import OwnedRows
from replora.adapters.sites import AttentionSite, Inputs, find_attention
from replora.config import Method
from replora.methods import Projection
from replora.options import SpecError, UserError

Model = TypeVar("Model", bound=nn.Module)

ADAPTER_NAME = "replora_adapter"
CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


class AdapterError(UserError):
    """The model has no adapters where some are needed, or has them already."""


class Adapter(nn.Module):
    """The adapted model's factors, and which base parameters wanted a gradient before they were frozen.

    home: the path, in the model that was given to `attach`, of the module that it hangs on.
    bias: which biases a PEFT folder brought along, 'none', 'lora_only' or 'all'; brought: which modules, untrained.
    """

    bias = "none"
    brought: tuple[str, ...] = ()

    def __init__(self, factors: Factors, layers: Sequence[int], thawed: Sequence[str], home: str) -> None:
        super().__init__()
        self.factors = factors
        self.layers = tuple(layers)
        self.thawed = frozenset(thawed)
        self.home = home


def attach(
    model: Model,
    method: Method,
    *,
    runs: int = 1,
    seed: int = 0,
    layers: Sequence[int] | None = None,
    keep: Sequence[str] = (),
    inputs: Inputs | None = None,
) -> Model:
    """A copy of `model` with its parameters frozen and `method`'s adapters on its projections; `model` is untouched.

    runs: how many fine-tunes the copy holds side by side, with seeds seed, seed + 1, ...; inputs then are the runs'
    batches one after another, (runs * batch, ...). layers: which attention layers, in the model's order, negative
    numbers counting from the end; None adapts all. delta_weight is exactly zero at the start.
    keep: modules, by path, that are not frozen: the head, say, keep=["classifier"], which else trains no more.
    inputs: one example as the model takes it, for a model whose query and value only a forward pass can tell
    (`find_attention`). Layers of several widths get factors for each width.
    Method 'head' freezes the copy and adapts nothing. Raises `AttentionNotFoundError`, `AdapterError` or `SpecError`.
    """
    if runs < 1:
        raise SpecError(f"runs must be a whole number from 1, got {runs}.")
    if not method.has_adapter:
        find_attention(model, inputs)
        return _frozen(copy.deepcopy(model), keep)[0]
    sites, chosen = choose_layers(model, layers, inputs)
    factors = factors_for(method, [site.shape(1) for site in sites], range(seed, seed + runs))
    return _carrying(copy.deepcopy(model), sites, chosen, factors, keep)


def choose_layers(
    model: nn.Module, layers: Sequence[int] | None, inputs: Inputs | None = None
) -> tuple[list[AttentionSite], list[int]]:
    """The chosen attention layers and their places; `SpecError` where one does not exist."""
    if is_adapted(model):
        raise AdapterError(f"{type(model).__name__} has adapters already; merge or detach them first.")
    sites = find_attention(model, inputs)
    count = len(sites)
    wanted = range(count) if layers is None else layers
    for layer in wanted:
        if not -count <= layer < count:
            raise SpecError(f"layers must be whole numbers from {-count} to {count - 1}, got {layer}.")
    places = sorted({layer % count for layer in wanted})
    if not places:
        raise SpecError(f"layers must name at least one of the {count} attention layers, got none.")
    return [sites[place] for place in places], places


def attach_factors(
    model: Model, factors: Factors, layers: Sequence[int], *, inputs: Inputs | None = None, share: bool = False
) -> Model:
    """A frozen copy of `model` whose attention layers `layers` (places, ascending) carry `factors`.

    share: the copy has the very weights of `model`, which must be frozen, instead of copies of them.
    """
    sites, places = choose_layers(model, layers, inputs)
    return _carrying(sharing_copy(model) if share else copy.deepcopy(model), sites, places, factors)


def _carrying(
    copied: Model, sites: Sequence[AttentionSite], places: Sequence[int], factors: Factors, keep: Sequence[str] = ()
) -> Model:
    """The copy of a model, now frozen, whose attention layers `sites`, at `places`, carry `factors`."""
    for path in keep:
        if any(f"{site.path}.".startswith(f"{path}." if path else "") for site in sites):
            raise SpecError(f"keep must name modules without adapted attention, got {path!r}.")
    for index, site in enumerate(sites):
        part, _ = place_of(factors, index)
        shape = site.shape(part.shape.layers)
        if shape != part.shape:
            raise SpecError(f"layers must have the widths of their factors, {part.shape}, got {shape}.")
    adapted, thawed = _frozen(copied, keep)
    factors = factors.to(_device_of(adapted))
    for index, site in enumerate(sites):
        attention = adapted.get_submodule(site.path)
        part, place = place_of(factors, index)
        for name, rows in site.linears.items():
            owned = {each: rows[each] for each in rows if each in factors.projections}
            if owned:
                _adapt(attention, name, site, part, place, owned)
    home = _home_of(adapted, [site.path for site in sites])
    adapted.get_submodule(home).add_module(ADAPTER_NAME, Adapter(factors, places, thawed, home))
    return adapted


def _adapt(
    attention: nn.Module,
    name: str,
    site: AttentionSite,
    factors: Factors,
    place: int,
    owned: Mapping[Projection, OwnedRows],
) -> None:
    """Put the low-rank update in the place of one layer, or on one bare weight, of an attention."""
    weight = getattr(attention, name) if site.bare else getattr(attention, name).weight
    if not weight.is_floating_point():
        raise AdapterError(
            f"{site.module_path(name)} holds {weight.dtype} weights; only floating-point ones are adapted."
        )
    if not site.bare:
        setattr(attention, name, LowRankLinear(getattr(attention, name), factors, place, owned))
        return
    if factors.runs > 1:
        raise SpecError(
            f"runs must be 1 for {type(attention).__name__}, which reads its weight itself, got {factors.runs}."
        )
    parametrize.register_parametrization(attention, name, LowRankWeight(site.widths[name], factors, place, owned))


def _device_of(model: nn.Module) -> torch.device:
    """Where the factors go: to the model's first weights. `AdapterError` where they are kept elsewhere meanwhile."""
    if any(each.is_meta for each in model.parameters()) and any(hasattr(each, "_hf_hook") for each in model.modules()):
        raise AdapterError(
            f"{type(model).__name__} has weights that are offloaded to disk or memory; load it without offloading."
        )
    return next(chain(model.parameters(), model.buffers())).device


def _home_of(model: nn.Module, paths: Sequence[str]) -> str:
    """The innermost module above all adapted attentions, so that the adapters are among an encoder's parameters.

    A list of layers is none, since it would call what hangs on it; where there is nothing else, the first attention.
    """
    shared: list[str] = []
    for names in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    while shared and isinstance(model.get_submodule(".".join(shared)), CONTAINERS):
        shared.pop()
    home = ".".join(shared)
    return paths[0] if isinstance(model.get_submodule(home), CONTAINERS) else home


def sharing_copy(model: Model) -> Model:
    """A copy whose modules are its own and whose weights are those of `model`: it takes no memory to speak of."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())})


def _frozen(adapted: Model, keep: Sequence[str] = ()) -> tuple[Model, list[str]]:
    """A copy, now without gradients but in the modules `keep`, and the names of the parameters that wanted one."""
    thawed = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    adapted.requires_grad_(False)
    for path in keep:
        try:
            kept = adapted.get_submodule(path)
        except AttributeError as error:
            named = ", ".join(name for name, _ in adapted.named_children())
            raise SpecError(f"keep must name modules of the model (as {named}), got {path!r}.") from error
        kept.requires_grad_(True)
    return adapted, thawed


def adapters_in(model: nn.Module) -> Iterator[tuple[str, Adapter]]:
    """All adapters anywhere in a model, with the path of the module that each hangs on."""
    for path, module in model.named_modules():
        if isinstance(module, Adapter):
            yield path.rpartition(".")[0], module


def is_adapted(model: nn.Module) -> bool:
    """Whether the model, or a part of it, carries adapters of `attach`."""
    return next(adapters_in(model), None) is not None


def adapter_of(model: nn.Module) -> Adapter:
    """The one adapter of an adapted model; `AdapterError` where there is none, or where its parts have several."""
    found = list(adapters_in(model))
    if not found:
        raise AdapterError(f"{type(model).__name__} has no adapters; attach some first.")
    if len(found) > 1:
        named = ", ".join(path for path, _ in found)
        raise AdapterError(f"{type(model).__name__} has {len(found)} adapters, in {named}; take one part at a time.")
    return found[0][1]


def delta_weights(model: nn.Module, run: int = 0) -> list[tuple[Tensor, ...]]:
    """delta_weight of query and value, (out_features, in_features) each, for every adapted layer of one run.

    Exactly 0 for a projection that is not adapted. Rows are those that the projection owns, in their order.
    """
    factors = adapter_of(model).factors
    _check_run(factors, run)
    return factors.delta_weights(run)


def merge(model: Model, run: int = 0) -> Model:
    """A plain model of the original class with delta_weight of `run` added to its weights; `model` is untouched.

    All adapters in the model are merged, also where they are those of an encoder inside of it.
    """
    return _without_adapters(model, run, lambda layer: layer.merged(run), merged=True)


def detach(model: Model) -> Model:
    """A plain model of the original class as it was before `attach`; `model` is untouched."""
    return _without_adapters(model, 0, lambda layer: layer.restored(), merged=False)


def _check_run(factors: Factors, run: int) -> None:
    if not 0 <= run < factors.runs:
        raise SpecError(f"run must be a whole number from 0 to {factors.runs - 1}, got {run}.")


def _without_adapters(
    model: Model, run: int, plain_layer: Callable[[LowRankLinear], nn.Module], *, merged: bool
) -> Model:
    if not is_adapted(model):
        raise AdapterError(f"{type(model).__name__} has no adapters; attach some first.")
    for _, adapter in adapters_in(model):
        _check_run(adapter.factors, run)
    plain = copy.deepcopy(model)
    for path, module in list(plain.named_modules()):
        if isinstance(module, LowRankLinear):
            parent, _, name = path.rpartition(".")
            setattr(plain.get_submodule(parent), name, plain_layer(module))
        elif isinstance(module, nn.MultiheadAttention) and parametrize.is_parametrized(module):
            _without_update(module, merged=merged)
    for path, adapter in list(adapters_in(plain)):
        delattr(plain.get_submodule(path), ADAPTER_NAME)
        _thaw(plain, path, adapter)
    return plain


def _thaw(plain: nn.Module, path: str, adapter: Adapter) -> None:
    """Give gradients to the parameters that had them before `attach`; path: where the adapter hung in `plain`."""
    if f".{path}".endswith(f".{adapter.home}") or not adapter.home:  # plain holds the model given to `attach`
        root = path.removesuffix(adapter.home).removesuffix(".")
        whole, inside = plain.get_submodule(root), ""
    else:  # plain is a part of it
        whole, inside = plain, adapter.home.removesuffix(path).removesuffix(".") + "."
    for name, parameter in whole.named_parameters():
        parameter.requires_grad_(inside + name in adapter.thawed)


def _without_update(attention: nn.MultiheadAttention, *, merged: bool) -> None:
    """Make an attention's bare weight a parameter again."""
    lists: nn.ModuleDict = attention.parametrizations  # type: ignore[assignment]
    for name, updates in list(lists.items()):
        if any(isinstance(each, LowRankWeight) for each in updates.children()):
            parametrize.remove_parametrizations(attention, name, leave_parametrized=merged)
