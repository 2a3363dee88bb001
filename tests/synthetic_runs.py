"""Plausible events of races and studies that nobody trained."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from replora.catalog import is_corpus
from replora.config import Race
from replora.event_lines import gzipped_lines
from replora.events import Diverged, Evaluated, Event, Finished, RateChanged, RunFacts, Started, Step
from replora.studies.events import CellFinished, MethodSizes, Progress, StudyEvent, StudyFinished, StudyStarted
from replora.studies.spec import RaceStudy
from replora.tasks import task_card

TRAINED = {"head": 0, "lora": 18_432, "replora": 456_576}


def write_recording(path: Path, lines: Iterable[str]) -> None:
    """A file of these lines, as the recordings are kept."""
    with gzipped_lines(path) as sink:
        sink.writelines(f"{line}\n" for line in lines)


def synthetic_race(
    spec: Race, *, diverge: Mapping[int, int] | None = None, rates: Mapping[int, float] | None = None
) -> Iterator[Event]:
    """The events of a plausible race; on a corpus the untouched model has 4.6 nats a token.

    diverge: run -> the step it is lost at; rates: step -> new learning rate.
    """
    diverge, rates = diverge or {}, rates or {}
    noise = random.Random(0)
    classes, corpus = task_card(spec.task).classes, is_corpus(spec.task)
    first, heads = (4.6, 0) if corpus else (math.log(classes), 3_850)  # losses before the first step
    yield Started(
        spec=spec,
        facts=tuple(
            RunFacts(TRAINED[run.method.name], 18_432 if run.method.name != "head" else 0, heads, 400)
            for run in spec.runs
        ),
        backbone="dinov2_small_6",
        classes=tuple(str(each) for each in range(classes)),
        device="CPU (test)",
        precision="float32",
        threads=2,
        versions={"replora": "0", "torch": "2.14"},
    )
    if corpus:
        yield Evaluated(0, 0.0, (0.1,) * len(spec.runs), (first,) * len(spec.runs))
    lost: set[int] = set()
    speed = [{"head": 0.3, "lora": 1.0, "replora": 1.6}[run.method.name] + 0.05 * run.seed for run in spec.runs]
    for step in range(1, spec.steps + 1):
        if step - 1 in rates:
            yield RateChanged(step - 1, (rates[step - 1],) * len(spec.runs))
        lost |= {run for run, when in diverge.items() if when < step}
        share = [min(1.0, each * step / spec.steps) for each in speed]
        shared_noise = noise.gauss(0, 0.1)
        yield Step(
            step,
            0.1 * step,
            tuple(
                None if run in lost else first * (1 - (0.2 if corpus else 0.7) * each) + shared_noise
                for run, each in enumerate(share)
            ),
            tuple(None if run in lost else 4 * each for run, each in enumerate(share)),
            tuple(run.learning_rate for run in spec.runs),
        )
        for run, when in diverge.items():
            if when == step:
                yield Diverged(step, run, "The loss is no longer a finite number.")
                lost.add(run)
        if step % spec.evaluate_every == 0 or step == spec.steps:
            scores = tuple(None if run in lost else 0.1 + 0.7 * each for run, each in enumerate(share))
            losses = [first - 0.4 * each * step / spec.steps if corpus else 1.0 for each in speed]
            told = tuple(None if run in lost else loss for run, loss in enumerate(losses))
            yield Evaluated(step, 0.1 * step, scores, told)
    yield Finished(spec.steps, 0.1 * spec.steps)


EXAMPLES = 200


def synthetic_study(spec: RaceStudy, *, lost: float = 0.03, batch: int = 8) -> Iterator[StudyEvent]:
    """The events of a plausible study: LoRA is best at 0.003, RepLoRA at 0.0003 and diverges from `lost` on."""
    runs = spec.runs()
    sizes = tuple(MethodSizes(name, TRAINED[name], 18_432) for name in spec.methods)
    batches = math.ceil(len(runs) / batch)
    yield StudyStarted(
        spec, len(runs), batches, sizes, EXAMPLES, "minilm_l3", "CPU (test)", "float32", 2, {"replora": "0"}
    )
    noise = random.Random(0)
    for start in range(0, len(runs), batch):
        share = (start + batch / 2) / len(runs)
        yield Progress(start, len(runs), share, 40 * share, 40 * (1 - share))
        for run in runs[start : start + batch]:
            name, rate = run.method.name, run.learning_rate
            best = {"head": rate, "lora": 3e-3, "replora": 3e-4}[name]
            score = 0.4 + 0.15 * math.log10(100 * run.data_fraction) - 0.08 * abs(math.log10(rate / best))
            score -= 0.1 * (name == "head")
            right = None if name == "replora" and rate >= lost else round(EXAMPLES * (score + noise.gauss(0, 0.005)))
            share_right = None if right is None else right / EXAMPLES
            loss = None if right is None else 1 - score
            examples = round(1000 * run.data_fraction)
            norm = None if right is None or name == "head" else 1e3 * rate * (3 if name == "replora" else 1)
            if loss is not None and is_corpus(spec.task):
                loss += 3.5  # nats a token; fewer with more data and at the better rate
            cell = (name, run.data_fraction, rate, run.seed, examples, share_right, loss, share_right, right is None)
            yield CellFinished(*cell, delta_norm=norm, validation_loss=loss)
    yield StudyFinished(40.0)
