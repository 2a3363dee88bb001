"""`python -m benchmarks.growth`: how a training step grows with tokens, runs, rank, MLP width and adapted blocks.

One thing grows at a time, from a text race of 24 tokens, one run, rank 4, MLPs 64 wide and three blocks. At each value
a step of LoRA, one of RepLoRA and one of PEFT's LoRA (the usual loop, as in `benchmarks.step`) are taken in turns. Of
more runs than one PEFT's step is the time of one, so often: it trains them one by one. On a GPU a round is a block of
ten steps. `python -m scripts.draw_growth` draws what is kept in benchmarks/growth.json.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import peft
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.timing import interleave, machine
from replora.backbones import load_backbone
from replora.catalog import OWN_PREFIX
from replora.config import Method, MethodName, Precision, Race, Run
from replora.events import Step
from replora.tasks import batches, load_task
from replora.training.cache import autocast
from replora.training.device import choose_device, choose_dtype, device_name
from replora.training.graphs import pace_of
from replora.training.race import race
from scripts.build_assets import Example, TaskFacts, write_task

BATCH, EXAMPLES, MARKS = 16, 64, 2  # marks: the tokens that begin and end a text
BACKBONE = "minilm_l3"
WORDS = ("cat", "dog")  # a token each
AXES: dict[str, tuple[int, ...]] = {
    "tokens": (24, 64, 128),
    "runs": (1, 2, 8, 30, 60, 240),
    "rank": (1, 4, 16, 64),
    "mlp_width": (8, 32, 128, 512),
    "adapted_blocks": (1, 2, 3),
}


@dataclass(frozen=True)
class Point:
    """What a step is taken of."""

    tokens: int = 24
    runs: int = 1
    rank: int = 4
    mlp_width: int = 64
    adapted_blocks: int = 3

    @property
    def task(self) -> str:
        return f"{OWN_PREFIX}{self.tokens:022}"


def write_texts(tokens: int, folder: Path) -> None:
    """A task of texts of so many tokens, as own data are kept."""
    name = Point(tokens=tokens).task.removeprefix(OWN_PREFIX)
    rows = [
        Example(" ".join([WORDS[number % 2]] * (tokens - MARKS)), number % 2, split)
        for split in ("train", "test")
        for number in range(EXAMPLES)
    ]
    write_task(rows, TaskFacts(name, WORDS, "text", "made here", "MIT"), folder)


def ours(point: Point, method: MethodName, steps: int, device: torch.device, precision: Precision) -> Callable[[], Any]:
    """A block of steps of our engine a call; of one step on a CPU."""
    block = pace_of(device).block
    adapter = Method(name=method, rank=point.rank)
    if method == "replora":
        adapter = replace(adapter, mlp_width=point.mlp_width)
    spec = Race(
        task=point.task,
        runs=tuple(Run(method=adapter, seed=seed) for seed in range(point.runs)),
        steps=steps * block,
        batch_size=BATCH,
        adapted_blocks=point.adapted_blocks,
        evaluate_every=steps * block,
        test_examples=1,
        device="cuda" if device.type == "cuda" else "cpu",
        precision=precision,
    )
    told = (event for event in race(spec) if isinstance(event, Step))
    return lambda: list(itertools.islice(told, block))


def peft_loop(point: Point, steps: int, device: torch.device, dtype: torch.dtype) -> Callable[[], None]:
    """As many steps of PEFT's LoRA, of one run, in the usual loop a call as `ours` takes."""
    block = pace_of(device).block
    task, backbone = load_task(point.task), load_backbone(BACKBONE)
    layers = list(range(backbone.blocks - point.adapted_blocks, backbone.blocks))
    config = peft.LoraConfig(
        r=point.rank, lora_alpha=point.rank, target_modules=["query", "value"], layers_to_transform=layers
    )
    model: Any = peft.get_peft_model(backbone.model, config).eval().to(device)
    head = nn.Linear(backbone.width, len(task.classes), device=device)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW([{"params": trained, "lr": 3e-4}, {"params": head.parameters(), "lr": 3e-3}])
    inputs = {name: values.to(device) for name, values in backbone.encode(task.train.examples).items()}
    labels = torch.from_numpy(task.train.labels).to(device)
    order = iter(batches(len(labels), BATCH, steps * block, seed=0))

    def step() -> None:
        places = torch.from_numpy(next(order)).to(device)
        ids, mask = inputs["ids"][places], inputs["mask"][places]
        optimizer.zero_grad()
        with autocast(device, dtype):
            hidden = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        features = (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)  # (batch, width)
        F.cross_entropy(head(features), labels[places]).backward()
        optimizer.step()

    def take() -> None:
        for _ in range(block):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return take


def measure(point: Point, rounds: int, warmup: int, device: torch.device, precision: Precision) -> dict[str, float]:
    """Milliseconds of a step of each side."""
    steps, dtype = rounds + warmup, choose_dtype(precision, device)
    sides: dict[str, Callable[[], object]] = {
        "lora": ours(point, "lora", steps, device, precision),
        "replora": ours(point, "replora", steps, device, precision),
        "peft": peft_loop(point, steps, device, dtype),
    }
    seconds = interleave(sides, rounds, warmup)
    seconds["peft"] *= point.runs
    return {name: round(1e3 * value / pace_of(device).block, 3) for name, value in seconds.items()}


def growth(values: dict[int, dict[str, float]]) -> dict[str, float]:
    """How many times as long a step takes at the largest value, over how many times as large that is."""
    least, most = min(values), max(values)
    return {name: round(values[most][name] / values[least][name] / (most / least), 3) for name in values[least]}


def points(most_runs: int) -> Iterator[tuple[str, int, Point]]:
    """Every value of every axis."""
    for axis, values in AXES.items():
        for value in values:
            if axis != "runs" or value <= most_runs:
                yield axis, value, replace(Point(), **{axis: value})


@click.command()
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]), help="Where.")
@click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"]))
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1), help="Rounds that count.")
@click.option("--warmup", default=4, show_default=True, type=click.IntRange(1), help="Rounds before, not counted.")
@click.option("--most-runs", default=240, show_default=True, type=click.IntRange(1), help="No more runs at once.")
@click.option("--threads", default=None, type=click.IntRange(1), help="Intra-op threads; default: torch's own choice.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(
    device: str, precision: Precision, rounds: int, warmup: int, most_runs: int, threads: int | None, as_json: bool
) -> None:
    """Time training steps of ours and of PEFT's while one thing after another grows."""
    if threads:
        torch.set_num_threads(threads)
    chosen = choose_device("cuda" if device == "cuda" else "cpu")
    found: dict[str, dict[int, dict[str, float]]] = {axis: {} for axis in AXES}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REPLORA_DATA"] = folder
        for tokens in AXES["tokens"]:
            write_texts(tokens, Path(folder))
        for axis, value, point in points(most_runs):
            found[axis][value] = measure(point, rounds, warmup, chosen, precision)
            if not as_json:
                click.echo(f"{axis} {value}: {found[axis][value]}")
    over = {axis: growth(values) for axis, values in found.items()}
    facts = {"device": device_name(chosen), "precision": str(choose_dtype(precision, chosen)).removeprefix("torch.")}
    if as_json:
        click.echo(json.dumps({"machine": machine() | facts, "milliseconds": found, "growth": over}))
    else:
        click.echo(f"growth over that of what grows: {over}")


if __name__ == "__main__":
    main()
