"""A race in numbers and in a sentence: pure functions of its events."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from replora.config import Run
from replora.events import Diverged, Evaluated, Event, Finished, PerRun, RunFacts, Step, started_of, untouched_loss
from replora.methods import OURS, REFERENCE
from replora.statistics.intervals import t_interval
from replora.statistics.metrics import Metric, metric_of, title_on
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, lost_count, verdict


@dataclass(frozen=True)
class RunSummary:
    """One run: sizes, accuracies in [0, 1] (None before the first evaluation), mean loss on the test examples.

    highest_accuracy, lowest_loss: of all evaluations on the test examples, which nobody who stops training could have
    known.
    """

    method: str
    seed: int
    learning_rate: float
    data_fraction: float
    examples: int
    trained_parameters: int
    deployed_parameters: int
    head_parameters: int
    final_accuracy: float | None
    highest_accuracy: float | None
    final_loss: float | None
    seconds: float
    diverged: bool
    lowest_loss: float | None = None


@dataclass(frozen=True)
class RaceSummary:
    """A whole race. `seconds` and `steps_per_second` count training and evaluation, pauses left out.

    test_examples: on which all runs are tested; 0 where nobody told. shared_runs: of other races, trained in the same
    batch, whose time that is too. untouched: what the frozen model has by the task's metric, where nothing but adapters
    trains and it was tested.
    """

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
    test_examples: int
    runs: tuple[RunSummary, ...]
    shared_runs: int = 0
    untouched: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def summarize(events: Iterable[Event]) -> RaceSummary | None:
    """The summary of the events so far; None before the race has started."""
    events = list(events)
    started = started_of(events)
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
        test_examples=started.test_examples,
        runs=tuple(
            dataclasses.replace(run, seconds=seconds, diverged=index in diverged) for index, run in enumerate(runs)
        ),
        shared_runs=started.shared_runs,
        untouched=_untouched(started.spec.task, events),
    )


def _untouched(task: str, events: Sequence[Event]) -> float | None:
    """What all runs have by the metric of the task before the first step, where that is the frozen model."""
    if untouched_loss(events) is None:
        return None
    first = next(each for each in events if isinstance(each, Evaluated))
    values: PerRun = getattr(first, metric_of(task).field)
    return next((value for value in values if value is not None), None)


def _summarize_run(run: Run, facts: RunFacts, scores: list[tuple[float | None, float | None]]) -> RunSummary:
    """One run from its (accuracy, loss) pairs, evaluation by evaluation."""
    known = [accuracy for accuracy, _ in scores if accuracy is not None]
    losses = [loss for _, loss in scores if loss is not None]
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
        highest_accuracy=max(known, default=None),
        final_loss=loss,
        lowest_loss=min(losses, default=None),
        seconds=0.0,
        diverged=False,
    )


def paired_differences(summary: RaceSummary, method: str = OURS, reference: str = REFERENCE) -> list[float]:
    """What `method` ends with minus what `reference` does, by the task's metric, for each seed both have finished."""
    final = metric_of(summary.task).final
    finals: dict[tuple[str, int], float | None] = {
        (run.method, run.seed): getattr(run, final) for run in summary.runs if not run.diverged
    }
    pairs = [(finals.get((method, seed)), finals.get((reference, seed))) for seed in {run.seed for run in summary.runs}]
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def race_difference(summary: RaceSummary, method: str = OURS, reference: str = REFERENCE) -> dict[str, Any] | None:
    """`paired_differences` as plain values: by which measure, their mean over seeds and the t interval of that.

    Accuracy is in [-1, 1], a loss in nats a token. The interval, of 95 % and over seeds, is None of fewer seeds than
    a verdict takes and of equal ones; the whole is None where no seed has both methods.
    """
    pairs = paired_differences(summary, method, reference)
    if not pairs:
        return None
    found = t_interval(pairs) if len(pairs) >= SEEDS_FOR_A_VERDICT else None
    interval = [found.low, found.high] if found is not None and not found.is_coarse else None
    of = {"measure": metric_of(summary.task).final, "method": method, "reference": reference}
    return {**of, "seeds": len(pairs), "mean": fmean(pairs), "interval": interval}


def race_verdict(summary: RaceSummary, method: str = OURS, reference: str = REFERENCE) -> str:
    """What the race shows, claiming no more than its seeds allow; of one method alone, what it has reached."""
    metric = metric_of(summary.task)
    finals: dict[str, list[float]] = {}
    for run in summary.runs:
        final: float | None = getattr(run, metric.final)
        finals.setdefault(run.method, []).extend([] if run.diverged or final is None else [final])
    if not any(finals.values()) and all(getattr(run, metric.final) is None for run in summary.runs):
        return "Nothing was evaluated."
    if not {method, reference} <= finals.keys():
        said = (f"{title_on(name, metric)}: {mean_in_words(each, metric)}" for name, each in finals.items())
        return ", ".join(said) + "."
    lost = sum(run.diverged for run in summary.runs)
    return verdict(
        paired_differences(summary, method, reference),
        method,
        reference,
        when="" if summary.finished else f" after {summary.step} of {summary.steps} steps",
        lost=f"{lost_count(lost, len(summary.runs))}." if lost else "",
        metric=metric,
    )


def mean_in_words(values: Sequence[float], metric: Metric) -> str:
    """The mean of those runs of a method that did not diverge."""
    return metric.value(fmean(values) if values else None)
