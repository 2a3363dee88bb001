"""The kinds of jobs: the name a spec is submitted under, and where the function is that runs it.

A job function takes the spec as plain values, `new_rate`, which returns a learning rate asked for since it was last
called, or None, and a folder of its own, not made yet, for what it leaves beside its events; it yields their lines.
A shared job function runs several jobs of a kind at once: it takes spec and folder of each by its id, `new_rates`,
which returns the rates asked for by job, and `leaving`, which returns the jobs that are to leave and whether to go on
elsewhere; it yields a job and its line, or the number of the step after which it has left to go on elsewhere.
The answerer takes a question of plain values and returns its answer, likewise plain; it lives on between questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

Answerer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
JobFunction = Callable[[Mapping[str, Any], Callable[[], float | None], Path], Iterator[str]]
SharedFunction = Callable[
    [Mapping[str, tuple[Mapping[str, Any], Path]], Callable[[], Mapping[str, float]], Callable[[], Mapping[str, bool]]],
    Iterator[tuple[str, str | int | OSError]],
]

KINDS: dict[str, str] = {
    "race": "replora.training.race:race_lines",
    "theory": "replora.simulation.job:monte_carlo_lines",
    "study": "replora.studies.study:study_lines",
    "download": "replora.hub.download:download_lines",
}
SHARED: dict[str, str] = {"race": "replora.training.together:race_lines_together"}
REPEATABLE = frozenset({"race", "study", "theory"})  # they tell the same lines whenever they are run
NO_RUNS = frozenset({"download"})  # jobs that measure nothing and have no place in the history


ANSWERER = "replora.lens.service:answer"


def job_function(kind: str, kinds: Mapping[str, str] = KINDS) -> JobFunction:
    """The function of a kind, imported only now (it may load torch)."""
    function: JobFunction = _named(kinds[kind])
    return function


def shared_function(kind: str, shared: Mapping[str, str] = SHARED) -> SharedFunction:
    """The function that runs several jobs of a kind at once, imported only now."""
    function: SharedFunction = _named(shared[kind])
    return function


def answerer(name: str) -> Answerer:
    """The function that answers questions, imported only now."""
    function: Answerer = _named(name)
    return function


def _named(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
