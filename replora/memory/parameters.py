"""How many parameters a method trains, counted from its knobs before any model is loaded. No torch."""

from __future__ import annotations

from replora.config import Method, RaceOptions
from replora.config.method import method_of
from replora.memory.sizes import Trained, sizes_of
from replora.methods import OURS, REFERENCE
from replora.options import options


def trained_parameters(method: Method, width: int, layers: int) -> int:
    """What `layers` adapted layers train, where query and value are as wide as the model; without the head."""
    if not method.has_adapter:
        return 0
    outputs = 1 if method.sharing == "tied" else len(method.projections)
    if not method.is_reparameterized:
        return layers * 2 * outputs * method.rank * width
    whole = method.latent == "diagonal"  # the MLP reads one row of `rank` numbers and writes the whole factor
    rows, read, written = (1, method.rank, method.rank * width) if whole else (method.rank, width, width)
    trunks = len(method.projections) if method.sharing == "separate" else 1
    hidden, inner = 0, read
    for _ in range(method.mlp_depth):
        hidden, inner = hidden + (inner + 1) * method.mlp_width, method.mlp_width
    mlps = 1 if method.layer_sharing == "one" else layers
    return 2 * (layers * trunks * rows * read + mlps * (trunks * hidden + outputs * (inner + 1) * written))


def rank_for(parameters: int, rank: int, trained: int) -> int:
    """LoRA's rank with which it trains about so many parameters, `trained` being those with `rank`; 0 where no form
    can have it."""
    found, most = round(rank * parameters / trained), options(RaceOptions)["lora_rank"].high
    return found if most is None or 1 <= found <= most else 0


def equal_rank(form: Trained) -> int:
    """LoRA's rank with which it trains as many parameters as RepLoRA does as a form of a race or study sets it."""
    width = sizes_of(form.backbone, form.task).width
    reference, ours = (method_of(form, name) for name in (REFERENCE, OURS))
    reference_trains, ours_trains = (trained_parameters(each, width, form.adapted_blocks) for each in (reference, ours))
    return rank_for(ours_trains, reference.rank, reference_trains)
