"""RepLoRA and LoRA for attention, side by side: adapters, races, studies and the theory of mixtures of experts.

`replora.config` and the other light modules load no torch: heavy names are imported when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replora.adapters.attach import attach, delta_weights, detach, find_attention, merge
    from replora.adapters.direct import DirectFactors
    from replora.adapters.factors import Factors
    from replora.adapters.peft import load_peft, save_peft
    from replora.adapters.reparameterized import ReparameterizedFactors
    from replora.config import Method, Race, Run
    from replora.lens.attention import head_as_experts, part_sizes
    from replora.options import SpecError
    from replora.training.race import race

__version__ = "0.1.0"

_HOMES = {
    "DirectFactors": "replora.adapters.direct",
    "Factors": "replora.adapters.factors",
    "Method": "replora.config",
    "Race": "replora.config",
    "ReparameterizedFactors": "replora.adapters.reparameterized",
    "Run": "replora.config",
    "SpecError": "replora.options",
    "attach": "replora.adapters.attach",
    "delta_weights": "replora.adapters.attach",
    "detach": "replora.adapters.attach",
    "find_attention": "replora.adapters.attach",
    "head_as_experts": "replora.lens.attention",
    "load_peft": "replora.adapters.peft",
    "merge": "replora.adapters.attach",
    "part_sizes": "replora.lens.attention",
    "race": "replora.training.race",
    "save_peft": "replora.adapters.peft",
}

__all__ = [
    "DirectFactors",
    "Factors",
    "Method",
    "Race",
    "ReparameterizedFactors",
    "Run",
    "SpecError",
    "attach",
    "delta_weights",
    "detach",
    "find_attention",
    "head_as_experts",
    "load_peft",
    "merge",
    "part_sizes",
    "race",
    "save_peft",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'replora' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
