"""The answer to a `LandscapeQuestion`: the loss at points of the plane, as many as there is time for."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from replora.backbones import Rows
from replora.lens.answers import LandscapeAnswer
from replora.lens.landscape.plane import Plane, Point
from replora.lens.questions import MOST_LANDSCAPE_EXAMPLES, MOST_POINTS, REACH, LandscapeQuestion, LensError
from replora.lens.subject import RunsSnapshot, Subject, logits
from replora.tasks import Indices, nested_subset
from replora.training.batch import TEST_SEED
from replora.training.cache import autocast
from replora.training.device import choose_dtype

SECONDS = 0.4  # for one answer: others ask the same process
KEPT_PLANES, MOST_KEPT = 4, 4096  # of a race, and losses of a plane
CPU = torch.device("cpu")


@dataclass
class _Known:
    """A plane and what is known of it: losses by point, and the nearest points of the snapshots by step."""

    plane: Plane
    losses: dict[Point, float] = field(default_factory=dict)
    places: dict[int, list[tuple[float, float, float]]] = field(default_factory=dict)


@torch.no_grad()
def answer_landscape(subject: Subject, question: LandscapeQuestion, seconds: float = SECONDS) -> LandscapeAnswer:
    """See `LandscapeAnswer`; `LensError` for runs, points or a number of examples that cannot be had."""
    _check(subject, question)
    step = subject.taken(question.step, question.runs).step
    known = _known(subject, question, step)
    steps = [each for each in subject.snapshots.steps() if each <= step]
    for past in steps:
        if past not in known.places:
            taken = subject.taken(past, question.runs)
            nearest = [known.plane.nearest(taken, place) for place in range(2)]
            known.places[past] = [(*place.point, place.off) for place in nearest]
    _measure(subject, question, known, seconds)
    return LandscapeAnswer(
        step=step,
        steps=tuple(steps),
        norms=known.plane.norms,
        cosine=known.plane.cosine,
        places=np.array([known.places[each] for each in steps], dtype=np.float32).transpose(1, 0, 2),
        examples=question.examples,
        losses=np.array([known.losses.get(point, np.nan) for point in question.points], dtype=np.float32),
    )


def _check(subject: Subject, question: LandscapeQuestion) -> None:
    subject.check_classes()
    if len(question.runs) != 2 or question.runs[0] == question.runs[1]:
        raise LensError(f"runs must be two different runs, got {list(question.runs)}.")
    for run in question.runs:
        if not subject.run(run).method.has_adapter:
            raise LensError(f"runs must have an adapter, got run {run}, which trains its head alone.")
    most = min(MOST_LANDSCAPE_EXAMPLES, len(subject.task.test))
    if not 1 <= question.examples <= most:
        raise LensError(f"examples must be a whole number from 1 to {most}, got {question.examples}.")
    if len(question.points) > MOST_POINTS:
        raise LensError(f"points must be at most {MOST_POINTS}, got {len(question.points)}.")
    if not all(abs(each) <= REACH for point in question.points for each in point):  # nan is refused as well
        raise LensError(f"points must be numbers from -{REACH:g} to {REACH:g}.")


def _known(subject: Subject, question: LandscapeQuestion, step: int) -> _Known:
    """What is known of this plane; the latest few are kept, so that all who look at a race have it computed once."""
    kept: OrderedDict[object, _Known] = subject.kept.setdefault("planes", OrderedDict())
    key = (question.runs, step, question.examples)
    if key not in kept:
        runs = (question.runs[0], question.runs[1])
        kept[key] = _Known(Plane(subject, runs, step))
        if len(kept) > KEPT_PLANES:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def _measure(subject: Subject, question: LandscapeQuestion, known: _Known, seconds: float) -> None:
    """Measure the points that are not known, in their order, while there is time; one at least."""
    begun = time.monotonic()
    for point in question.points:
        if point in known.losses:
            continue
        if len(known.losses) >= MOST_KEPT:
            known.losses.clear()
        known.losses[point] = mean_loss(subject, known.plane.models([point]), question.examples)
        if time.monotonic() - begun > seconds:
            return


def mean_loss(subject: Subject, model: RunsSnapshot, examples: int) -> float:
    """Mean cross-entropy of one model on the first `examples` of the test examples that races are tested on."""
    backbone = subject.adapted(model.pairs, model.scaling)
    labels = torch.from_numpy(subject.task.test.labels)
    total = 0.0
    with autocast(CPU, choose_dtype(subject.spec.precision, CPU)):
        for places, rows in _rows(subject, examples):
            answers = logits(backbone.features(rows, subject.first), model)[0]
            total += float(F.cross_entropy(answers, labels[torch.from_numpy(places)], reduction="sum"))
    return total / examples


def _rows(subject: Subject, examples: int) -> list[tuple[Indices, Rows]]:
    """Places in the test split and their rows before the first adapted layer; kept for one number of examples."""
    kept: tuple[int, list[tuple[Indices, Rows]]] = subject.kept.get("tested rows", (0, []))
    if kept[0] != examples:
        places = nested_subset(subject.task.test.labels, examples, TEST_SEED)
        with autocast(CPU, choose_dtype(subject.spec.precision, CPU)):
            parts = [
                (places[part], subject.backbone.prefix(inputs, subject.first))
                for part, inputs in subject.encoded(subject.task.test.take(places))
            ]
        kept = subject.kept["tested rows"] = (examples, parts)
    return kept[1]
