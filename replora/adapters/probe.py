"""Which rows of a fused layer are query, key and value, found out by one forward pass of the model.

What the layer writes, z (tokens, rows), is made a leaf of the graph, and each softmax of its attention is watched:

- the logits of the last query depend on the rows of its query at few tokens, and on the rows of keys at all tokens;
- the attention's output, its gates held fixed, depends on the rows of values.

A row that fits neither, or an attention that is no softmax over tokens, is not guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from replora.adapters.layers import weight_of
from replora.adapters.rows import OwnedRows

SOFTMAX = {torch.softmax, F.softmax, Tensor.softmax}
KERNEL = F.scaled_dot_product_attention


@dataclass
class Seen:
    """What one attention did: the layer's output, its softmaxes' logits, its own output."""

    written: Tensor | None = None
    logits: list[Tensor] = field(default_factory=list)
    output: Tensor | None = None


class _Watch(TorchFunctionMode):
    """Notes logits and holds gates fixed while one of the watched attentions runs."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Seen | None = None
        self.weight: Tensor | None = None  # of the layer, where its attention reads it past the layer

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.now is None:
            return func(*args, **kwargs)
        if func is KERNEL:
            call = {**dict(zip(("query", "key"), args, strict=False)), **kwargs}
            query, key = call["query"], call["key"]
            shared = query.shape[-3] // key.shape[-3] if query.dim() > 3 else 1
            self.now.logits.append(query @ key.repeat_interleave(shared, dim=-3).mT if shared > 1 else query @ key.mT)
            free = {name: each for name, each in kwargs.items() if name not in ("query", "key")}
            return func(query.detach(), key.detach(), *args[2:], **free)
        if func in SOFTMAX:
            self.now.logits.append(args[0])
            return func(*args, **kwargs).detach()
        result = func(*args, **kwargs)
        if (
            func is F.linear
            and self.now.written is None
            and (args[1] if len(args) > 1 else kwargs["weight"]) is self.weight
        ):
            self.now.written = result = result.detach().requires_grad_()
        return result


def probe_rows(
    model: nn.Module, layers: Mapping[str, tuple[str, Sequence[str]]], forward: Callable[[], object]
) -> dict[str, dict[str, OwnedRows]]:
    """The rows by role for attention modules (by path) of `model`, each with its layer's name and the layer's roles.

    forward: runs the model once, on one example. What cannot be told is left out.
    """
    seen = {path: Seen() for path in layers}
    watch = _Watch()
    with ExitStack() as stack, torch.enable_grad():
        stack.enter_context(evaluating(model))
        for path, (name, _) in layers.items():
            for handle in _hooks(model.get_submodule(path), name, seen[path], watch):
                stack.callback(handle.remove)
        with watch:
            forward()
        found = {path: _rows_of(seen[path], roles) for path, (_, roles) in layers.items()}
    return {path: rows for path, rows in found.items() if rows}


def _hooks(module: nn.Module, name: str, seen: Seen, watch: _Watch) -> Iterator[Any]:
    """Watch one attention, the first time that it runs."""
    layer = module.get_submodule(name)

    def begin(*_: Any) -> None:
        if seen.output is None:
            watch.now, watch.weight = seen, weight_of(layer)

    def wrote(_: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if watch.now is not seen or seen.written is output:
            return None
        if seen.written is None:
            seen.written = output.detach().requires_grad_()
        return seen.written

    def end(_: nn.Module, args: Any, output: Any) -> None:
        if watch.now is seen:
            seen.output = output if isinstance(output, Tensor) else output[0]
            watch.now = watch.weight = None

    yield module.register_forward_pre_hook(begin)
    yield layer.register_forward_hook(wrote)
    yield module.register_forward_hook(end)


def _rows_of(seen: Seen, roles: Sequence[str]) -> dict[str, OwnedRows] | None:
    """The rows of each of `roles`, None where they cannot be told."""
    written, output = seen.written, seen.output
    if written is None or output is None or len(seen.logits) != 1:
        return None
    (logits,) = seen.logits
    asked = _tokens_read(logits[..., -1, :], written)  # by the last query's logits, (rows,)
    mixed = _tokens_read(output, written)  # by the output, gates held fixed, (rows,)
    most = int(asked.max())
    masks = {
        "query": (asked > 0) & (asked < most) if "query" in roles and "key" in roles else (asked > 0),
        "key": (asked == most) & (asked > 0),
        "value": (mixed > 0) & (asked == 0),
    }
    found = {role: OwnedRows.of(masks[role].nonzero().flatten().tolist()) for role in roles}
    whole = sum(map(len, found.values())) == len(asked) and all(len(each) for each in found.values())
    return found if whole else None


def _tokens_read(values: Tensor, written: Tensor) -> Tensor:
    """For each row of the layer at how many tokens `values` depend on it, (rows,)."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(values.shape, generator=generator).to(values)
    if not values.requires_grad:
        return torch.zeros(written.shape[-1], dtype=torch.long)
    (gradient,) = torch.autograd.grad(values.nan_to_num(), written, weights, retain_graph=True, materialize_grads=True)
    return (gradient.flatten(0, -2) != 0).sum(0).cpu()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout until the end of the block."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def example_inputs(model: nn.Module) -> dict[str, Tensor] | Tensor | None:
    """One example for a timm model or a transformers model of one tower, by what they say of themselves; or None."""
    generator = torch.Generator().manual_seed(0)
    config: Any = getattr(model, "config", None)
    name = getattr(model, "main_input_name", None)
    if config is not None and name == "input_ids":
        return {"input_ids": (torch.arange(2, 12) % int(config.get_text_config().vocab_size))[None]}
    if config is not None and name == "pixel_values":
        size: Any = getattr(config, "image_size", None)
        if size is None:
            return None
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return {name: torch.randn(1, getattr(config, "num_channels", 3), height, width, generator=generator)}
    facts: Any = getattr(model, "pretrained_cfg", None)
    if isinstance(facts, dict) and "input_size" in facts:
        channels, height, width = facts["input_size"]
        built: Any = getattr(getattr(model, "patch_embed", None), "img_size", None)
        height, width = built or (height, width)
        return torch.randn(1, channels, height, width, generator=generator)
    return None
