"""Find query and value in a model's attention; attach adapters to a copy, merge them, take them off."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from replora.adapters.factors import AttentionShape, Factors
from replora.adapters.kinds import make_factors
from replora.adapters.linear import LowRankLinear
from replora.config import Method
from replora.methods import PROJECTIONS, Projection
from replora.options import SpecError, UserError

Model = TypeVar("Model", bound=nn.Module)

SEPARATE_NAMES: tuple[Mapping[Projection, str], ...] = (  # each kind of attention and its linear layers
    {"query": "query", "value": "value"},
    {"query": "q_proj", "value": "v_proj"},
    {"query": "q_lin", "value": "v_lin"},
)
FUSED_NAME, FUSED_ORDER = "qkv", ("query", "key", "value")
ADAPTER_NAME = "replora_adapter"


class AttentionNotFoundError(UserError):
    """The model has no attention that can be adapted; the message names what was looked for and what was found."""


class AdapterError(UserError):
    """The model has no adapters where some are needed, or has them already."""


@dataclass(frozen=True)
class AttentionSite:
    """One attention layer: the path of its module, and of its linear layers the rows that each projection owns."""

    path: str
    in_features: int
    linears: Mapping[str, Mapping[Projection, range]]  # by the layers' names; one layer where they are fused

    def place(self, projection: Projection) -> tuple[str, range]:
        """The linear layer of a projection and the rows it owns there."""
        return next((name, rows[projection]) for name, rows in self.linears.items() if projection in rows)

    def shape(self, layers: int) -> AttentionShape:
        """The widths of so many such layers."""
        return AttentionShape(layers, self.in_features, tuple(len(self.place(each)[1]) for each in PROJECTIONS))


class Adapter(nn.Module):
    """The adapted model's factors, and which base parameters wanted a gradient before they were frozen.

    bias: which biases a PEFT folder brought along, 'none', 'lora_only' or 'all'; brought: which modules, untrained.
    """

    bias = "none"
    brought: tuple[str, ...] = ()

    def __init__(self, factors: Factors, layers: Sequence[int], thawed: Sequence[str]) -> None:
        super().__init__()
        self.factors = factors
        self.layers = tuple(layers)
        self.thawed = frozenset(thawed)


def find_attention(model: nn.Module) -> list[AttentionSite]:
    """All attention layers whose query and value are linear, in the model's order; raises `AttentionNotFoundError`."""
    sites = [site for path, module in model.named_modules() if (site := _site(path, module))]
    if not sites:
        pairs = ", ".join(" and ".join(names.values()) for names in SEPARATE_NAMES)
        found = sorted({type(module).__name__ for module in model.modules() if not list(module.children())})
        raise AttentionNotFoundError(
            f"No attention was found in {type(model).__name__}: looked for linear layers named {pairs}, "
            f"or {FUSED_NAME}; found modules of the types {', '.join(found[:12]) or 'none'}."
        )
    return sites


def _site(path: str, module: nn.Module) -> AttentionSite | None:
    for names in SEPARATE_NAMES:
        found = {each: getattr(module, name, None) for each, name in names.items()}
        linears = {each: layer for each, layer in found.items() if isinstance(layer, nn.Linear)}
        if len(linears) == len(names) and len({layer.in_features for layer in linears.values()}) == 1:
            rows = {names[each]: {each: range(layer.out_features)} for each, layer in linears.items()}
            return AttentionSite(path, next(iter(linears.values())).in_features, rows)
    fused = getattr(module, FUSED_NAME, None)
    if isinstance(fused, nn.Linear) and fused.out_features % 3 == 0:
        if getattr(module, "q_bias", None) is not None:
            raise AttentionNotFoundError(
                f"{type(module).__name__} reads the weight of {FUSED_NAME} past the layer (it adds q_bias itself), "
                "so an update of the layer would be ignored; build it with qkv_fused=False."
            )
        third = fused.out_features // 3
        starts = {name: place * third for place, name in enumerate(FUSED_ORDER)}
        owned = {each: range(starts[each], starts[each] + third) for each in PROJECTIONS}
        return AttentionSite(path, fused.in_features, {FUSED_NAME: owned})
    return None


def attach(model: Model, method: Method, *, runs: int = 1, seed: int = 0, layers: Sequence[int] | None = None) -> Model:
    """A copy of `model` with its parameters frozen and `method`'s adapters on its projections; `model` is untouched.

    runs: how many fine-tunes the copy holds side by side, with seeds seed, seed + 1, ...; inputs then are the runs'
    batches one after another, (runs * batch, ...). layers: which attention layers, in the model's order, negative
    numbers counting from the end; None adapts all. delta_weight is exactly zero at the start.
    Method 'head' freezes the copy and adapts nothing. Raises `AttentionNotFoundError`, `AdapterError` or `SpecError`.
    """
    if runs < 1:
        raise SpecError(f"runs must be a whole number from 1, got {runs}.")
    if not method.has_adapter:
        find_attention(model)
        return _frozen_copy(model)[0]
    sites, chosen = choose_layers(model, layers)
    factors = make_factors(method, sites[0].shape(len(sites)), range(seed, seed + runs))
    return attach_factors(model, factors, chosen)


def choose_layers(model: nn.Module, layers: Sequence[int] | None) -> tuple[list[AttentionSite], list[int]]:
    """The chosen attention layers and their places; `SpecError` where one does not exist or their widths differ."""
    if is_adapted(model):
        raise AdapterError(f"{type(model).__name__} has adapters already; merge or detach them first.")
    sites = find_attention(model)
    count = len(sites)
    wanted = range(count) if layers is None else layers
    for layer in wanted:
        if not -count <= layer < count:
            raise SpecError(f"layers must be whole numbers from {-count} to {count - 1}, got {layer}.")
    places = sorted({layer % count for layer in wanted})
    if not places:
        raise SpecError(f"layers must name at least one of the {count} attention layers, got none.")
    chosen = [sites[place] for place in places]
    shapes = {site.shape(1) for site in chosen}
    if len(shapes) > 1:
        widths = ", ".join(str(each.in_features) for each in sorted(shapes, key=lambda each: each.in_features))
        raise SpecError(f"layers must share one width, got layers of {widths}; choose layers of one stage.")
    return chosen, places


def attach_factors(model: Model, factors: Factors, layers: Sequence[int]) -> Model:
    """A frozen copy of `model` whose attention layers `layers` (places, ascending) carry `factors`."""
    sites, _ = choose_layers(model, layers)
    adapted, thawed = _frozen_copy(model)
    reference = next(adapted.parameters())
    factors = factors.to(reference.device)
    for index, site in enumerate(sites):
        attention = adapted.get_submodule(site.path)
        for name, rows in site.linears.items():
            owned = {each: rows[each] for each in rows if each in factors.projections}
            if owned:
                setattr(attention, name, LowRankLinear(getattr(attention, name), factors, index, owned))
    adapted.add_module(ADAPTER_NAME, Adapter(factors, layers, thawed))
    return adapted


def _frozen_copy(model: Model) -> tuple[Model, list[str]]:
    """A deep copy without gradients, and the names of the parameters that wanted one."""
    adapted = copy.deepcopy(model)
    thawed = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    return adapted.requires_grad_(False), thawed


def is_adapted(model: nn.Module) -> bool:
    """Whether the model carries adapters of `attach`."""
    return isinstance(getattr(model, ADAPTER_NAME, None), Adapter)


def adapter_of(model: nn.Module) -> Adapter:
    """The adapter of an adapted model; `AdapterError` where there is none."""
    adapter = getattr(model, ADAPTER_NAME, None)
    if not isinstance(adapter, Adapter):
        raise AdapterError(f"{type(model).__name__} has no adapters; attach some first.")
    return adapter


def delta_weights(model: nn.Module, run: int = 0) -> list[tuple[Tensor, ...]]:
    """delta_weight of query and value, (out_features, in_features) each, for every adapted layer of one run.

    Exactly 0 for a projection that is not adapted.
    """
    factors = adapter_of(model).factors
    _check_run(factors, run)
    return factors.delta_weights(run)


def merge(model: Model, run: int = 0) -> Model:
    """A plain model of the original class with delta_weight of `run` added to its weights; `model` is untouched."""
    _check_run(adapter_of(model).factors, run)
    return _without_adapters(model, lambda layer: layer.merged(run))


def detach(model: Model) -> Model:
    """A plain model of the original class as it was before `attach`; `model` is untouched."""
    adapter_of(model)
    return _without_adapters(model, lambda layer: layer.base_layer)


def _check_run(factors: Factors, run: int) -> None:
    if not 0 <= run < factors.runs:
        raise SpecError(f"run must be a whole number from 0 to {factors.runs - 1}, got {run}.")


def _without_adapters(model: Model, plain_layer: Callable[[LowRankLinear], nn.Linear]) -> Model:
    plain = copy.deepcopy(model)
    thawed = adapter_of(plain).thawed
    for path, module in list(plain.named_modules()):
        if isinstance(module, LowRankLinear):
            parent, _, name = path.rpartition(".")
            setattr(plain.get_submodule(parent), name, plain_layer(module))
    delattr(plain, ADAPTER_NAME)
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(name in thawed)
    return plain
