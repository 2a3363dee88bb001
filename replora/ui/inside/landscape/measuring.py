"""What is known of a plane so far, and the next thing to ask of it: coarse points first, a moment's worth at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from replora.events import Evaluated, Event, started_of
from replora.figures.inside.landscape import LEVELS, PlottedLandscape, Point, Snapshot, finest, grid
from replora.lens.answers import LandscapeAnswer
from replora.lens.questions import LATEST, MOST_LANDSCAPE_EXAMPLES, LandscapeQuestion
from replora.ui.inside.race_picker import PickedRace


@dataclass
class Measured:
    """The plane of two runs of a race; `step` is LATEST until the first answer tells which one it is."""

    source: PickedRace
    runs: tuple[int, int]
    examples: int
    step: int = LATEST
    losses: dict[Point, float] = field(default_factory=dict)
    answer: LandscapeAnswer | None = None

    @property
    def missing(self) -> tuple[Point, ...]:
        """The points of the coarsest level that is not whole; none once all are."""
        for level in LEVELS:
            if left := tuple(point for point in grid(level) if point not in self.losses):
                return left
        return ()

    @property
    def level(self) -> int:
        """The finest whole level."""
        return finest(self.losses)

    def question(self) -> LandscapeQuestion:
        """What to ask next; where nothing is missing, where the snapshots are."""
        return LandscapeQuestion(
            folder=self.source.folder, step=self.step, runs=self.runs, points=self.missing, examples=self.examples
        )

    def take(self, asked: LandscapeQuestion, answer: LandscapeAnswer) -> None:
        """Keep what an answer tells."""
        self.step, self.answer = answer.step, answer
        for point, loss in zip(asked.points, answer.losses.tolist(), strict=True):
            if not math.isnan(loss):
                self.losses[point] = loss

    def picture(self) -> PlottedLandscape | None:
        """What there is to draw; None before the first answer."""
        if self.answer is None:
            return None
        methods = [self.source.spec.runs[run].method.name for run in self.runs]
        ways = [
            [
                Snapshot(step, (a, b), off, told_loss(self.source.events, step, run))
                for step, (a, b, off) in zip(self.answer.steps, rows, strict=True)
            ]
            for run, rows in zip(self.runs, self.answer.places.tolist(), strict=True)
        ]
        titles = (self.source.run_title(self.runs[0]), self.source.run_title(self.runs[1]))
        return PlottedLandscape((methods[0], methods[1]), titles, self.losses, (ways[0], ways[1]), self.examples)


def told_loss(events: Sequence[Event], step: int, run: int) -> float | None:
    """The loss that the race told of a run after a step."""
    found = [each.losses[run] for each in events if isinstance(each, Evaluated) and each.step == step]
    return found[-1] if found else None


def examples_of(source: PickedRace) -> int:
    """As many test examples as the race was tested on, where that is not too many."""
    started = started_of(source.events)
    told = started.test_examples if started else 0
    return min(told or source.spec.test_examples, MOST_LANDSCAPE_EXAMPLES)
