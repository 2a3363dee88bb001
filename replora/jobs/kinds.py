"""The kinds of jobs: the name a spec is submitted under, and where the function is that runs it.

A job function takes the spec as plain values, `new_rate`, which returns a learning rate asked for since it was last
called, or None, and a folder of its own, not made yet, for what it leaves beside its events; it yields their lines.
The answerer takes a question of plain values and returns its answer, likewise plain; it lives on between questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

Answerer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
JobFunction = Callable[[Mapping[str, Any], Callable[[], float | None], Path], Iterator[str]]

KINDS: dict[str, str] = {
    "race": "replora.training.race:race_lines",
    "theory": "replora.simulation.job:monte_carlo_lines",
    "study": "replora.studies.study:study_lines",
    "download": "replora.hub.download:download_lines",
}
REPEATABLE = frozenset({"race", "study", "theory"})  # they tell the same lines whenever they are run
NO_RUNS = frozenset({"download"})  # jobs that measure nothing and have no place in the history


ANSWERER = "replora.lens.service:answer"


def job_function(kind: str, kinds: Mapping[str, str] = KINDS) -> JobFunction:
    """The function of a kind, imported only now (it may load torch)."""
    function: JobFunction = _named(kinds[kind])
    return function


def answerer(name: str) -> Answerer:
    """The function that answers questions, imported only now."""
    function: Answerer = _named(name)
    return function


def _named(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
