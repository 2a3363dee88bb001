"""Notes what attention layers mix while a model runs, where the model itself takes the product, and checks it.

Nothing here knows how a model computes its logits (bias, scale, mask, rotation, norm of query and key): the product of
weights and values is a matrix product after a softmax, or PyTorch's fused kernel.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from replora.adapters.linear import LowRankLinear
from replora.adapters.sites import AttentionSite
from replora.lens.mixtures import LayerExperts, Mixture
from replora.options import UserError

SOFTMAX = {torch.softmax, F.softmax, Tensor.softmax}
PRODUCT = {torch.matmul, Tensor.matmul, Tensor.__matmul__}
FUSED_KERNEL = F.scaled_dot_product_attention
FUSED_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
ROUNDING = 64  # allowed in the identity: epsilons of the number format, times the largest entry of the experts


class AttentionReadError(UserError):
    """An attention whose heads are not, or cannot be shown to be, gates times values; the message names its type."""


@contextmanager
def base_layers(module: nn.Module) -> Iterator[bool]:
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


class AttentionReader(TorchFunctionMode):
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
        if site.bare:
            raise _unreadable(attention, "its query and value are no layers of their own")

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            held["call"] = copy.deepcopy((args, kwargs))  # the attention may write into them (a cache of keys, say)
            self._open()

        def projected(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            held["values"] = rows.take(output, dim=-1).clone()

        def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            mixture = base = self._close(module)
            self._check(module, mixture, held.pop("values", None))
            with base_layers(module) as differs:
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
