"""What runs are judged by: accuracy where examples have labels, nats a token where texts go on. One place for each.

Name, unit, direction and decimals are read from here by verdicts, figures, tables, cards and the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from replora.catalog import is_corpus
from replora.methods import HEAD, METHOD_TITLES

Field = Literal["accuracies", "losses"]
Final = Literal["final_accuracy", "final_loss"]
Best = Literal["highest_accuracy", "lowest_loss"]


@dataclass(frozen=True)
class Metric:
    """A measure on the test examples, and how it is said.

    noun: in a sentence. field: of an evaluation; final, best: of a run's summary. scale: shown is measured times that.
    unit: of a value, difference_unit: of a difference. decimals: of both. low: the least that an axis of differences
    spans either side of zero, in what is shown. beside: what else tables tell, made of the mean loss, and its format.
    """

    noun: str
    field: Field
    final: Final
    best: Best
    scale: float
    unit: str
    difference_unit: str
    decimals: int
    low: float
    beside: tuple[str, Callable[[float], float], str]
    lower_is_better: bool = False
    is_share: bool = False

    def lead(self, difference: float) -> float:
        """By how much the first is ahead of the second, in what is shown; difference: first minus second, measured."""
        shown = self.scale * difference
        return -shown if self.lower_is_better else shown

    def value(self, measured: float | None) -> str:
        """'87.0 %', '4.257 nats a token'; 'diverged' without one."""
        return "diverged" if measured is None else f"{self.scale * measured:.{self.decimals}f} {self.unit}"

    def number(self, measured: float | None) -> str:
        """As `value`, in a column whose heading says the unit."""
        return self.value(measured) if self.is_share or measured is None else f"{measured:.{self.decimals}f}"

    def ends(self, low: float, high: float) -> str:
        """'84.1 to 86.3', without a unit."""
        return f"{self.scale * low:.{self.decimals}f} to {self.scale * high:.{self.decimals}f}"

    @property
    def measured(self) -> str:
        """'accuracy in per cent', 'loss in nats a token'."""
        return f"{self.noun} in {'per cent' if self.is_share else self.unit}"

    @property
    def short_unit(self) -> str:
        """Of a value beside which stands what it is."""
        return self.unit.split()[0]

    @property
    def nouns(self) -> str:
        """Several of it, in a sentence."""
        return "accuracies" if self.is_share else "losses"

    @property
    def caption(self) -> str:
        """Under a value whose unit stands beside it."""
        return self.noun if self.is_share else f"test {self.noun}"

    @property
    def best_heading(self) -> str:
        """Of a column of the best of all evaluations, short enough for a terminal."""
        return "lowest" if self.lower_is_better else "highest tested"

    @property
    def heading(self) -> str:
        """Of a column of numbers."""
        return self.noun if self.is_share else f"{self.noun}, {self.unit.split()[0]}"

    def told_beside(self, loss: float | None) -> str:
        """The mean loss as tables tell it beside the metric: itself, or as perplexity."""
        return "diverged" if loss is None else format(self.beside[1](loss), self.beside[2])


def perplexity(loss: float) -> float:
    """e to the mean loss of a token; infinite where that has no number."""
    return math.exp(loss) if loss < HIGHEST_LOSS else math.inf


HIGHEST_LOSS = 700.0  # whose power of e is a number
UNTOUCHED = "Untouched"  # a model before training

ACCURACY = Metric(
    "accuracy", "accuracies", "final_accuracy", "highest_accuracy", 100.0, "%", "points", 1, 10.0,
    ("loss", float, ".3f"), is_share=True,
)  # fmt: skip
NATS = Metric(
    "loss", "losses", "final_loss", "lowest_loss", 1.0, "nats a token", "nats a token", 3, 0.1,
    ("perplexity", perplexity, ".1f"), lower_is_better=True,
)  # fmt: skip


METRICS = {metric.noun: metric for metric in (ACCURACY, NATS)}


def title_on(method: str, metric: Metric) -> str:
    """A method as people call it: without an adapter nothing of a model that continues texts trains."""
    return UNTOUCHED if method == HEAD and not metric.is_share else METHOD_TITLES[method]


def metric_of(task: str) -> Metric:
    """What runs on a task are judged by."""
    return NATS if is_corpus(task) else ACCURACY
