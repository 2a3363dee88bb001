"""`python -m benchmarks.study`: runs per second of a study against PEFT's loop, and against its own runs one by one.

All in one program, on one device. PEFT's side is the usual loop of fine-tunes, one after another: for each run a fresh
LoRA on a copy of the loaded backbone, the whole model forward and backward, `torch.optim.AdamW`, the libraries' default
attention, and one evaluation at the end. It is spared what ours pays: its clock starts after backbone, texts or images
are loaded and encoded. Ours is `replora.studies.study` from nothing, half its runs RepLoRA. Same task, number of steps,
batch size, rank, test examples and precision on both sides. Each side runs once before, not counted.
"""

from __future__ import annotations

import copy
import dataclasses
import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import peft
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.step import CASES, TARGETS
from benchmarks.timing import machine
from replora.backbones import Rows, load_backbone
from replora.catalog import TASKS
from replora.config import Run
from replora.studies.events import StudyStarted
from replora.studies.spec import RATES, RateStudy
from replora.studies.study import study
from replora.tasks import Split, batches, load_task, nested_subset, subset_size
from replora.training.batch import TEST_SEED
from replora.training.cache import CHUNK, autocast
from replora.training.device import choose_device, choose_dtype, device_name
from replora.training.race import preload, race


class PeftLoop:
    """Fine-tunes with PEFT, one after another, on the data of a study."""

    def __init__(self, case: str, spec: RateStudy) -> None:
        self.spec = spec
        self.case = case
        self.device = choose_device(spec.device)
        self.dtype = choose_dtype(spec.precision, self.device)
        self.task = load_task(spec.task)
        self.backbone = load_backbone(TASKS[spec.task].backbone)
        self.model = self.backbone.model.to(self.device)
        labels = self.task.train.labels
        self.count = subset_size(len(labels), len(self.task.classes), spec.data_fraction)
        self.subset = nested_subset(labels, self.count, seed=0)
        test = nested_subset(self.task.test.labels, min(spec.test_examples, len(self.task.test)), TEST_SEED)
        self.train, self.train_labels = self._on_device(self.task.train.take(self.subset))
        self.test, self.test_labels = self._on_device(self.task.test.take(test))

    def _on_device(self, split: Split) -> tuple[Rows, Tensor]:
        inputs = {name: values.to(self.device) for name, values in self.backbone.encode(split.examples).items()}
        return inputs, torch.from_numpy(split.labels).to(self.device)

    def run(self, seed: int, rate: float) -> float:
        """One fine-tune: its accuracy on the test examples."""
        spec = self.spec
        config = peft.LoraConfig(r=spec.rank, lora_alpha=spec.alpha, target_modules=TARGETS[self.case])
        model = peft.get_peft_model(copy.deepcopy(self.model), config).eval()
        head = nn.Linear(self.backbone.width, len(self.task.classes), device=self.device)
        trained = [each for each in model.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(
            [{"params": trained, "lr": rate}, {"params": head.parameters(), "lr": spec.head_learning_rate}],
            weight_decay=spec.weight_decay,
        )
        for order in batches(self.count, spec.batch_size, spec.steps, seed):
            places = torch.from_numpy(order).to(self.device)
            optimizer.zero_grad()
            logits = self._logits(model, head, self.train, places)
            F.cross_entropy(logits, self.train_labels[places]).backward()
            optimizer.step()
        right = 0
        with torch.no_grad():
            for places in torch.arange(len(self.test_labels), device=self.device).split(CHUNK[self.device.type]):
                answers = self._logits(model, head, self.test, places).argmax(dim=-1)
                right += int((answers == self.test_labels[places]).sum())
        return right / len(self.test_labels)

    def _logits(self, model: Any, head: nn.Module, inputs: Rows, places: Tensor) -> Tensor:
        rows = {name: values[places] for name, values in inputs.items()}
        with autocast(self.device, self.dtype):
            if self.case == "vision":
                features = model(rows["pixels"])
            else:
                longest = int(rows["mask"].sum(dim=1).max())
                ids, mask = rows["ids"][:, :longest], rows["mask"][:, :longest]
                hidden = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
                weights = mask.unsqueeze(-1).to(hidden.dtype)
                features = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return head(features.float())  # type: ignore[no-any-return]


def against_peft(case: str, spec: RateStudy, peft_runs: int) -> dict[str, Any]:
    """Runs per second of a study and of PEFT's loop."""
    warm = dataclasses.replace(spec, steps=2)
    list(study(warm))
    ours, batches_used = _study_seconds(spec)
    loop = PeftLoop(case, spec)
    PeftLoop.run(PeftLoop(case, warm), 0, spec.rates[0])
    theirs = _timed(
        loop.device, lambda: [loop.run(seed, spec.rates[seed % len(spec.rates)]) for seed in range(peft_runs)]
    )
    runs = len(spec.runs())
    return {
        "device": device_name(loop.device),
        "precision": str(loop.dtype).removeprefix("torch."),
        "steps": spec.steps,
        "batch_size": spec.batch_size,
        "test_examples": spec.test_examples,
        "study_runs": runs,
        "study_batches": batches_used,
        "study_seconds": round(ours, 3),
        "study_runs_per_second": round(runs / ours, 3),
        "peft_runs": peft_runs,
        "peft_seconds": round(theirs, 3),
        "peft_runs_per_second": round(peft_runs / theirs, 3),
        "times_peft": round(runs / ours / (peft_runs / theirs), 2),
    }


def against_single_races(spec: RateStudy, rounds: int) -> dict[str, Any]:
    """Seconds of a study over those of its runs as races of one, in turns; medians of `rounds`."""
    device = choose_device(spec.device)

    def one_by_one() -> None:
        for run in spec.runs():
            _drain(spec, run)

    list(study(dataclasses.replace(spec, steps=2)))
    together, apart = [], []
    for _ in range(rounds):
        together.append(_study_seconds(spec)[0])
        apart.append(_timed(device, one_by_one))
    return {
        "device": device_name(device),
        "runs": len(spec.runs()),
        "steps": spec.steps,
        "study_seconds": round(statistics.median(together), 3),
        "single_races_seconds": round(statistics.median(apart), 3),
        "ratio": round(statistics.median(a / b for a, b in zip(together, apart, strict=True)), 3),
    }


def _drain(spec: RateStudy, run: Run) -> None:
    for _ in race(spec.race([run])):
        pass


def _study_seconds(spec: RateStudy) -> tuple[float, int]:
    """Wall time of a study and in how many batches it ran."""
    begun = time.perf_counter()
    used = [event.batches for event in study(spec) if isinstance(event, StudyStarted)]
    return time.perf_counter() - begun, used[0]


def _timed(device: torch.device, work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def _peak_megabytes() -> float:
    """Most main memory this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


@click.command()
@click.option("--case", default="text", show_default=True, type=click.Choice(list(CASES)), help="What is learnt.")
@click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda", "mps"]))
@click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "float32", "bfloat16"]))
@click.option("--steps", default=100, show_default=True, type=click.IntRange(1), help="Steps a run.")
@click.option("--batch-size", default=16, show_default=True, type=click.IntRange(1), help="Examples a step.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1), help="12 runs a seed.")
@click.option("--test-examples", default=300, show_default=True, type=click.IntRange(1))
@click.option("--peft-runs", default=6, show_default=True, type=click.IntRange(1), help="Runs of PEFT's loop.")
@click.option("--rounds", default=0, show_default=True, type=click.IntRange(0), help="Rounds against single races.")
def main(
    case: str,
    device: Any,
    precision: Any,
    steps: int,
    batch_size: int,
    seeds: int,
    test_examples: int,
    peft_runs: int,
    rounds: int,
) -> None:
    """Time a sweep of two methods and six rates against PEFT's loop, and against its own runs one by one."""
    spec = RateStudy(
        task=CASES[case],
        rates=RATES,
        seeds=tuple(range(seeds)),
        steps=steps,
        batch_size=batch_size,
        test_examples=test_examples,
        device=device,
        precision=precision,
    )
    preload()
    found: dict[str, Any] = {"machine": machine(), "case": case, "against_peft": against_peft(case, spec, peft_runs)}
    if rounds:
        found["against_single_races"] = against_single_races(spec, rounds)
    found["peak_megabytes"] = _peak_megabytes()
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
