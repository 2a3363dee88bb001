"""What one run is, and what all runs that train side by side have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from replora.catalog import ALL_TASKS, BACKBONES, OWN_LABELLED, OWN_TASK, PACKAGED, TASKS
from replora.config.method import Method
from replora.options import Spec, option

HeadStart = Literal["random", "probe"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
ChoiceScore = Literal["sum", "mean"]
Optimizer = Literal["adamw", "sgd"]

AUTO = "auto"


def labelled_task(default: str) -> Any:
    """The field of a spec that takes tasks whose examples have labels only."""
    return option(default, "Task", "What is learnt.", choices=tuple(TASKS), pattern=OWN_LABELLED, placeholder="own:ID")


@dataclass(frozen=True, kw_only=True)
class Run(Spec):
    """One fine-tune: a method, a seed, a learning rate and a fraction of the training examples.

    The seed fixes subset, order of the examples and head start, whatever the method: runs of one seed are paired.
    """

    method: Method = field(default_factory=Method)
    seed: int = option(0, "Seed", "Fixes subset, order, head start and adapter start.", low=0, high=2**31 - 1)
    learning_rate: float = option(
        3e-4,
        "Learning rate",
        "Peak rate of the adapter; the head has its own.",
        low=1e-7,
        high=1.0,
        marks=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
        flags=("--lr",),
    )
    data_fraction: float = option(
        0.1,
        "Data fraction",
        "Share of the training examples; stratified, and smaller shares are contained in larger ones.",
        low=0.001,
        high=1.0,
        marks=(0.01, 0.03, 0.1, 0.3, 1.0),
    )

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        return Method.from_dict(value) if name == "method" and not isinstance(value, Method) else value


@dataclass(frozen=True, kw_only=True)
class Training(Spec):
    """What all runs of a race have in common."""

    task: str = option(
        "digits", "Task", "What is learnt.", choices=tuple(ALL_TASKS), pattern=OWN_TASK, placeholder="own:ID"
    )
    backbone: str = option(
        AUTO,
        "Backbone",
        "auto (the task's own), " + ", ".join([*BACKBONES, *PACKAGED]) + ", timm:NAME, hf:ID, or local:FOLDER.",
    )
    adapted_blocks: int = option(
        3, "Adapted blocks", "How many of the last transformer blocks are adapted.", low=1, high=256, marks=(1, 2, 3, 6)
    )
    steps: int = option(100, "Steps", "Optimizer steps.", low=1, high=100_000, marks=(50, 100, 200, 400))
    batch_size: int = option(16, "Batch size", "Examples a run and step.", low=1, high=1024, marks=(8, 16, 32))
    head_start: HeadStart = option(
        "random", "Head start", "random: small random weights. probe: fitted on the frozen features first."
    )
    head_learning_rate: float = option(
        3e-3,
        "Head learning rate",
        "Peak rate of the classification head, apart from the adapter's.",
        low=1e-7,
        high=1.0,
        marks=(3e-4, 1e-3, 3e-3, 1e-2),
    )
    warmup_fraction: float = option(0.1, "Warm-up", "Share of the steps in which the rate rises.", low=0.0, high=0.9)
    weight_decay: float = option(
        0.0,
        "Weight decay",
        "Decoupled decay: a share of the weights, times the rate.",
        low=0.0,
        high=10.0,
    )
    clip_norm: float = option(
        0.0, "Clip gradient", "Largest gradient norm of a run; 0 leaves gradients alone.", low=0.0, high=1e6
    )
    optimizer: Optimizer = option(
        "adamw", "Optimizer", "Of adapters and heads. sgd: plain gradient descent, without momentum.", later=True
    )
    choice_score: ChoiceScore = option(
        "sum",
        "Choices by",
        "Of questions with choices: the log-probability of a choice, summed over its tokens or a mean over them.",
        later=True,
    )
    evaluate_every: int = option(
        10, "Evaluate every", "Steps between two evaluations on the test split.", unit="steps", low=1, high=100_000
    )
    test_examples: int = option(
        300, "Test examples", "Examples of the test split used, stratified.", low=1, high=1_000_000
    )
    device: Device = option(AUTO, "Device", "auto takes CUDA, then MPS, then the CPU.")
    precision: Precision = option(
        AUTO, "Precision", "auto: bfloat16 matrix products where the device multiplies them faster, else float32."
    )
