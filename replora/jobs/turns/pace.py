"""How long jobs take here: by what one that runs tells of itself, and by what those took that were like it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from replora.catalog import OWN_PREFIX, TASKS
from replora.jobs.engine import JobState
from replora.jobs.storage.rows import RunRow

MEMORY = 0.2  # what the last job weighs in what the next is expected to take
RECENT = 60  # lines, of which the steps say how fast a race goes
STEP, PROGRESS = '{"event": "step"', '{"event": "progress"'  # how such lines begin


@dataclass(frozen=True)
class Load:
    """What is known of a job before it runs.

    likes: what it is like, the most particular first; size: what it is of work, beside others of its kind.
    """

    likes: tuple[str, ...]
    size: float = 1.0


class Paces:
    """Seconds for each unit of size that jobs took, by what they were like."""

    def __init__(self, rows: Iterable[RunRow] = ()) -> None:
        """rows: finished runs of this machine, the latest first."""
        self._paces: dict[str, float] = {}
        for row in reversed([row for row in rows if row.state is JobState.FINISHED]):
            seconds = _number(row.summary.get("seconds"))
            if seconds:
                load = load_of(row.kind.partition(" ")[0], row.spec)
                runs, shared = row.spec.get("runs"), _number(row.summary.get("shared_runs"))
                if shared and isinstance(runs, list) and runs:  # whose work took part of that time
                    load = replace(load, size=load.size * (len(runs) + shared) / len(runs))
                self.learn(load, seconds)

    def learn(self, load: Load, seconds: float) -> None:
        """A job of this load took so many seconds."""
        pace = seconds / load.size
        for like in load.likes:
            before = self._paces.get(like, pace)
            self._paces[like] = before + MEMORY * (pace - before)

    def expect(self, load: Load) -> float | None:
        """In how many seconds a job is expected to be done; None where nothing like it was here."""
        return next((self._paces[like] * load.size for like in load.likes if like in self._paces), None)


def load_of(kind: str, spec: Mapping[str, Any]) -> Load:
    """A race is as large as its steps times its runs; of any other kind jobs are taken to be alike."""
    task, steps, runs = spec.get("task"), _number(spec.get("steps")), spec.get("runs")
    own = isinstance(task, str) and task.startswith(OWN_PREFIX)
    particular = (f"{kind} {OWN_PREFIX if own else task}",) if own or task in TASKS else ()
    size = steps * len(runs) if kind == "race" and steps and isinstance(runs, list) and runs else 1.0
    return Load((*particular, kind), size)


def seconds_left(spec: Mapping[str, Any], lines: Sequence[str]) -> float | None:
    """What a job that runs still needs by its own last words; None where it has told no pace."""
    told = next((line for line in reversed(lines[-RECENT:]) if line.startswith((STEP, PROGRESS))), "")
    if told.startswith(PROGRESS):
        return _number(json.loads(told).get("seconds_left"))
    steps = [line for line in lines[-RECENT:] if line.startswith(STEP)]
    if len(steps) < 2:
        return None
    first, last = json.loads(steps[0]), json.loads(steps[-1])
    numbers = [_number(event.get(name)) for event in (first, last) for name in ("step", "seconds")]
    total = _number(spec.get("steps"))
    if total is None or None in numbers or numbers[0] == numbers[2]:
        return None
    step, seconds, last_step, last_seconds = (number or 0.0 for number in numbers)
    return max(0.0, (total - last_step) * (last_seconds - seconds) / (last_step - step))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
