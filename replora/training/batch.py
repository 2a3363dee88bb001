"""N fine-tunes of one frozen backbone as one batch, step by step.

The backbone is shared, a run is a slice of the stacked factors and heads, so R runs are a batch of R x B examples.
Losses are summed over runs: no run's gradient sees another's.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import numpy as np
import torch

from replora.config import Race
from replora.events import Evaluated, Event, PerRun, RunFacts, Started, Step
from replora.options import SpecError
from replora.tasks import Indices, Split, Task, batches_of_runs, load_task, nested_subset, subset_size
from replora.training.cache import PrefixCache, Prefixes
from replora.training.device import device_name, versions
from replora.training.graphs import Pace
from replora.training.head import Heads
from replora.training.objectives import objective_for
from replora.training.seats import Seat
from replora.training.stack import RunStack
from replora.training.steps import NewRates, Steps, Tests

TEST_SEED = 0  # the test examples are the same for every run and race
VALIDATION_SEED = 1  # and so are those held out for validation


class Batch:
    """What is trained, on what, and how far it is.

    spec: of all its runs. prefixes: what batches before this one, like it but for their runs, have computed of the
    frozen prefix. Raises `SpecError`, `TaskError` or `BackboneError`.
    """

    def __init__(self, spec: Race, device: torch.device, prefixes: Prefixes, pace: Pace) -> None:
        self.spec = spec
        self.device = device
        self.pace = pace
        self.task = load_task(spec.task)
        self.stack = stack = RunStack(spec, spec.runs, self.task, device)
        self.seeds = [run.seed for run in spec.runs]
        self.objective = objective_for(self.task)(spec, self.task, stack, self.seeds)
        stack.optimize(beside=self.objective.beside())
        held, self.pool = held_out(self.task, spec.validation_examples)
        self.subsets = [self._subset(run.data_fraction, run.seed) for run in spec.runs]
        self.orders = batches_of_runs([len(subset) for subset in self.subsets], spec.batch_size, spec.steps, self.seeds)
        tested = nested_subset(self.task.test.labels, min(spec.test_examples, len(self.task.test)), TEST_SEED)
        test, validation = map(self.objective.shown, (self.task.test.take(tested), self.task.train.take(held)))

        def cache(name: str, split: Split) -> PrefixCache:
            return prefixes.of(name, stack.backbone, split, stack.first, stack.dtype, packed=pace.packed)

        self.graphs = pace.graphs()
        self.train_cache = cache("train", self.objective.trained())
        self.steps = Steps(stack, self.train_cache, self.objective.losses, self.graphs)
        self.test = self._tests(cache("test", test))
        self.validation = self._tests(cache("validation", validation)) if len(validation) else None
        self.tested = len(tested)
        self.done = 0  # steps
        self.seconds = 0.0

    @property
    def runs(self) -> int:
        return len(self.seeds)

    @property
    def heads(self) -> Heads | None:
        """What trains beside the adapters, where anything does."""
        return self.objective.heads

    @property
    def over(self) -> bool:
        """Whether all steps are taken."""
        return self.done == self.spec.steps

    @property
    def evaluated(self) -> bool:
        """Whether the last leg ended with an evaluation."""
        return self.over or self.done % self.spec.evaluate_every == 0

    def begin(self) -> Iterator[Event]:
        """The events before the first step."""
        return self._clocked(self._beginning())

    def leg(self, new_rates: NewRates | None = None) -> Iterator[Event]:
        """The steps that the device takes before it is asked for their losses, and the evaluation where one is due.

        new_rates: asked before each step; the numbers it returns become the adapters' peak rates of these runs.
        """
        return self._clocked(self._leg(new_rates))

    def seat(self) -> Seat:
        """All that training has made of the runs so far; between two legs."""
        return Seat(self.done, self.seconds, tuple(self.stack.trained(place) for place in range(self.runs)))

    def resume(self, seat: Seat) -> None:
        """Go on, instead of beginning, from where these runs were when they left another batch."""
        for place, trained in enumerate(seat.runs):
            self.stack.restore(place, trained)
        self.steps.alive = self.stack.alive.tolist()
        for _ in range(seat.step):
            next(self.orders)
        self.done, self.seconds = seat.step, seat.seconds

    def _clocked(self, stream: Iterator[Event]) -> Iterator[Event]:
        """The events with their time; the clock stands while nobody asks."""
        while True:
            begun = time.perf_counter()
            event = next(stream, None)
            self.seconds += time.perf_counter() - begun
            if event is None:
                return
            if isinstance(event, Step | Evaluated):
                event = dataclasses.replace(event, seconds=self.seconds)
            yield event

    def _beginning(self) -> Iterator[Event]:
        yield self._started()
        if self.objective.begin(self.train_cache, self.subsets):
            yield self._evaluate(0)

    def _leg(self, new_rates: NewRates | None) -> Iterator[Event]:
        first, every = self.done, self.spec.evaluate_every
        done = min(first + self.pace.block, first - first % every + every, self.spec.steps)
        picks = np.stack([self._picks() for _ in range(first, done)])
        yield from self.steps.take(first, picks, new_rates)
        self.done = done
        if self.evaluated:
            yield self._evaluate(done)

    def _started(self) -> Started:
        facts = tuple(
            RunFacts(
                *self.stack.adapter_sizes(place),
                head_parameters=sum(each.numel() for each in self.objective.beside()) // self.runs,
                examples=len(subset),
            )
            for place, subset in enumerate(self.subsets)
        )
        return Started(
            spec=self.spec,
            facts=facts,
            backbone=self.stack.backbone.name,
            classes=self.task.classes,
            device=device_name(self.device),
            precision=str(self.stack.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            versions=versions(),
            test_examples=self.tested,
        )

    def _subset(self, fraction: float, seed: int) -> Indices:
        labels = self.task.train.labels[self.pool]
        return self.pool[nested_subset(labels, subset_size(len(labels), len(self.task.classes), fraction), seed)]

    def _picks(self) -> Indices:
        """Places of the next step's examples in the training split, (1, runs, batch_size)."""
        orders = zip(self.subsets, next(self.orders), strict=True)
        return np.stack([subset[order] for subset, order in orders])[None]

    def _evaluate(self, step: int) -> Evaluated:
        """Accuracy and mean loss of each run on the test examples, and on those held out for validation."""
        scores = self.test.scores()
        shares, losses = self.objective.tested(scores, self.test.cache)
        validation: tuple[PerRun, PerRun] = ((), ())
        if self.validation is not None:
            held = self.objective.tested(self.validation.scores(), self.validation.cache)
            validation = (self.stack.known(held.accuracies), self.stack.known(held.losses))
        accuracies = self.stack.known(shares)
        answers: tuple[str, ...] = ()
        if self.spec.tell_answers and step == self.spec.steps:
            rows = np.packbits(self.objective.answers(scores, self.test.cache).cpu().numpy(), axis=1)
            answers = tuple(
                "" if accuracy is None else row.tobytes().hex() for row, accuracy in zip(rows, accuracies, strict=True)
            )
        norms = self.stack.known(self.stack.delta_norms())
        return Evaluated(step, 0.0, accuracies, self.stack.known(losses), validation[0], answers, norms, validation[1])

    def _tests(self, cache: PrefixCache) -> Tests:
        score = self.objective.score(cache)
        return Tests(self.stack, cache, score, self.graphs, self.spec.steps // self.spec.evaluate_every)


def held_out(task: Task, count: int) -> tuple[Indices, Indices]:
    """Places in the training split: `count` held out for validation, the same for all runs, and those to train on."""
    labels = task.train.labels
    if count > len(labels) - len(task.classes):
        raise SpecError(
            f"validation_examples must be a whole number from 0 to {len(labels) - len(task.classes):,}, so that the "
            f"task {task.name} keeps examples to train on, got {count:,}."
        )
    held_out = nested_subset(labels, count, VALIDATION_SEED)
    return held_out, np.setdiff1d(np.arange(len(labels)), held_out)
