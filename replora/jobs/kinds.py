"""The kinds of jobs: the name a spec is submitted under, and where the function is that runs it.

A job function takes the spec as plain values and `new_rate`, which returns a learning rate asked for since it was last
called, or None; it yields the lines of its events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

JobFunction = Callable[[Mapping[str, Any], Callable[[], float | None]], Iterator[str]]

KINDS: dict[str, str] = {
    "race": "replora.training.race:race_lines",
    "theory": "replora.lab.job:monte_carlo_lines",
    "study": "replora.studies.study:study_lines",
}


def job_function(kind: str, kinds: Mapping[str, str] = KINDS) -> JobFunction:
    """The function of a kind, imported only now (it may load torch)."""
    module, name = kinds[kind].split(":")
    function: JobFunction = getattr(import_module(module), name)
    return function
