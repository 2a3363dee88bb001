"""An attention head of a real model read as a mixture of experts, out of the model's own forward pass.

Row i of a head is sum_j gate_ij expert_j: gates are the softmax of its logits, expert_j is the value of token j. LoRA
on the query moves gates only, LoRA on the value experts only, and the change of the output splits exactly:

    output - base_output = (gates - base_gates) base_experts    [routing part]
                         + gates (experts - base_experts)       [expert part]

Gates and experts are noted while the model runs (`replora.lens.reader`), so they are its own, whatever its logits are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from replora.adapters.attach import adapter_of, is_adapted
from replora.adapters.probe import evaluating
from replora.adapters.sites import AttentionSite, find_attention
from replora.lens.measures import check_whole, expert_part, routing_part
from replora.lens.mixtures import HeadExperts, LayerExperts
from replora.lens.reader import AttentionReader, AttentionReadError, base_layers
from replora.options import SpecError

Inputs = Tensor | Mapping[str, Tensor]
Result = TypeVar("Result")


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


def real_tokens(inputs: Inputs, tokens: int) -> Tensor:
    """Which of `tokens` tokens are no padding, by the attention_mask of `inputs` where it has one, (tokens,) bool."""
    mask = None if isinstance(inputs, Tensor) else inputs.get("attention_mask")
    if mask is None or mask.shape != (1, tokens):
        return torch.ones(tokens, dtype=torch.bool)
    return mask[0] > 0


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
        check_whole("layer", place, len(sites))
    for run in runs:
        check_whole("run", run, _runs_of(model))
    reader = AttentionReader(_runs_of(model), runs, has_base=is_adapted(model))
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
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
    with base_layers(model):
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
