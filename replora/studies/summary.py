"""What the summaries of all kinds of studies have in common: pure functions of events, finished or not. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from replora.statistics.verdict import lost_sentence
from replora.studies.base import AnyStudy
from replora.studies.events import Key, Progress, StudyEvent, StudyFinished, StudyStarted
from replora.studies.fairness import FairnessItem
from replora.studies.spec import study_to_dict
from replora.studies.table import Result

Lost = tuple[str, float, int]  # title, rate, seed


class GridCell(Protocol):
    """What the cells of all kinds of studies have: whose they are, and whether they are at the chosen rate."""

    @property
    def key(self) -> Key: ...

    @property
    def chosen(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far a study has come. runs_done: the diverged ones among them; seconds: pauses left out."""

    started: StudyStarted
    runs_done: int
    diverged: int
    finished: bool
    seconds: float

    @property
    def runs_per_second(self) -> float | None:
        """None before any run is done."""
        return self.runs_done / self.seconds if self.runs_done and self.seconds > 0 else None


@dataclass(frozen=True, kw_only=True)
class Summary(Reached, Generic[AnyStudy]):
    """A whole study so far; what was found is each kind's own. cells: of the grid, those with finished runs."""

    spec: AnyStudy
    cells: tuple[GridCell, ...]
    fairness: tuple[FairnessItem, ...]
    verdict: str

    def found(self) -> Mapping[str, Any]:
        """What this kind of study has found, in plain values for JSON, its grid among it."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        spec, started = self.spec, self.started
        return {
            "study": spec.name,
            "task": spec.task,
            "backbone": started.backbone,
            "device": started.device,
            "precision": started.precision,
            "threads": started.threads,
            "versions": dict(started.versions),
            "spec": study_to_dict(spec),
            "parameters": {
                sizes.method: {"trained": sizes.trained_parameters, "deployed": sizes.deployed_parameters}
                for sizes in started.methods
            },
            "test_examples": started.test_examples,
            "runs": started.runs,
            "runs_done": self.runs_done,
            "diverged": self.diverged,
            "finished": self.finished,
            **self.found(),
            "fairness": [dataclasses.asdict(item) for item in self.fairness],
            "verdict": self.verdict,
            "seconds": self.seconds,
            "runs_per_second": self.runs_per_second,
        }


def reached(events: Sequence[StudyEvent], started: StudyStarted, results: Sequence[Result]) -> Reached:
    """How far a study that has started has come."""
    clock = next((event for event in reversed(events) if isinstance(event, Progress | StudyFinished)), None)
    return Reached(
        started=started,
        runs_done=len(results),
        diverged=sum(result.diverged for result in results),
        finished=isinstance(events[-1], StudyFinished),
        seconds=clock.seconds if clock else 0.0,
    )


def whole_verdict(so_far: Reached, said: Sequence[str], results: Sequence[Result]) -> str:
    """The sentences of a study: how far it is where it is not done, what was found, and which runs diverged."""
    titles = so_far.started.spec.titles
    lost: list[Lost] = []
    for result in results:
        name, _, rate = result.key
        if result.diverged:
            lost.append((titles.get(name, name), rate, result.seed))
    done, runs = so_far.runs_done, so_far.started.runs
    opening = [f"After {done} of {runs} runs."] if done < runs else []
    return " ".join(filter(None, [*opening, *said, lost_sentence(lost, done)]))
