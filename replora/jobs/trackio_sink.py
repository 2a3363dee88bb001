"""Finished races as runs of a trackio project, where the package is installed and REPLORA_TRACKIO names a project."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from replora.catalog import unnamed
from replora.events import Evaluated, Event, PerRun, Started, Step, from_line, started_of
from replora.result_card import spec_hash

VARIABLE = "REPLORA_TRACKIO"

log = logging.getLogger(__name__)


def wanted_project() -> str:
    """The project that REPLORA_TRACKIO names, '' for none."""
    return os.environ.get(VARIABLE, "").strip()


def log_race(project: str, job: str, lines: Sequence[str]) -> threading.Thread:
    """Logs a race in a thread of its own, for trackio may use the network; what goes wrong is in the log."""
    thread = threading.Thread(target=_log_race, args=(project, job, list(lines)), name="replora-trackio", daemon=True)
    thread.start()
    return thread


def _log_race(project: str, job: str, lines: Sequence[str]) -> None:
    try:
        trackio = import_module("trackio")
    except ImportError as error:
        log.warning("%s is set, but trackio cannot be imported (%s): race %s is not logged.", VARIABLE, error, job)
        return
    try:
        _send(trackio, project, job, [from_line(line) for line in lines])
    except Exception:  # of a foreign package, which must not end ours
        log.exception("Race %s could not be logged to the trackio project %s.", job, project)


def _send(trackio: Any, project: str, job: str, events: Sequence[Event]) -> None:
    """One trackio run for each run of the race, all in one group."""
    started = started_of(events)
    if started is None:
        return
    for place, run in enumerate(started.spec.runs):
        sent = trackio.init(
            project=project,
            name=f"{job}-{place}-{run.method.name}-seed-{run.seed}",
            group=job,
            config=_config(started, place),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        for step, metrics in _metrics(events, place):
            sent.log(metrics, step=step)
        sent.finish()


def _config(started: Started, place: int) -> dict[str, Any]:
    """All settings of one run, and what it ran on."""
    spec = started.spec.to_dict()
    run = spec.pop("runs")[place]
    facts = started.facts[place]
    return {
        **spec,
        **run,
        "task": unnamed(spec["task"]),
        "spec_hash": spec_hash(started.spec.to_dict()),
        "backbone": started.backbone,
        "examples": facts.examples,
        "trained_parameters": facts.trained_parameters,
        "deployed_parameters": facts.deployed_parameters,
        "device": started.device,
        "precision": started.precision,
        "threads": started.threads,
        "versions": dict(started.versions),
    }


def _metrics(events: Sequence[Event], place: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Step by step what one run told; nothing for the steps after it diverged."""
    for event in events:
        told: dict[str, PerRun] = {}
        if isinstance(event, Step):
            told = {
                "training_loss": event.losses,
                "delta_norm": event.delta_norms,
                "learning_rate": event.learning_rates,
            }
        elif isinstance(event, Evaluated):
            told = {"test_accuracy": event.accuracies, "test_loss": event.losses}
        else:
            continue
        values = {name: value for name, per_run in told.items() if (value := per_run[place]) is not None}
        if values:
            yield event.step, values
