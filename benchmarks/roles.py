"""Which of query, key and value move in an attention when one projection's factors move: its own products are watched.

Nothing here knows which rows of a layer are what: the fused kernel names its arguments, and of a written-out attention
the product before the softmax is of query and key, the one after it of gates and values.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from benchmarks.families import Inputs
from replora import Method, attach, find_attention
from replora.adapters.attach import adapter_of

KERNEL = F.scaled_dot_product_attention
SOFTMAX = {torch.softmax, F.softmax, Tensor.softmax}
PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.baddbmm, Tensor.baddbmm}
EINSUM = torch.functional.einsum, torch.einsum
ROLES = ("query", "key", "value")


class Products(TorchFunctionMode):
    """Notes query, key and value of the first attention that runs inside a module."""

    def __init__(self) -> None:
        super().__init__()
        self.open = False
        self.before: list[tuple[Tensor, Tensor, int]] = []  # products so far: factors, and numbers in the product
        self.gates: torch.Size | None = None
        self.read: dict[str, Tensor] = {}
        self.several = False  # softmaxes, so that there is no one product of gates and values

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self.open:
            return result
        if func is KERNEL and not self.read:
            call = {**dict(zip(ROLES, args, strict=False)), **kwargs}
            self.read = {role: call[role].detach().clone() for role in ROLES}
        elif func in SOFTMAX and self.read:
            self.several = True
        elif func in SOFTMAX:
            pairs = [(left, right) for left, right, size in self.before if size == args[0].numel()]
            if pairs:
                self.read = {"query": pairs[0][0], "key": pairs[0][1]}
                self.gates = result.shape
        elif func in PRODUCTS or func in EINSUM:
            left, right = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)][-2:]
            if self.gates is not None and "value" not in self.read and left.numel() == self.gates.numel():
                self.read["value"] = right.detach().clone()
            elif self.gates is None:
                self.before.append((left.detach().clone(), right.detach().clone(), result.numel()))
        return result


def _read(model: nn.Module, path: str, inputs: Inputs) -> dict[str, Tensor]:
    """Query, key and value of the first attention inside the module at `path`."""
    products = Products()
    module = model.get_submodule(path)

    def turn(opened: bool) -> Callable[..., None]:
        def turned(*_: Any) -> None:
            products.open = opened

        return turned

    with ExitStack() as stack, torch.no_grad():
        stack.callback(module.register_forward_pre_hook(turn(True)).remove)
        stack.callback(module.register_forward_hook(turn(False)).remove)
        stack.enter_context(products)
        model(**inputs)
    return {} if products.several else products.read


def differs(plain: Tensor, moved: Tensor) -> bool:
    """Beyond the rounding that memory's layout makes."""
    return bool((plain - moved).abs().max() > 1e-5 * plain.abs().max())


def moved_roles(model: nn.Module, projection: str, inputs: Inputs) -> list[str] | None:
    """Which of query, key and value move in the first attention when the factors of `projection` alone do there.

    None where its products cannot be watched: torch's own attention runs them all inside one function.
    """
    (first, *_) = find_attention(model, inputs)
    if first.bare:
        return None
    method = Method(name="lora", rank=2, projections=(projection,))  # type: ignore[arg-type]
    adapted = attach(model, method, layers=[0], inputs=inputs)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    plain, moved = (_read(each, first.path, inputs) for each in (model, adapted))
    if set(plain) != set(ROLES) or set(moved) != set(ROLES):
        return None
    return [role for role in ROLES if differs(plain[role], moved[role])]
