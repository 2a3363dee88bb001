"""What the models have written at each place of the dials so far, and how it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from replora.jobs.engine import Engine
from replora.lens.answers import ContinuationAnswer
from replora.lens.questions import ContinuationQuestion, Part
from replora.ui.inside.dial.form import Dialled
from replora.ui.inside.failures import Failures
from replora.ui.inside.generation.prompts import TOKENS
from replora.ui.inside.race_picker import ask

KEPT = 60  # places of the dials

Weights = tuple[float, ...]  # of the update and, where there is one, of the one mixed in


@dataclass
class Dials(Failures):
    """The texts of a choice, by weights."""

    dialled: Dialled
    answers: OrderedDict[Weights, ContinuationAnswer] = field(default_factory=OrderedDict)

    def lacks(self, weights: Weights) -> bool:
        """Whether the texts at these weights are not whole."""
        return weights not in self.answers or not self.answers[weights].over

    def ask(self, engine: Engine, weights: Weights) -> None:
        """Ask on for the texts at these weights."""
        found = ask(engine, self.question(weights))
        if isinstance(found, str):
            self.fail(found)
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
