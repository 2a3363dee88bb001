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
    from replora.theory.identifiability import (
        fisher_eigenvalues,
        profile_deviance,
        samples_to_tell,
        zero_eigenvalues,
    )
    from replora.theory.slopes import n_mse_over_sigma2
    from replora.theory.splits import split_loss
    from replora.theory.voronoi import cell_losses, voronoi_cells, voronoi_loss, voronoi_loss_by_count
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
    "cell_losses": "replora.theory.voronoi",
    "delta_weights": "replora.adapters.attach",
    "detach": "replora.adapters.attach",
    "find_attention": "replora.adapters.attach",
    "fisher_eigenvalues": "replora.theory.identifiability",
    "head_as_experts": "replora.lens.attention",
    "load_peft": "replora.adapters.peft",
    "merge": "replora.adapters.attach",
    "n_mse_over_sigma2": "replora.theory.slopes",
    "part_sizes": "replora.lens.attention",
    "profile_deviance": "replora.theory.identifiability",
    "race": "replora.training.race",
    "samples_to_tell": "replora.theory.identifiability",
    "save_peft": "replora.adapters.peft",
    "split_loss": "replora.theory.splits",
    "voronoi_cells": "replora.theory.voronoi",
    "voronoi_loss": "replora.theory.voronoi",
    "voronoi_loss_by_count": "replora.theory.voronoi",
    "zero_eigenvalues": "replora.theory.identifiability",
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
    "cell_losses",
    "delta_weights",
    "detach",
    "find_attention",
    "fisher_eigenvalues",
    "head_as_experts",
    "load_peft",
    "merge",
    "n_mse_over_sigma2",
    "part_sizes",
    "profile_deviance",
    "race",
    "samples_to_tell",
    "save_peft",
    "split_loss",
    "voronoi_cells",
    "voronoi_loss",
    "voronoi_loss_by_count",
    "zero_eigenvalues",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'replora' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
