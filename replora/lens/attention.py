"""An attention head of a real model read as a mixture of experts, out of the model's own forward pass.

Row i of a head is sum_j gate_ij expert_j: gates are the softmax of its logits, expert_j is the value of token j. LoRA
on the query moves gates only, LoRA on the value experts only, and the change of the output splits exactly:

    output - base_output = (gates - base_gates) base_experts    [routing part]
                         + gates (experts - base_experts)       [expert part]

Nothing here knows how a model computes its logits (bias, scale, mask, rotation, norm of query and key): while the model
runs, the product of weights and values is noted where the model itself takes it, as a softmax and a matrix product or
as PyTorch's fused kernel. This file needs torch, the rest of `replora.theory` does not: import it by its own name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from replora.adapters.attach import AttentionSite, adapter_of, find_attention, is_adapted
from replora.adapters.linear import LowRankLinear
from replora.options import SpecError, UserError

Inputs = Tensor | Mapping[str, Tensor]
Result = TypeVar("Result")

SOFTMAX = {torch.softmax, F.softmax, Tensor.softmax}
PRODUCT = {torch.matmul, Tensor.matmul, Tensor.__matmul__}
FUSED_KERNEL = F.scaled_dot_product_attention
FUSED_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
ROUNDING = 64  # allowed in the identity: epsilons of the number format, times the largest entry of the experts


class AttentionReadError(UserError):
    """An attention whose heads are not, or cannot be shown to be, gates times values; the message names its type."""


class Mixture(NamedTuple):
    """All heads of one layer: gates (heads, tokens, tokens), experts and output (heads, tokens, head_dim)."""

    gates: Tensor
    experts: Tensor
    output: Tensor


@dataclass(frozen=True)
class HeadExperts:
    """One head for one example; float32.

    gates (tokens, tokens): row i weighs the experts for token i; 0 where a mask hides the expert (the rows of padding
    itself are what the model makes of them). experts (tokens, head_dim). output (tokens, head_dim): what the model
    computed, before anything (norm, output projection) follows.
    base_gates, base_experts, base_output: what this head does on the same input activations without its layer's own
    update; updates of earlier layers stay in those activations, so the split is of this layer's update alone.
    routing_part + expert_part = output - base_output, (tokens, head_dim) each. None where the model has no adapters.
    """

    gates: Tensor
    experts: Tensor
    output: Tensor
    base_gates: Tensor | None = None
    base_experts: Tensor | None = None
    base_output: Tensor | None = None
    routing_part: Tensor | None = None
    expert_part: Tensor | None = None


@dataclass(frozen=True)
class LayerExperts:
    """One attention layer for one example: what it computed, and what it would have without its own update.

    `base` is the same attention on the same inputs (the adapted model's hidden states) with the frozen query and value
    projections; None where the model has no adapters, `mixture` itself where this layer has none.
    """

    mixture: Mixture
    base: Mixture | None

    def head(self, index: int) -> HeadExperts:
        """One head of the layer; `SpecError` where there is none of this index, from 0."""
        _whole("head", index, len(self.mixture.gates))
        gates, experts, output = (each[index] for each in self.mixture)
        if self.base is None:
            return HeadExperts(gates, experts, output)
        base_gates, base_experts, base_output = (each[index] for each in self.base)
        return HeadExperts(
            gates,
            experts,
            output,
            base_gates,
            base_experts,
            base_output,
            routing_part(gates, base_gates, base_experts),
            expert_part(gates, experts, base_experts),
        )


@dataclass(frozen=True)
class PartSizes:
    """For every layer and head, (layers, heads): the root mean square over tokens of the row norms of the routing part,
    the expert part, their sum (the change of the output), and the output without the update. Padding is left out."""

    routing: Tensor
    expert: Tensor
    change: Tensor
    base_output: Tensor


def head_as_experts(model: nn.Module, inputs: Inputs, *, layer: int, head: int, run: int = 0) -> HeadExperts:
    """One head of `model` as gates and experts, for one example and the adapter of `run`.

    inputs: as the model takes them: an image (1, 3, height, width), or names and tensors whose first axis is 1.
    layer: place among `find_attention`'s layers, from 0. Dropout is off meanwhile; the model is left as it was.
    Raises `AttentionNotFoundError`, `SpecError` (a bad value), `AttentionReadError` (a head that is no such mixture).
    """
    return read_layers(model, inputs, layers=[layer], run=run)[0].head(head)


def part_sizes(model: nn.Module, inputs: Inputs, *, run: int = 0) -> PartSizes:
    """How large routing part and expert part are on every head, from one forward pass of an adapted model.

    Arguments and errors as for `head_as_experts`; `AdapterError` where the model has no adapters.
    """
    adapter_of(model)
    read = read_layers(model, inputs, run=run)
    heads = sorted({len(each.mixture.gates) for each in read})
    if len(heads) > 1:
        raise AttentionReadError(f"The layers of {type(model).__name__} have {heads} heads, which make no map.")
    sizes = [layer_sizes(each, real_tokens(inputs, each.mixture.gates.shape[-1])) for each in read]
    return PartSizes(*(torch.stack(each) for each in zip(*sizes, strict=True)))


def layer_sizes(read: LayerExperts, real: Tensor | None = None) -> tuple[Tensor, ...]:
    """The four sizes of `PartSizes` for one layer, (heads,) each; `real` (tokens,): which tokens are no padding."""
    (gates, experts, _), base = read.mixture, read.base or read.mixture
    routing = routing_part(gates, base.gates, base.experts)
    expert = expert_part(gates, experts, base.experts)
    parts = (routing, expert, routing + expert, base.output)
    kept = slice(None) if real is None else real.to(gates.device)
    return tuple(each[:, kept].square().sum(-1).mean(-1).sqrt() for each in parts)


# Measures. Gates are (..., tokens, tokens), experts (..., tokens, head_dim): one head, or all heads of a layer.


def routing_part(gates: Tensor, base_gates: Tensor, base_experts: Tensor) -> Tensor:
    """sum_j (gate_ij - base_gate_ij) base_expert_j, (..., tokens, head_dim)."""
    return (gates - base_gates) @ base_experts


def expert_part(gates: Tensor, experts: Tensor, base_experts: Tensor) -> Tensor:
    """sum_j gate_ij (expert_j - base_expert_j), (..., tokens, head_dim)."""
    return gates @ (experts - base_experts)


def entropy(gates: Tensor) -> Tensor:
    """Entropy of each row of gates in nats, (..., tokens): 0 for one expert, log(tokens) for all alike."""
    entropies: Tensor = torch.special.entr(gates).sum(-1)
    return entropies


def effective_experts(gates: Tensor) -> Tensor:
    """exp(entropy): how many experts share each row, from 1 to tokens, (..., tokens)."""
    return entropy(gates).exp()


def kl(gates: Tensor, base_gates: Tensor) -> Tensor:
    """KL(gates || base_gates) of each query in nats, (..., tokens).

    A base gate that was rounded to 0 counts as the smallest normal number, so the result is finite (a lower bound).
    """
    floor = torch.finfo(base_gates.dtype).tiny
    terms = torch.xlogy(gates, gates) - torch.xlogy(gates, base_gates.clamp_min(floor))
    return terms.sum(-1).clamp_min(0)  # rounding alone can make the sum negative


def load(gates: Tensor, queries: Tensor | None = None) -> Tensor:
    """Mean gate of each token, (..., tokens), over all queries or those where `queries` (tokens,) is true."""
    return (gates if queries is None else gates[..., queries, :]).mean(-2)


def top_tokens(loads: Tensor, count: int) -> list[int]:
    """The `count` tokens of largest load, largest first and earlier first among equals; loads (tokens,)."""
    if loads.dim() != 1:
        raise SpecError(f"loads must have one axis, tokens, got shape {tuple(loads.shape)}.")
    _whole("count", count, len(loads) + 1, low=1)
    return [int(each) for each in loads.argsort(descending=True, stable=True)[:count]]


def shift_norms(experts: Tensor, base_experts: Tensor) -> Tensor:
    """How far the update moves each expert, (..., tokens): ||B_V A_V x_j||, scaling inside, B_V's rows of this head."""
    norms: Tensor = torch.linalg.vector_norm(experts - base_experts, dim=-1)
    return norms


def real_tokens(inputs: Inputs, tokens: int) -> Tensor:
    """Which of `tokens` tokens are no padding, by the attention_mask of `inputs` where it has one, (tokens,) bool."""
    mask = None if isinstance(inputs, Tensor) else inputs.get("attention_mask")
    if mask is None or mask.shape != (1, tokens):
        return torch.ones(tokens, dtype=torch.bool)
    return mask[0] > 0


# Reading.


@torch.no_grad()
def read_layers(
    model: nn.Module, inputs: Inputs, *, layers: Sequence[int] | None = None, run: int = 0
) -> list[LayerExperts]:
    """Attention layers (places from 0; None: all) in one forward pass; arguments and errors of `head_as_experts`."""
    batch = _repeated(inputs, _runs_of(model), next(model.parameters()).device)

    def forward() -> None:
        model(batch) if isinstance(batch, Tensor) else model(**batch)

    return read_forward(model, forward, layers=layers, runs=[run])[1][0]


@torch.no_grad()
def read_forward(
    model: nn.Module, forward: Callable[[], Result], *, layers: Sequence[int] | None = None, runs: Sequence[int] = (0,)
) -> tuple[Result, list[list[LayerExperts]]]:
    """What `forward` returns, and the attention layers for each of `runs` as `model` computed them meanwhile.

    forward: runs `model`, or parts of it, once on one example a run of the adapter, (runs, ...).
    """
    sites = _sites(model)
    places = range(len(sites)) if layers is None else layers
    for place in places:
        _whole("layer", place, len(sites))
    for run in runs:
        _whole("run", run, _runs_of(model))
    reader = _Reader(_runs_of(model), runs, has_base=is_adapted(model))
    with ExitStack() as stack:
        stack.enter_context(_evaluating(model))
        for place in dict.fromkeys(places):
            reader.watch(stack, model, sites[place])
        with reader:
            result = forward()
    read = [reader.result(model, sites[place]) for place in places]
    return result, [[layer[index] for layer in read] for index in range(len(runs))]


def _runs_of(model: nn.Module) -> int:
    return adapter_of(model).factors.runs if is_adapted(model) else 1


def _sites(model: nn.Module) -> list[AttentionSite]:
    """The attention layers of a plain or an adapted model, in the model's order."""
    with _base_layers(model):
        return find_attention(model)


def _repeated(inputs: Inputs, runs: int, device: torch.device) -> Tensor | dict[str, Tensor]:
    """The example once a run; `SpecError` unless it is one example."""
    if isinstance(inputs, Tensor):
        if inputs.dim() != 4:
            raise SpecError(f"inputs must be an image (1, 3, height, width), got shape {tuple(inputs.shape)}.")
        return _repeat("inputs", inputs, runs, device)
    if not isinstance(inputs, Mapping) or not inputs:
        raise SpecError(f"inputs must be an image tensor or names and tensors, got {type(inputs).__name__}.")
    return {name: _repeat(name, value, runs, device) for name, value in inputs.items()}


def _repeat(name: str, value: Any, runs: int, device: torch.device) -> Tensor:
    if not isinstance(value, Tensor) or value.dim() < 2 or len(value) != 1:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise SpecError(f"{name} must be a tensor of one example, its first of at least two axes 1, got {got}.")
    return value.to(device).repeat_interleave(runs, dim=0)


def _whole(name: str, value: int, stop: int, *, low: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < stop:
        raise SpecError(f"{name} must be a whole number from {low} to {stop - 1}, got {value!r}.")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout until the end of the block."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _base_layers(module: nn.Module) -> Iterator[bool]:
    """The frozen projections in place of all adapted ones inside `module` until the end; whether there are any."""
    adapted = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, LowRankLinear)
    ]
    for parent, name, child in adapted:
        setattr(parent, name, child.base_layer)
    try:
        yield bool(adapted)
    finally:
        for parent, name, child in adapted:
            setattr(parent, name, child)


class _Reader(TorchFunctionMode):
    """Notes what the watched attention layers mix, while it is entered and the model runs.

    The gates are the left factor of the first product after a softmax whose shape it has (so what dropout or a cast
    leaves of them), or the fused kernel's own output for the unit matrix in the place of the values.
    """

    def __init__(self, runs: int, chosen: Sequence[int], *, has_base: bool) -> None:
        super().__init__()
        self.runs, self.chosen, self.has_base = runs, chosen, has_base
        self.found: list[Mixture] | None = None  # of the attention that runs now
        self.weights_shape: torch.Size | None = None
        self.read: dict[str, list[LayerExperts]] = {}  # by path, for each chosen run

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self.found is None:
            return result
        if func is FUSED_KERNEL:
            call = {**dict(zip(FUSED_ARGUMENTS, args, strict=False)), **kwargs}
            self._note(_fused_gates(call), call["value"], result)
        elif func in SOFTMAX:
            self.weights_shape = result.shape
        elif func in PRODUCT and len(args) == 2 and args[0].shape == self.weights_shape:
            self._note(*args, result)
            self.weights_shape = None
        return result

    def _note(self, gates: Tensor, experts: Tensor, output: Tensor) -> None:
        assert self.found is not None
        self.found.append(Mixture(gates, experts, output))

    def watch(self, stack: ExitStack, model: nn.Module, site: AttentionSite) -> None:
        """Read the attention at `site` whenever the model calls it, until `stack` ends."""
        attention = model.get_submodule(site.path)
        held: dict[str, Any] = {}
        value_layer, rows = site.place("value")

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            held["call"] = copy.deepcopy((args, kwargs))  # the attention may write into them (a cache of keys, say)
            self._open()

        def projected(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            held["values"] = output[..., rows.start : rows.stop].clone()

        def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            mixture = base = self._close(module)
            self._check(module, mixture, held.pop("values", None))
            with _base_layers(module) as differs:
                if differs:
                    call_args, call_kwargs = held["call"]
                    self._open()
                    module.forward(*call_args, **call_kwargs)
                    base = self._close(module)
            if site.path in self.read:
                raise _unreadable(module, "it runs more than once in a forward pass")
            self.read[site.path] = [
                LayerExperts(_of_run(mixture, run), _of_run(base, run) if self.has_base else None)
                for run in self.chosen
            ]

        handles = (
            attention.register_forward_pre_hook(before, with_kwargs=True),
            attention.register_forward_hook(after, with_kwargs=True),
            attention.get_submodule(value_layer).register_forward_hook(projected),
        )
        for handle in handles:
            stack.callback(handle.remove)

    def _open(self) -> None:
        self.found, self.weights_shape = [], None

    def _close(self, attention: nn.Module) -> Mixture:
        found, self.found = self.found or [], None
        if len(found) != 1:
            raise _unreadable(
                attention,
                f"it takes {len(found)} products of a softmax and values (with transformers, "
                'set_attn_implementation("eager" or "sdpa") makes one that can be read)',
            )
        return found[0]

    def _check(self, attention: nn.Module, mixture: Mixture, values: Tensor | None) -> None:
        """That experts are the value projection's rows, gates are shares, and the output is gates times experts."""
        gates, experts, output = mixture
        shapes = ", ".join(str(tuple(each.shape)) for each in mixture)
        if values is None or values.dim() != 3 or experts.dim() != 4 or gates.dim() != 4:
            raise _unreadable(attention, f"its weights, values and output have the shapes {shapes}")
        tokens, head_dim = values.shape[1], experts.shape[-1]
        rows = values.unflatten(-1, (-1, head_dim)).transpose(1, 2) if values.shape[-1] % head_dim == 0 else values
        if len(values) != self.runs or gates.shape[0] != self.runs or gates.shape[-2:] != (tokens, tokens):
            raise _unreadable(attention, f"it regroups the tokens (weights, values and output of {shapes})")
        heads = gates.shape[1]
        if heads % rows.shape[1] or not torch.equal(_each_head(rows, heads), _each_head(experts, heads)):
            raise _unreadable(attention, "what it mixes is not the output of its value projection")
        rounding = ROUNDING * torch.finfo(output.dtype).eps
        for one in (_of_run(mixture, run) for run in self.chosen):
            sums = one.gates.sum(-1)  # 0 where a query, itself padding, may read nothing
            if bool((one.gates < 0).any()) or bool((torch.minimum((sums - 1).abs(), sums.abs()) > rounding).any()):
                raise _unreadable(attention, "its weights are no shares: they are below 0 or do not add up to 1")
            residual = (one.gates @ one.experts - one.output).abs().max()
            if not residual <= rounding * one.experts.abs().max():
                raise _unreadable(attention, f"its output differs from gates times values by {residual:.1e}")

    def result(self, model: nn.Module, site: AttentionSite) -> list[LayerExperts]:
        """What was read at `site`; `AttentionReadError` where the model did not run it."""
        if site.path not in self.read:
            raise _unreadable(model.get_submodule(site.path), "these inputs do not reach it")
        return self.read[site.path]


def _of_run(mixture: Mixture, run: int) -> Mixture:
    """One run's heads in float32, a value a head where heads share one (grouped-query attention)."""
    gates, experts, output = (each[run].detach().float() for each in mixture)
    return Mixture(gates, experts.repeat_interleave(len(gates) // len(experts), dim=0), output)


def _fused_gates(call: dict[str, Any]) -> Tensor:
    """Gates (runs, heads, tokens, tokens) of a call of the fused kernel: its own output for unit vectors as values.

    head_dim of them at a time, so that the kernel is the one that served the model: others round otherwise.
    """
    value: Tensor = call["value"]
    tokens, head_dim = value.shape[-2:]
    unit = torch.eye(tokens, -(-tokens // head_dim) * head_dim, dtype=value.dtype, device=value.device)
    blocks = [
        FUSED_KERNEL(**{**call, "value": block.expand_as(value).contiguous()}) for block in unit.split(head_dim, dim=-1)
    ]
    return torch.cat(blocks, dim=-1)[..., :tokens]


def _each_head(values: Tensor, heads: int) -> Tensor:
    """Values (runs, value_heads, tokens, head_dim) once for each of the heads that share them."""
    return values.repeat_interleave(heads // values.shape[1], dim=1)


def _unreadable(attention: nn.Module, reason: str) -> AttentionReadError:
    return AttentionReadError(f"{type(attention).__name__} cannot be read as gates and experts: {reason}.")
