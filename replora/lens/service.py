"""The answerer of the job host: a question in plain values in, its answer in plain values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from replora.lens.continuation.answer import answer_continuation
from replora.lens.heads import answer_head
from replora.lens.landscape.answer import answer_landscape
from replora.lens.merging import answer_adapter, answer_merge
from replora.lens.plain import Answer
from replora.lens.questions import (
    QUESTIONS,
    AdapterQuestion,
    ContinuationQuestion,
    HeadQuestion,
    InsideQuestion,
    LandscapeQuestion,
    LensError,
    MergeQuestion,
)
from replora.lens.reparameterization.answer import answer_inside
from replora.lens.subject import subject

ANSWERS: dict[type, Callable[[Any, Any], Answer]] = {
    HeadQuestion: answer_head,
    InsideQuestion: answer_inside,
    MergeQuestion: answer_merge,
    AdapterQuestion: answer_adapter,
    LandscapeQuestion: answer_landscape,
    ContinuationQuestion: answer_continuation,
}


def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer to a `Question.to_dict`; raises `UserError`, one sentence, where there is none."""
    kind = question.get("kind")
    if kind not in QUESTIONS:
        raise LensError(f"kind must be one of {', '.join(QUESTIONS)}, got {kind!r}.")
    asked = QUESTIONS[kind].from_dict(question)
    return ANSWERS[type(asked)](subject(asked.folder), asked).to_dict()
