"""What the models have written by now, step by step, and the next thing to ask: a moment's worth at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from replora.jobs.engine import Engine
from replora.lens.answers import ContinuationAnswer
from replora.lens.questions import LATEST, ContinuationQuestion, Part
from replora.ui.inside.failures import Failures
from replora.ui.inside.generation.form import Chosen
from replora.ui.inside.generation.prompts import TOKENS
from replora.ui.inside.generation.recorded import recorded_texts
from replora.ui.inside.race_picker import ask


@dataclass
class Texts(Failures):
    """The texts of a choice, by step."""

    chosen: Chosen
    steps: tuple[int, ...] = ()
    answers: dict[int, ContinuationAnswer] = field(default_factory=dict)

    @classmethod
    def of(cls, chosen: Chosen) -> Texts:
        """Nothing yet; of a recorded race all there is."""
        if not chosen.source.recorded:
            return cls(chosen)
        recorded = recorded_texts(chosen.source.spec.task)
        return cls(chosen, tuple(recorded.answers), dict(recorded.answers))

    @property
    def missing(self) -> tuple[int, ...]:
        """The steps whose texts are not whole, the latest first."""
        whole = {step for step, answer in self.answers.items() if answer.over}
        return tuple(step for step in reversed(self.steps) if step not in whole)

    def ask(self, engine: Engine, step: int) -> None:
        """Ask on for the texts after a step."""
        question = ContinuationQuestion(
            folder=self.chosen.source.folder,
            step=step,
            models=((), *((Part(run=run),) for run in self.chosen.runs)),
            prompts=self.chosen.prompts,
            tokens=TOKENS,
            temperature=self.chosen.temperature,
            seed=self.chosen.seed,
        )
        found = ask(engine, question)
        if isinstance(found, str):
            self.fail(found)
        else:
            self.unstick()
            answer = ContinuationAnswer.from_dict(found)
            self.steps = answer.steps
            self.answers[answer.step] = answer

    def at(self, step: int) -> ContinuationAnswer | None:
        """What is written after a step, or after the latest one of which there is anything."""
        if step == LATEST:
            step = max(self.answers, default=LATEST)
        return self.answers.get(step)
