"""What a stack of runs does again and again: its steps, some handed to the device together, and its tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from replora.backbones import Rows
from replora.backbones.packs import Sequences
from replora.events import Diverged, PerRun, RateChanged, Step
from replora.tasks import Indices
from replora.training.cache import PrefixCache
from replora.training.graphs import Graphs
from replora.training.stack import RunStack

NewRate = Callable[[], float | None]
NewRates = Callable[[], Mapping[int, float]]  # by run
Losses = Callable[[Rows, Tensor], Tensor]
Told = Step | Diverged | RateChanged
Score = Callable[[Rows, Tensor], Tensor]


def rates_of(new_rate: NewRate | None, runs: Sequence[int]) -> NewRates | None:
    """A rate asked of all these runs as one of each."""
    if new_rate is None:
        return None

    def asked() -> dict[int, float]:
        rate = new_rate()
        return {} if rate is None else dict.fromkeys(runs, rate)

    return asked


class Steps:
    """Steps of `stack` on the examples of `cache`.

    losses: the mean loss of each run, (runs,), from the rows of its batch and the picks they were taken by.
    """

    def __init__(self, stack: RunStack, cache: PrefixCache, losses: Losses, graphs: Graphs) -> None:
        self.stack, self.cache, self.losses, self.graphs = stack, cache, losses, graphs
        self.alive = [True] * stack.runs
        self.sequences = Sequences(1, 0)  # as many as any batch so far has needed, so that shapes repeat

    def take(self, first: int, picks: Indices, new_rates: NewRates | None = None) -> Iterator[Told]:
        """The steps from number `first` (from 0) on, as many as there are picks.

        picks (steps, kinds, runs, batch): of the first kind the examples' places in the cache, others for `losses`.
        new_rates: asked before each step; the numbers it returns become the adapters' peak rates of these runs.
        """
        stack, places = self.stack, picks[:, 0]
        self.cache.fill(places)
        starts, sequences = self.cache.plan(places)
        sequences = self.sequences = replace(sequences, count=max(sequences.count, self.sequences.count))
        all_picks = np.concatenate([picks, starts[:, None]], axis=1)

        def work(picks: Tensor, schedule: Tensor) -> Tensor:
            return stack.advance(schedule, lambda: self.losses(self.cache.at(picks[0], picks[-1], sequences), picks))

        moved = torch.from_numpy(all_picks).to(stack.device)
        schedules = torch.tensor([stack.schedule(first + place) for place in range(len(picks))], device=stack.device)
        told = torch.empty(len(picks), 4, stack.runs, device=stack.device)
        changed = {}
        for place in range(len(picks)):
            if new_rates and (rates_asked := new_rates()):
                peaks = [rates_asked.get(run, peak) for run, peak in enumerate(stack.peaks.tolist())]
                stack.peaks.copy_(torch.tensor(peaks))
                changed[place] = RateChanged(first + place, tuple(peaks))
            left = stack.spec.steps - first
            told[place] = self.graphs.run(("step", sequences), work, moved[place], schedules[place], times=left)
        for place, (losses, norms, rates, alive) in enumerate(told.tolist()):
            if place in changed:
                yield changed[place]
            step, lost = first + place + 1, [was and not now for was, now in zip(self.alive, alive, strict=True)]
            self.alive = [bool(each) for each in alive]
            yield Step(step, 0.0, self._known(losses), self._known(norms), tuple(rates))
            for run in [run for run, gone in enumerate(lost) if gone]:
                yield Diverged(step, run, stack.what_happened(losses[run], norms[run]))

    def _known(self, values: list[float]) -> PerRun:
        """The values of the runs that are alive and finite; None for the others."""
        pairs = zip(values, self.alive, strict=True)
        return tuple(value if fine and math.isfinite(value) else None for value, fine in pairs)


class Tests:
    """What each run makes of all examples of `cache`.

    score: a figure of each run and example, (..., runs, examples), from rows of all runs and the examples' places.
    times: how often that is asked in all.
    """

    def __init__(self, stack: RunStack, cache: PrefixCache, score: Score, graphs: Graphs, times: int) -> None:
        self.stack, self.cache, self.score, self.graphs = stack, cache, score, graphs
        portions, found = cache.portions(stack.runs)
        plans = [cache.plan(each) for each in portions]
        self.sequences = [replace(each, count=max(plan.count for _, plan in plans)) for _, each in plans]
        self.portions = [
            torch.from_numpy(np.stack([places, starts])).to(stack.device)
            for places, (starts, _) in zip(portions, plans, strict=True)
        ]
        self.found = torch.from_numpy(found).to(stack.device)
        self.times = times * len(portions)

    def scores(self) -> Tensor:
        """The figures of all examples, in their order."""
        self.cache.fill(np.arange(len(self.cache.split)))
        scored = []
        for picks, sequences in zip(self.portions, self.sequences, strict=True):

            def work(picks: Tensor, sequences: Sequences = sequences) -> Tensor:
                return self._scored(picks, sequences)

            key = (self, picks.shape, sequences)
            scored.append(self.graphs.run(key, work, picks, times=self.times).clone())
        return torch.cat(scored, dim=-1).index_select(-1, self.found)

    @torch.no_grad()
    def _scored(self, picks: Tensor, sequences: Sequences) -> Tensor:
        """The figures of the examples picked, which all runs are given."""
        rows = self.cache.at(picks[0], picks[1], sequences)
        repeated = {name: values.repeat(self.stack.runs, *[1] * (values.dim() - 1)) for name, values in rows.items()}
        with self.stack.held():
            return self.score(repeated, picks[0].flatten())
