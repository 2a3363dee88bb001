"""A race in numbers and in a sentence: pure functions of its events."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from replora.config import METHOD_TITLES, Run
from replora.events import Diverged, Evaluated, Event, Finished, RunFacts, Started, Step

SEEDS_FOR_A_VERDICT = 3


@dataclass(frozen=True)
class RunSummary:
    """One run: sizes, accuracies in [0, 1] (None before the first evaluation), mean loss on the test examples."""

    method: str
    seed: int
    learning_rate: float
    data_fraction: float
    examples: int
    trained_parameters: int
    deployed_parameters: int
    head_parameters: int
    final_accuracy: float | None
    best_accuracy: float | None
    final_loss: float | None
    seconds: float
    diverged: bool


@dataclass(frozen=True)
class RaceSummary:
    """A whole race. `seconds` and `steps_per_second` count training and evaluation, pauses left out."""

    task: str
    backbone: str
    device: str
    precision: str
    threads: int
    step: int
    steps: int
    finished: bool
    seconds: float
    steps_per_second: float | None
    runs: tuple[RunSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def summarize(events: Iterable[Event]) -> RaceSummary | None:
    """The summary of the events so far; None before the race has started."""
    events = list(events)
    started = next((each for each in events if isinstance(each, Started)), None)
    if started is None:
        return None
    evaluations = [each for each in events if isinstance(each, Evaluated)]
    diverged = {each.run for each in events if isinstance(each, Diverged)}
    last = next((each for each in reversed(events) if isinstance(each, Step | Evaluated | Finished)), None)
    step, seconds = (last.step, last.seconds) if last else (0, 0.0)
    runs = tuple(
        _summarize_run(run, facts, [(each.accuracies[index], each.losses[index]) for each in evaluations])
        for index, (run, facts) in enumerate(zip(started.spec.runs, started.facts, strict=True))
    )
    return RaceSummary(
        task=started.spec.task,
        backbone=started.backbone,
        device=started.device,
        precision=started.precision,
        threads=started.threads,
        step=step,
        steps=started.spec.steps,
        finished=isinstance(events[-1], Finished),
        seconds=seconds,
        steps_per_second=step / seconds if step and seconds > 0 else None,
        runs=tuple(
            dataclasses.replace(run, seconds=seconds, diverged=index in diverged) for index, run in enumerate(runs)
        ),
    )


def _summarize_run(run: Run, facts: RunFacts, scores: list[tuple[float | None, float | None]]) -> RunSummary:
    """One run from its (accuracy, loss) pairs, evaluation by evaluation."""
    known = [accuracy for accuracy, _ in scores if accuracy is not None]
    accuracy, loss = scores[-1] if scores else (None, None)
    return RunSummary(
        method=run.method.name,
        seed=run.seed,
        learning_rate=run.learning_rate,
        data_fraction=run.data_fraction,
        examples=facts.examples,
        trained_parameters=facts.trained_parameters,
        deployed_parameters=facts.deployed_parameters,
        head_parameters=facts.head_parameters,
        final_accuracy=accuracy,
        best_accuracy=max(known, default=None),
        final_loss=loss,
        seconds=0.0,
        diverged=False,
    )


def paired_differences(summary: RaceSummary, method: str = "replora", reference: str = "lora") -> list[float]:
    """Final accuracy of `method` minus that of `reference` for each seed both have finished, in [-1, 1]."""
    finals = {(run.method, run.seed): run.final_accuracy for run in summary.runs if not run.diverged}
    pairs = [(finals.get((method, seed)), finals.get((reference, seed))) for seed in {run.seed for run in summary.runs}]
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def verdict(summary: RaceSummary, method: str = "replora", reference: str = "lora") -> str:
    """What the race shows, in a sentence that claims no more than the number of seeds allows."""
    lost = [run for run in summary.runs if run.diverged]
    counted = "is" if len(lost) == 1 else "are"
    note = f" {len(lost)} of {len(summary.runs)} runs diverged and {counted} not counted." if lost else ""
    differences = paired_differences(summary, method, reference)
    if not differences:
        return "There is no pair of runs to compare." + note
    points = 100 * fmean(differences)
    ours, theirs = METHOD_TITLES[method], METHOD_TITLES[reference]
    lead = (
        f"{ours} and {theirs} are level"
        if abs(points) < 0.05
        else f"{ours if points > 0 else theirs} is {abs(points):.1f} points ahead"
    )
    when = "" if summary.finished else f" after {summary.step} of {summary.steps} steps"
    count = len(differences)
    if count < SEEDS_FOR_A_VERDICT:
        seeds = "one seed" if count == 1 else f"{count} seeds"
        return f"{lead}{when}, with {seeds}: an anecdote, not a finding.{note}"
    return f"{lead} on average over {count} paired seeds{when}.{note}"
