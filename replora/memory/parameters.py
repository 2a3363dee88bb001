"""How many parameters a method trains, counted from its knobs before any model is loaded. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from replora.config import Method, RaceOptions
from replora.config.method import method_of
from replora.memory.sizes import Trained, sizes_of
from replora.methods import OURS, REFERENCE
from replora.options import options
from replora.tasks import TaskError


def trained_parameters(method: Method, width: int, layers: int, value_width: int = 0) -> int:
    """What `layers` adapted layers train, the head left out.

    width: of the model and its queries; value_width: of values where that is another (grouped-query attention).
    """
    if not method.has_adapter:
        return 0
    widths = {"query": width, "value": value_width or width}
    made = [widths[each] for each in method.projections]  # by each projection's B; its A makes `width`
    made = made[:1] if method.sharing == "tied" else made
    if not method.is_reparameterized:
        return layers * method.rank * sum(width + each for each in made)
    sides = ([width] * len(made), made)
    if method.sharing == "separate":
        return sum(_mlp(method, [each], layers) for side in sides for each in side)
    return sum(_mlp(method, side, layers) for side in sides)


def _mlp(method: Method, outputs: Sequence[int], layers: int) -> int:
    """Of a latent and the MLP that makes factors of these widths of it."""
    whole = method.latent == "diagonal"  # the MLP reads one row of `rank` numbers and writes whole factors
    rows, read, at_once = (1, method.rank, method.rank) if whole else (method.rank, outputs[0], 1)
    units = [read, *[method.mlp_width] * method.mlp_depth, at_once * sum(outputs)]  # layer by layer
    weights = sum((inner + 1) * outer for inner, outer in pairwise(units))
    return layers * rows * read + (1 if method.layer_sharing == "one" else layers) * weights


def rank_for(parameters: int, rank: int, trained: int) -> int:
    """LoRA's rank with which it trains about so many parameters, `trained` being those with `rank`; 0 where no form
    can have it."""
    found, most = round(rank * parameters / trained), options(RaceOptions)["lora_rank"].high
    return found if most is None or 1 <= found <= most else 0


def equal_rank(form: Trained) -> int:
    """LoRA's rank with which it trains as many parameters as RepLoRA does as a form of a race or study sets it; 0 where
    there is none, or where the data of the task are not kept here any more and with them what its backbone is."""
    try:
        sizes = sizes_of(form.backbone, form.task)
    except TaskError:
        return 0
    reference, ours = (method_of(form, name) for name in (REFERENCE, OURS))
    counts = [
        trained_parameters(method, sizes.width, form.adapted_blocks, sizes.value_width) for method in (ours, reference)
    ]
    return rank_for(counts[0], reference.rank, counts[1])
