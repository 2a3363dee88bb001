"""A small study by hand: events as the engine would tell them, without the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from replora.studies.answers import pack_answers
from replora.studies.events import CellFinished, MethodSizes, Progress, StudyEvent, StudyFinished, StudyStarted
from replora.studies.spec import RaceStudy

EXAMPLES = 20


@pytest.fixture
def told() -> Callable[..., list[StudyEvent]]:
    """Events of a study whose accuracies a function gives: (method, fraction, rate, seed) -> right answers or None."""

    def build(
        spec: RaceStudy,
        right: Callable[[str, float, float, int], int | None],
        validation: Callable[[str, float, float, int], float] | None = None,
        finished: bool = True,
        only: Callable[[CellFinished], bool] = lambda cell: True,
    ) -> list[StudyEvent]:
        versions: Mapping[str, str] = {"replora": "0"}
        sizes = tuple(MethodSizes(each, 100 * place, 10) for place, each in enumerate(spec.methods))
        runs = spec.runs()
        events: list[StudyEvent] = [
            StudyStarted(spec, len(runs), 1, sizes, EXAMPLES, "minilm_l3", "CPU", "float32", 2, versions)
        ]
        cells = []
        for run in runs:
            key = (run.method.name, run.data_fraction, run.learning_rate, run.seed)
            count = right(*key)
            held = None if count is None else (validation(*key) if validation else count / EXAMPLES)
            answers = "" if count is None else pack_answers([place < count for place in range(EXAMPLES)])
            accuracy = None if count is None else count / EXAMPLES
            loss = None if count is None else 1.0
            cells.append(CellFinished(*key, 40, accuracy, loss, held, count is None, answers))
        cells = [each for each in cells if only(each)]
        events += [*cells, Progress(len(cells), len(runs), 1.0, 4.0, 0.0)]
        return [*events, StudyFinished(4.0)] if finished else events

    return build
