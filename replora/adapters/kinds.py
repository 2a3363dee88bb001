"""How a method's factors arise: one class a way, looked up here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from replora.adapters.direct import DirectFactors
from replora.adapters.factors import AttentionShape, Factors
from replora.adapters.reparameterized import ReparameterizedFactors
from replora.config import Method
from replora.methods import METHODS, has_adapter
from replora.options import SpecError

KINDS: dict[str, type[DirectFactors | ReparameterizedFactors]] = {
    "direct": DirectFactors,
    "reparameterized": ReparameterizedFactors,
}


def make_factors(method: Method, shape: AttentionShape, seeds: Sequence[int]) -> Factors:
    """The factors of a method, one run a seed; `SpecError` where method and shape do not fit."""
    if not method.has_adapter:
        named = ", ".join(name for name in METHODS if has_adapter(name))
        raise SpecError(f"method must be one of {named} to have factors, got {method.name}.")
    width = min(min(shape.read(each), shape.width(each)) for each in method.projections)
    if method.rank > width:
        raise SpecError(f"rank must be a whole number from 1 to {width}, the layer's width, got {method.rank}.")
    return KINDS[METHODS[method.name].factors](method, shape, seeds)
