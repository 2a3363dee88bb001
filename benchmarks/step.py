"""`python -m benchmarks.step`: one training step of ours against PEFT's, and how near it is to the machine's limit.

Both sides train one LoRA run of rank 4 with AdamW on the same embedded model, task, batch of 16 and number of threads,
in float32 unless said otherwise, and each round takes one step of each. PEFT's side is the usual loop: the whole model
forward, backward, `torch.optim.AdamW`, the libraries' default attention. Ours is the engine as the app runs it, its
prefix cache warm: it skips the frozen prefix, what nobody pools, padding after the attention, and fused attention.
On a GPU (`--device cuda`) it is what `benchmarks.replays` measures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
import peft
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import replays
from benchmarks.timing import interleave, machine
from replora.adapters.attach import attach, merge
from replora.backbones import Backbone, load_backbone
from replora.catalog import TASKS
from replora.config import Method, MethodName, Precision, Race, Run
from replora.events import Event, Step
from replora.tasks import batches, load_task, nested_subset, subset_size
from replora.training.cache import autocast
from replora.training.device import multiplies_bfloat16_faster
from replora.training.race import race

RANK, BATCH, ADAPTED = 4, 16, 3
FRACTION = 0.05
PROFILED = 20  # steps
CASES = {"vision": "digits", "text": "wordnet_topics"}
TARGETS = {
    "vision": r"blocks\.[345]\.attn\.qkv",
    "text": r"encoder\.layer\.\d+\.attention\.self\.(query|value)",
}


def engine_steps(task: str, methods: Sequence[MethodName], steps: int, precision: Precision) -> Callable[[], Event]:
    """One step of a run of each method, on the same batches, of our engine a call."""
    spec = Race(
        task=task,
        runs=tuple(Run(method=Method(name=each, rank=RANK), data_fraction=FRACTION) for each in methods),
        steps=steps,
        batch_size=BATCH,
        adapted_blocks=ADAPTED,
        evaluate_every=steps,
        test_examples=1,
        device="cpu",
        precision=precision,
    )
    told = race(spec)
    return lambda: next(event for event in told if isinstance(event, Step))


def peft_steps(case: str, steps: int, dtype: torch.dtype) -> Callable[[], None]:
    """One step of PEFT's LoRA in the usual loop a call, in bfloat16 by autocast as is usual."""
    task = load_task(CASES[case])
    backbone = load_backbone(TASKS[CASES[case]].backbone)
    config = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS[case])
    backbone.model = peft.get_peft_model(backbone.model, config).eval()
    head = nn.Linear(backbone.width, len(task.classes))
    trained = [each for each in backbone.model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW([{"params": trained, "lr": 1e-3}, {"params": head.parameters(), "lr": 3e-3}])
    count = subset_size(len(task.train), len(task.classes), FRACTION)
    subset = task.train.take(nested_subset(task.train.labels, count, seed=0))
    inputs = backbone.encode(subset.examples)
    labels = torch.from_numpy(subset.labels)
    order = iter(batches(count, BATCH, steps, seed=0))

    def features(rows: dict[str, Tensor]) -> Tensor:
        if case == "vision":
            return backbone.model(rows["pixels"])  # type: ignore[no-any-return]
        hidden = backbone.model(input_ids=rows["ids"], attention_mask=rows["mask"].long()).last_hidden_state
        weights = rows["mask"].unsqueeze(-1).float()
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)  # type: ignore[no-any-return]

    def step() -> None:
        places = torch.from_numpy(next(order))
        rows = {name: values[places] for name, values in inputs.items()}
        if "mask" in rows:
            longest = int(rows["mask"].sum(dim=1).max())
            rows = {name: values[:, :longest] for name, values in rows.items()}
        optimizer.zero_grad()
        with autocast(backbone.device, dtype):
            found = features(rows)
        F.cross_entropy(head(found.float()), labels[places]).backward()
        optimizer.step()

    return step


def frozen_products(backbone: Backbone, rows: dict[str, Tensor]) -> list[tuple[int, int, int]]:
    """Shapes (m, k, n) of the products with frozen weights in one training step, forward and backward to inputs."""
    shapes: list[tuple[int, int, int]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Linear)
        m, k, n = inputs[0].numel() // module.in_features, module.in_features, module.out_features
        shapes.append((m, k, n))
        if inputs[0].requires_grad:
            shapes.append((m, n, k))

    hooks = [each.register_forward_hook(note) for each in backbone.model.modules() if isinstance(each, nn.Linear)]
    backbone.features(rows, backbone.blocks - ADAPTED)
    for hook in hooks:
        hook.remove()
    return shapes


def products_in_place(step: Callable[[], object]) -> tuple[float, float]:
    """Operations and seconds a step of the products with frozen weights, as they run inside training steps.

    In a LoRA run these are all of torch's mm and addmm: factors and heads, stacked over runs, go through bmm and
    baddbmm.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], with_flops=True) as profile:
        for _ in range(PROFILED):
            step()
    found = [each for each in profile.key_averages() if each.key in ("aten::mm", "aten::addmm")]
    return sum(each.flops for each in found) / PROFILED, sum(
        each.self_cpu_time_total for each in found
    ) / 1e6 / PROFILED


def bare_products(shapes: list[tuple[int, int, int]], dtype: torch.dtype) -> Callable[[], None]:
    """The same products and nothing else."""
    pairs = [(torch.randn(m, k, dtype=dtype), torch.randn(n, k, dtype=dtype)) for m, k, n in shapes]

    def run() -> None:
        with torch.no_grad():
            for x, weight in pairs:
                F.linear(x, weight)

    return run


def measure(case: str, rounds: int, warmup: int) -> dict[str, Any]:
    """All figures of one case: medians in milliseconds, ratios."""
    steps = rounds + warmup + PROFILED
    task = load_task(CASES[case])
    plain = load_backbone(TASKS[CASES[case]].backbone)
    first = plain.blocks - ADAPTED
    adapted = attach(plain.model, Method(name="lora", rank=RANK), layers=range(first, plain.blocks))
    merged = plain.with_model(merge(adapted))
    inputs = plain.encode(task.train.examples[:BATCH])
    with torch.no_grad():
        rows = plain.prefix(inputs, first)

    def forward(backbone: Backbone) -> Callable[[], Tensor]:
        def run() -> Tensor:
            with torch.no_grad():
                return backbone.features(backbone.prefix(inputs, 0), 0)

        return run

    shapes = frozen_products(plain.with_model(adapted), rows)
    task_name = CASES[case]
    sides: dict[str, Callable[[], object]] = {
        "lora": engine_steps(task_name, ["lora"], steps, "float32"),
        "peft": peft_steps(case, steps, torch.float32),
        "replora": engine_steps(task_name, ["replora"], steps, "float32"),
        "race": engine_steps(task_name, ["lora", "replora"], steps, "float32"),
        "bare": bare_products(shapes, torch.float32),
    }
    if multiplies_bfloat16_faster(plain.device):  # else a race chooses float32, and emulation takes minutes
        sides |= {
            "lora_bfloat16": engine_steps(task_name, ["lora"], steps, "bfloat16"),
            "peft_bfloat16": peft_steps(case, steps, torch.bfloat16),
            "race_bfloat16": engine_steps(task_name, ["lora", "replora"], steps, "bfloat16"),
            "bare_bfloat16": bare_products(shapes, torch.bfloat16),
        }
    seconds = interleave(sides, rounds, warmup)
    # Two nearly equal times: nothing else between them, and more rounds.
    seconds |= interleave({"base_forward": forward(plain), "merged_forward": forward(merged)}, 5 * rounds, warmup)
    flops, inside = products_in_place(sides["lora"])
    race_flops, _ = products_in_place(sides["race"])
    operations = sum(2 * m * k * n for m, k, n in shapes)
    bare_rate = operations / seconds["bare"]
    figures = {
        "milliseconds": {name: round(1e3 * value, 2) for name, value in seconds.items()},
        "lora_over_peft": round(seconds["lora"] / seconds["peft"], 3),
        "replora_over_lora": round(seconds["replora"] / seconds["lora"], 3),
        "merged_over_base": round(seconds["merged_forward"] / seconds["base_forward"], 3),
        "bare_gigaflops": round(bare_rate / 1e9, 1),
        "products_gigaflops": round(flops / inside / 1e9, 1),
        "products_over_bare": round(flops / inside / bare_rate, 3),
        "step_gigaflops": round(flops / seconds["lora"] / 1e9, 1),
        "lora_in_bare_products": round(seconds["lora"] * bare_rate / flops, 2),
        "race_in_bare_products": round(seconds["race"] * bare_rate / race_flops, 2),
    }
    if "bare_bfloat16" in seconds:
        figures |= {
            "bfloat16_over_float32": round(seconds["lora_bfloat16"] / seconds["lora"], 3),
            "lora_over_peft_bfloat16": round(seconds["lora_bfloat16"] / seconds["peft_bfloat16"], 3),
            "race_in_bare_products_bfloat16": round(
                seconds["race_bfloat16"] * operations / seconds["bare_bfloat16"] / race_flops, 2
            ),
        }
    return figures


def results(rounds: int, warmup: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for case in CASES:
        yield case, measure(case, rounds, warmup)


@click.command()
@click.option("--rounds", default=40, show_default=True, type=click.IntRange(1), help="Rounds that count.")
@click.option("--warmup", default=25, show_default=True, type=click.IntRange(1), help="Rounds before, not counted.")
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]), help="Where.")
@click.option("--runs", default="2,12,60,240", show_default=True, help="On cuda: how many runs at once, several.")
@click.option("--threads", default=None, type=click.IntRange(1), help="Intra-op threads; default: torch's own choice.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(rounds: int, warmup: int, device: str, runs: str, threads: int | None, as_json: bool) -> None:
    """Time one training step of ours against PEFT's and a bare matrix product's; on cuda, launched against replayed."""
    if threads:
        torch.set_num_threads(threads)
    found: dict[str, Any] = {"machine": machine()}
    counts = [int(each) for each in runs.split(",")]
    on_gpu = ((case, replays.measure(task, counts, rounds, warmup, "bfloat16")) for case, task in CASES.items())
    for case, figures in results(rounds, warmup) if device == "cpu" else on_gpu:
        found[case] = figures
        if not as_json:
            click.echo(f"{case}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    if as_json:
        click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
