"""What the models have written at each place of the dials so far, and how it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from replora.jobs.engine import Engine
from replora.lens.answers import ContinuationAnswer
from replora.lens.questions import ContinuationQuestion, Part
from replora.ui.inside.dial.form import Dialled
from replora.ui.inside.generation.prompts import TOKENS
from replora.ui.inside.race_picker import ask

KEPT = 60  # places of the dials
MOST_FAILURES = 3

Weights = tuple[float, ...]  # of the update and, where there is one, of the one mixed in


@dataclass
class Dials:
    """The texts of a choice, by weights."""

    dialled: Dialled
    answers: OrderedDict[Weights, ContinuationAnswer] = field(default_factory=OrderedDict)
    problem: str = ""
    failures: int = 0

    @property
    def stuck(self) -> bool:
        """Whether asking again is up to the visitor: models that are still being read are there a moment later."""
        return self.failures >= MOST_FAILURES

    def unstick(self) -> None:
        """Ask again."""
        self.problem, self.failures = "", 0

    def lacks(self, weights: Weights) -> bool:
        """Whether the texts at these weights are not whole."""
        return weights not in self.answers or not self.answers[weights].over

    def ask(self, engine: Engine, weights: Weights) -> None:
        """Ask on for the texts at these weights."""
        found = ask(engine, self.question(weights))
        if isinstance(found, str):
            self.problem = found
            self.failures += 1
            return
        self.unstick()
        self.answers[weights] = ContinuationAnswer.from_dict(found)
        if len(self.answers) > KEPT:
            self.answers.popitem(last=False)

    def question(self, weights: Weights) -> ContinuationQuestion:
        """The untouched model, each update as it was trained, and all of them at their weights."""
        source = self.dialled.update.source
        updates = [each for each in (self.dialled.update, self.dialled.mixed) if each is not None]
        folders = ["" if each.source.folder == source.folder else each.source.folder for each in updates]
        places = [(each.run, folder) for each, folder in zip(updates, folders, strict=True)]
        trained = tuple((Part(run=run, folder=folder),) for run, folder in places)
        turned = tuple(
            Part(run=run, folder=folder, weight=weight) for (run, folder), weight in zip(places, weights, strict=True)
        )
        return ContinuationQuestion(
            folder=source.folder,
            models=((), *trained, turned),
            prompts=self.dialled.prompts,
            tokens=TOKENS,
            temperature=self.dialled.temperature,
            seed=self.dialled.seed,
            parts=True,
        )
