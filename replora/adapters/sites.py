"""Find query and value in a model's attention: in layers of their own, fused, or as bare parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import Tensor, nn

from replora.adapters.factors import AttentionShape
from replora.adapters.layers import is_linear, widths_of
from replora.adapters.layouts import in_order, layout_of
from replora.adapters.probe import example_inputs, probe_rows
from replora.adapters.rows import OwnedRows, every_row
from replora.methods import PROJECTIONS, Projection
from replora.options import UserError

QUERY, KEY, VALUE = "query", "key", "value"
Inputs = Tensor | Mapping[str, Any]

FUSED = ("qkv", "query_key_value", "qkv_proj", "Wqkv", "c_attn", "qkv_linear", "att_proj")
KINDS: tuple[Mapping[str, tuple[str, ...]], ...] = (  # each kind of attention: its layers, and what is in each
    *(
        {query: (QUERY,), value: (VALUE,)}
        for query, value in (
            ("query", "value"),
            ("q_proj", "v_proj"),
            ("q_lin", "v_lin"),
            ("q", "v"),
            ("wq", "wv"),
            ("query_proj", "value_proj"),
            ("q_linear", "v_linear"),
            ("linear_q", "linear_v"),
            ("q_head", "v_head"),
            ("projection_query", "projection_value"),
            ("project_q", "project_v"),
            ("to_q", "to_v"),
            ("to_query", "to_value"),
        )
    ),
    {"q": (QUERY,), "kv": (KEY, VALUE)},
    {"to_q": (QUERY,), "to_kv": (KEY, VALUE)},
    {"q_attn": (QUERY,), "c_attn": (KEY, VALUE)},
    {"q_b_proj": (QUERY,), "kv_b_proj": (KEY, VALUE)},
    {"q_proj": (QUERY,), "kv_b_proj": (KEY, VALUE)},
    {"qk": (QUERY, KEY), "v": (VALUE,)},
    *({name: (QUERY, KEY, VALUE)} for name in FUSED),
)
KNOWN_ONLY: Mapping[str, tuple[str, ...]] = {"in_proj": (QUERY, KEY, VALUE)}  # a name that other things have too
TOGETHER, APART = "in_proj_weight", ("q_proj_weight", "v_proj_weight")  # of torch's own attention


class AttentionNotFoundError(UserError):
    """The model has no attention that can be adapted; the message names what was looked for and what was found."""


@dataclass(frozen=True)
class AttentionSite:
    """One attention layer: the path of its module, and of its linear layers the rows that each projection owns.

    linears: by the layers' names, one layer where they are fused; widths: in_features and out_features of each.
    bare: the names are those of parameters of the module itself, as in `nn.MultiheadAttention`.
    """

    path: str
    linears: Mapping[str, Mapping[Projection, OwnedRows]]
    widths: Mapping[str, tuple[int, int]]
    bare: bool = False

    def place(self, projection: Projection) -> tuple[str, OwnedRows]:
        """The linear layer of a projection and the rows it owns there."""
        return next((name, rows[projection]) for name, rows in self.linears.items() if projection in rows)

    def module_path(self, name: str) -> str:
        """The path of the module that holds the weight of a layer: the layer, or the attention where it is bare."""
        return ".".join(part for part in (self.path, "" if self.bare else name) if part)

    def shape(self, layers: int) -> AttentionShape:
        """The widths of so many such layers."""
        places = [self.place(each) for each in PROJECTIONS]
        reads = tuple(self.widths[name][0] for name, _ in places)
        writes = tuple(len(rows) for _, rows in places)
        return AttentionShape(layers, reads[0], writes, reads if len(set(reads)) > 1 else ())


def find_attention(model: nn.Module, inputs: Inputs | None = None) -> list[AttentionSite]:
    """All attention layers whose query and value can be adapted, in the model's order.

    Where query, key and value are fused and the attention's class is none that `replora.adapters.layouts` knows, one
    forward pass finds out which rows are which: on `inputs`, one example as the model takes it, or on one made up
    where the model says what it reads. Raises `AttentionNotFoundError` where there are none or where it cannot tell.
    """
    found = {path: kind for path, module in model.named_modules() if (kind := _kind_of(module))}
    if not found:
        raise AttentionNotFoundError(_nothing_found(model))
    unknown = {
        path: next((name, roles) for name, roles in kind.items() if len(roles) > 1)
        for path, kind in found.items()
        if any(len(roles) > 1 for roles in kind.values())
        and not isinstance(model.get_submodule(path), nn.MultiheadAttention)
        and layout_of(model.get_submodule(path)) is None
    }
    probed = _probed(model, unknown, inputs) if unknown else {}
    return [_site(path, model.get_submodule(path), kind, probed.get(path)) for path, kind in found.items()]


def _kind_of(module: nn.Module) -> Mapping[str, tuple[str, ...]] | None:
    """The layers of an attention and what is in each; None for any other module."""
    if isinstance(module, nn.MultiheadAttention):
        one = module._qkv_same_embed_dim
        return {TOGETHER: (QUERY, KEY, VALUE)} if one else {APART[0]: (QUERY,), APART[1]: (VALUE,)}
    kinds = KINDS if layout_of(module) is None else (*KINDS, KNOWN_ONLY)
    return next((kind for kind in kinds if all(is_linear(getattr(module, name, None)) for name in kind)), None)


def _site(
    path: str, module: nn.Module, kind: Mapping[str, tuple[str, ...]], probed: Mapping[str, OwnedRows] | None
) -> AttentionSite:
    bare = isinstance(module, nn.MultiheadAttention)
    layout = in_order if bare else layout_of(module)
    linears: dict[str, dict[Projection, OwnedRows]] = {}
    widths = {}
    for name, roles in kind.items():
        layer = getattr(module, name)
        in_features, rows = (layer.shape[1], layer.shape[0]) if bare else widths_of(layer)
        widths[name] = (in_features, rows)
        if len(roles) == 1:
            parts: Mapping[str, OwnedRows] = {roles[0]: every_row(rows)}
        else:
            parts = layout(module, roles, rows) if layout is not None else probed or {}
        linears[name] = {projection: parts[projection] for projection in PROJECTIONS if projection in parts}
    return AttentionSite(path, linears, widths, bare)


def _probed(
    model: nn.Module, unknown: Mapping[str, tuple[str, Sequence[str]]], inputs: Inputs | None
) -> dict[str, dict[str, OwnedRows]]:
    """The rows of fused layers in attentions of unknown classes; `AttentionNotFoundError` for any that is not told."""
    path, (name, _) = next(iter(unknown.items()))
    kind = type(model.get_submodule(path)).__name__
    why = f"Which rows of {name} in {kind} are query and value is not known"
    example = example_inputs(model) if inputs is None else inputs
    if example is None:
        raise AttentionNotFoundError(f"{why}; give inputs, one example, to find out by a forward pass.")
    device = next(chain(model.parameters(), model.buffers())).device

    def forward() -> None:
        if isinstance(example, Tensor):
            model(example.to(device))
        else:
            model(**{key: each.to(device) if isinstance(each, Tensor) else each for key, each in example.items()})

    try:
        found = probe_rows(model, unknown, forward)
    except Exception as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        source = "the example that was made up" if inputs is None else "inputs"
        raise AttentionNotFoundError(
            f"{why}, and {source} did not pass through the model to find out ({said[:100]}); "
            "give inputs, one example as the model takes it."
        ) from error
    for path, (name, roles) in unknown.items():
        if path not in found:
            module = model.get_submodule(path)
            raise AttentionNotFoundError(
                f"{path}.{name} ({type(module).__name__}) is no fused {', '.join(roles)} of a softmax over tokens that "
                "one forward pass could tell apart; it is not adapted by guess."
            )
    return found


def _nothing_found(model: nn.Module) -> str:
    named = ", ".join(" and ".join(kind) for kind in KINDS[:3])
    fused = {name: getattr(module, name) for module in model.modules() for name in FUSED if hasattr(module, name)}
    other = [f"{name} is a {type(layer).__name__}" for name, layer in fused.items() if isinstance(layer, nn.Module)]
    if other:
        return f"No attention was found in {type(model).__name__} that can be adapted: its {other[0]}, no linear layer."
    found = sorted({type(module).__name__ for module in model.modules() if not list(module.children())})
    return (
        f"No attention was found in {type(model).__name__}: looked for linear layers named {named}, "
        f"{FUSED[0]} and others, and for nn.MultiheadAttention; found modules of the types "
        f"{', '.join(found[:12]) or 'none'}."
    )
