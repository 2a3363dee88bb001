"""`python -m benchmarks.models --json`: adapters on tiny models of many architectures, held against PEFT.

For each: attach, zero start, three steps, merge, save, PEFT's own model of the folder, the folder loaded back; all
differences as shares of the largest output. And who moves when only one projection's factors move: the attention's own
products are watched (`benchmarks.roles`), whatever is known here of its layers.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from benchmarks.families import FAMILIES, Family, Inputs
from benchmarks.roles import moved_roles
from replora import Method, attach, delta_weights, find_attention, load_peft, merge, save_peft
from replora.adapters.attach import adapter_of
from replora.adapters.sites import AttentionSite
from replora.options import UserError

LIMIT = 1e-5  # of the largest output
STEPS = 3
METHOD = Method(name="replora", rank=2, alpha=4, mlp_width=8)
RUNS = 2


@torch.no_grad()
def built(family: Family) -> nn.Module:
    """The model, with weights large enough that a change of its attention is seen in its output."""
    torch.manual_seed(0)
    model = family.build().eval()
    for parameter in model.parameters():
        if parameter.dim() == 0 or not parameter.numel():
            continue
        wanted = 0.15 if parameter.dim() == 2 else max(1, parameter[0].numel()) ** -0.5
        if parameter.abs().max() < 1e-2:  # biases of zero, scales of layers, heads that are to be trained
            parameter.add_(0.2 * torch.randn(parameter.shape))
        elif parameter.dim() > 1 and 0 < parameter.std() < wanted:
            parameter.mul_(wanted / parameter.std())
    return model


def output_of(model: nn.Module, inputs: Inputs) -> Tensor:
    """The model's first output of numbers: logits, or hidden states."""
    output: Any = model(**inputs)
    if not isinstance(output, Tensor):
        if hasattr(output, "text_embeds"):
            return torch.cat([output.text_embeds, output.image_embeds], dim=-1)
        names = ("logits", "itm_score", "last_hidden_state")
        output = next((output[name] for name in names if name in output), None) if hasattr(output, "keys") else output
    if isinstance(output, tuple):
        output = output[0]
    assert isinstance(output, Tensor)
    return output


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference as a share of the largest entry."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def scramble(adapted: nn.Module) -> None:
    """Move all factors away from their start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_of(adapted).factors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def three_steps(adapted: nn.Module, inputs: Inputs) -> None:
    """A few steps of AdamW towards random outputs."""
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        output = output_of(adapted, inputs)
        goal = torch.randn(output.shape, generator=torch.Generator().manual_seed(2)) * output.detach().abs().max()
        (output - goal).square().mean().backward()
        optimizer.step()


def layers_words(sites: list[AttentionSite]) -> str:
    """How a model's attention is adapted: layers, and where query and value are in each kind."""
    kinds = Counter(
        " and ".join(
            name if len(rows) == 1 and len(next(iter(rows.values()))) == site.widths[name][1] else f"rows of {name}"
            for name, rows in site.linears.items()
            if rows
        )
        for site in sites
    )
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.items())


def measured(family: Family) -> dict[str, Any]:
    """What adapters do on one architecture: the sentence that refuses them, or differences and roles."""
    model = built(family)
    inputs = family.inputs(2)
    try:
        sites = find_attention(model, inputs)
    except UserError as refusal:
        return {"outcome": "refused", "sentence": str(refusal)}
    found: dict[str, Any] = {"adapted": layers_words(sites)}
    with torch.no_grad():
        plain = output_of(model, inputs)
        if not torch.equal(plain, output_of(model, inputs)):
            return {**found, "outcome": "wrong", "why": "the model itself gives other outputs each time"}
    adapted = attach(model, METHOD, inputs=inputs)
    with torch.no_grad():
        found["zero"] = not any(each.any() for pair in delta_weights(adapted) for each in pair)
        found["start"] = difference(output_of(adapted, inputs), plain)  # a few models round by where their memory lies
    three_steps(adapted, inputs)
    with torch.no_grad():
        ours = output_of(adapted, inputs)
        found["moved"] = difference(ours, plain)
        found["merged"] = difference(output_of(merge(adapted), inputs), ours)
        found |= through_peft(model, adapted, inputs, ours)
        found["roles"] = {name: moved_roles(model, name, inputs) for name in ("query", "value")}
        found["runs"] = several_runs(model, inputs)
    found["outcome"] = verdict(found)
    return found


def through_peft(model: nn.Module, adapted: nn.Module, inputs: Inputs, ours: Tensor) -> dict[str, Any]:
    """The folder in PEFT, as it runs and merged, and back here; or the sentence that refuses to write it."""
    import peft

    with tempfile.TemporaryDirectory() as folder:
        try:
            save_peft(adapted, folder)
        except UserError as refusal:
            return {"peft": str(refusal)}
        oracle = peft.PeftModel.from_pretrained(copy.deepcopy(model), Path(folder)).eval()
        live = difference(output_of(oracle, inputs), ours)
        merged = difference(output_of(oracle.merge_and_unload(), inputs), ours)
        back = difference(output_of(load_peft(model, folder), inputs), ours)
    return {"peft": live, "peft merged": merged, "back": back}


def several_runs(model: nn.Module, inputs: Inputs) -> float | str:
    """Two runs as one batch against each alone; or the sentence that refuses."""
    whole = output_of(model, inputs)
    parts = [output_of(model, {name: each[place : place + 1] for name, each in inputs.items()}) for place in range(2)]
    if whole.shape == torch.cat(parts).shape and difference(torch.cat(parts), whole) > LIMIT:
        return "The model itself gives other outputs for an example in other company."
    try:
        adapted = attach(model, METHOD, runs=RUNS, inputs=inputs)
        scramble(adapted)
        together = output_of(adapted, {name: torch.cat([each] * RUNS) for name, each in inputs.items()})
    except UserError as refusal:
        return str(refusal)
    alone = [output_of(merge(adapted, run), inputs) for run in range(RUNS)]
    return max(difference(*pair) for pair in zip(together.chunk(RUNS), alone, strict=True))


def verdict(found: dict[str, Any]) -> str:
    """'right', or 'wrong' where a number is too large or another projection moves than should."""
    numbers = [
        found[name] for name in ("start", "merged", "peft merged", "back", "runs") if isinstance(found.get(name), float)
    ]
    roles = all(moved in ([role], None) for role, moved in found["roles"].items())
    small = found["zero"] and all(number <= LIMIT for number in numbers)
    return "right" if small and roles and found["moved"] > LIMIT else "wrong"


def quietly(measure: Callable[[Family], dict[str, Any]], family: Family) -> dict[str, Any]:
    """Without the libraries' own warnings; what raises is told and counted."""
    import transformers

    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return measure(family)
        except Exception as error:
            return {"outcome": "failed", "why": f"{type(error).__name__}: {str(error)[:300]}"}


@click.command()
@click.option("--only", default="", help="The architectures whose name holds this.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(only: str, as_json: bool) -> None:
    """Print each architecture's outcome, and how many there are of each."""
    torch.set_num_threads(1)
    found = {}
    for family in FAMILIES:
        if only in family.name:
            found[family.name] = {"library": family.library, **quietly(measured, family)}
            click.echo(f"{family.name}: {found[family.name]}", err=True)
    counts = dict(Counter(each["outcome"] for each in found.values()))
    click.echo(json.dumps({"architectures": len(found), "outcomes": counts, "found": found} if as_json else counts))


if __name__ == "__main__":
    main()
