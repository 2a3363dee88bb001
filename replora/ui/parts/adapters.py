"""A race's or a study's adapters as files: PEFT folders, made by the job host when asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from replora.config import METHOD_TITLES, Race, Run
from replora.jobs.engine import Engine
from replora.lens.answers import AdapterAnswer
from replora.lens.questions import AdapterQuestion
from replora.methods import HEAD
from replora.statistics.metrics import Metric, metric_of
from replora.studies.events import CellFinished, StudyStarted
from replora.studies.races.cells import validated
from replora.ui.parts.numbers import Download
from replora.ui.parts.text import file_word

MOST_ADAPTERS = 6


def adapter_downloads(engine: Engine, job: str, spec: Race) -> Sequence[Download]:
    """A PEFT folder, zipped, for each run with an adapter, the first few of them; made by the job host when asked."""
    folder = engine.folder(job)
    runs = [place for place, run in enumerate(spec.runs) if run.method.has_adapter][:MOST_ADAPTERS]
    several = len({each.seed for each in spec.runs}) > 1
    return [_download(engine, folder, spec, run, f", seed {spec.runs[run].seed}" if several else "") for run in runs]


def study_adapters(engine: Engine, job: str, events: Iterable[object]) -> Sequence[Download]:
    """The same for the best run of each method in a study that ran here.

    The best on held-out examples; in a study without, where choosing would be by test examples, the first of those with
    the most data.
    """
    events, best = list(events), dict[str, CellFinished]()
    metric = metric_of(next((event.spec.task for event in events if isinstance(event, StudyStarted)), ""))
    for cell in events:
        if isinstance(cell, CellFinished) and not cell.diverged and cell.method != HEAD:
            known = best.get(cell.method)
            if known is None or _rank(cell, metric) > _rank(known, metric):
                best[cell.method] = cell
    folders = sorted(engine.folder(job).glob("batch_*")) if best else []
    found = []
    for cell in best.values():
        for folder in folders:
            spec = Race.from_dict(json.loads((folder / "race.json").read_text(encoding="utf-8")))
            places = [place for place, run in enumerate(spec.runs) if _is(run, cell)]
            if places:
                what = f"'s {_chosen(cell)}: {cell.fraction:.0%} of the data, rate {cell.rate:g}, seed {cell.seed}"
                found.append(_download(engine, folder, spec, places[0], what))
                break
    return found


def _rank(cell: CellFinished, metric: Metric) -> tuple[float, float]:
    held = validated(cell, metric)
    return (0.0 if held is None else metric.lead(held), cell.fraction)


def _chosen(cell: CellFinished) -> str:
    return "first run" if cell.validation_accuracy is None else "best run by validation"


def _is(run: Run, cell: CellFinished) -> bool:
    own = (run.method.name, run.data_fraction, run.learning_rate, run.seed)
    return own == (cell.method, cell.fraction, cell.rate, cell.seed)


def _download(engine: Engine, folder: Path, spec: Race, place: int, what: str) -> Download:
    run = spec.runs[place]
    name = f"{run.method.name}_{file_word(spec.task)}_seed{run.seed}_peft.zip"

    def made() -> bytes:
        answer = AdapterAnswer.from_dict(engine.ask(AdapterQuestion(folder=str(folder), run=place).to_dict()))
        return base64.b64decode(answer.zip)

    return Download(f"Adapter of {METHOD_TITLES[run.method.name]}{what} (PEFT)", made, name, "application/zip")
