"""The answer to a `ContinuationQuestion`: as many tokens as there is time for."""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.backbones import CausalLM
from replora.lens.answers import ContinuationAnswer
from replora.lens.continuation.generation import Generation, Way
from replora.lens.continuation.mixing import Stack, stack_of
from replora.lens.continuation.shares import part_shares
from replora.lens.inputs import sentence
from replora.lens.questions import (
    LATEST,
    LEAST_WEIGHT,
    MOST_PARTS,
    MOST_PROMPTS,
    MOST_RUNS,
    MOST_TEMPERATURE,
    MOST_WEIGHT,
    NEW_TOKENS,
    PROMPT_TOKENS,
    ContinuationQuestion,
    LensError,
    Part,
)
from replora.lens.subject import Subject, subject

SECONDS = 0.5  # for one answer: others ask the same process
KEPT = 200  # texts of a race
LIVE = 4  # texts of all races that are still written, whose keys and values are kept: 30 megabytes each
MOST_SEED = 1_000_000


@dataclass(frozen=True)
class _Asked:
    """All that a text depends on; equal ones are written once."""

    models: tuple[tuple[Part, ...], ...]
    prompts: tuple[str, ...]
    way: Way
    parts: bool


@dataclass
class _Live:
    """A text that is still written, and the models that write it."""

    stack: Stack
    generation: Generation
    parts: Mapping[str, tuple[float, ...]]  # routing and expert, where they were asked for


def answer_continuation(about: Subject, question: ContinuationQuestion, seconds: float = SECONDS) -> ContinuationAnswer:
    """See `ContinuationAnswer`; `LensError` for models, prompts or settings that cannot be had."""
    prompts = _checked(about, question)
    step = about.snapshots.latest() if question.step == LATEST else question.step
    models = [[_part(about, question, part, step) for part in parts] for parts in question.models]
    way = Way(question.tokens, question.temperature, question.seed)
    asked = _Asked(tuple(tuple(part for _, part in parts) for parts in models), question.prompts, way, question.parts)
    kept: OrderedDict[_Asked, ContinuationAnswer] = about.kept.setdefault("written", OrderedDict())
    steps = tuple(about.snapshots.steps())
    if asked not in kept:
        found = _written(about, asked, models, prompts, seconds)
        if not found.over:
            return dataclasses.replace(found, step=step, steps=steps)
        kept[asked] = found
        if len(kept) > KEPT:
            kept.popitem(last=False)
    kept.move_to_end(asked)
    return dataclasses.replace(kept[asked], step=step, steps=steps)


def _written(
    about: Subject,
    asked: _Asked,
    models: Sequence[Sequence[tuple[Subject, Part]]],
    prompts: Sequence[Sequence[int]],
    seconds: float,
) -> ContinuationAnswer:
    """What is written once the time is over, one token more than before at least."""
    key = (str(about.snapshots.folder), asked)
    live = _live.pop(key, None) or _begun(about, models, prompts, asked)
    backbone = about.adapted(live.stack.pairs, live.stack.scaling, live.stack.first)
    assert isinstance(backbone, CausalLM)
    begun = time.monotonic()
    while not live.generation.over:
        live.generation.advance(backbone)
        if time.monotonic() - begun > seconds:
            break
    if not live.generation.over:
        _live[key] = live
        if len(_live) > LIVE:
            _live.popitem(last=False)
    written = live.generation.written(about.causal.tokenizer)
    return ContinuationAnswer(0, (), written, live.generation.over, **live.parts)


def _begun(
    about: Subject,
    models: Sequence[Sequence[tuple[Subject, Part]]],
    prompts: Sequence[Sequence[int]],
    asked: _Asked,
) -> _Live:
    plain = [not parts for parts in models]
    beside = [parts for parts in models if parts]  # an untouched run each, which reads what it writes
    stack = stack_of([*models, *([] for _ in beside)], about)
    told = part_shares(about, stack, prompts[0], len(models)) if asked.parts else {}
    return _Live(stack, Generation(prompts, plain, about.causal.ends, asked.way), told)


def _checked(about: Subject, question: ContinuationQuestion) -> list[list[int]]:
    """The prompts as token ids; `LensError` where anything is out of its range."""
    backbone = about.causal
    _whole("models", len(question.models), MOST_RUNS)
    _whole("prompts", len(question.prompts), MOST_PROMPTS)
    for parts in question.models:
        if len(parts) > MOST_PARTS:
            raise LensError(f"A model must have at most {MOST_PARTS} updates, got {len(parts)}.")
    _whole("tokens", question.tokens, NEW_TOKENS)
    if not 0 <= question.temperature <= MOST_TEMPERATURE:  # nan is refused as well
        raise LensError(f"temperature must be a number from 0 to {MOST_TEMPERATURE:g}, got {question.temperature:g}.")
    if not 0 <= question.seed <= MOST_SEED:
        raise LensError(f"seed must be a whole number from 0 to {MOST_SEED:,}, got {question.seed}.")
    found: list[list[int]] = []
    for prompt in question.prompts:
        ids: list[int] = backbone.tokenizer(sentence(prompt).text)["input_ids"]
        if not 1 <= len(ids) <= PROMPT_TOKENS:
            raise LensError(f"A prompt must have 1 to {PROMPT_TOKENS} tokens of the model, got {len(ids):,}.")
        found.append(ids)
    return found


def _whole(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise LensError(f"{name} must be a whole number from 1 to {most}, got {value}.")


def _part(about: Subject, question: ContinuationQuestion, part: Part, step: int) -> tuple[Subject, Part]:
    """The race of a part, and the part with its folder and step filled in; `LensError` where it cannot be had."""
    if not LEAST_WEIGHT <= part.weight <= MOST_WEIGHT:
        raise LensError(f"weight must be a number from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, got {part.weight:g}.")
    own = part.folder in ("", question.folder)
    other = about if own else subject(part.folder)
    if other.causal.name != about.backbone.name:
        raise LensError(f"Updates must be of one backbone, {about.backbone.name}, got one of {other.backbone.name}.")
    if not other.run(part.run).method.has_adapter:
        raise LensError(f"run must be a run with an adapter, got run {part.run}.")
    at = part.step if part.step != LATEST else step if own else other.snapshots.latest()
    return other, dataclasses.replace(part, folder="" if own else part.folder, step=at)


_live: OrderedDict[tuple[str, _Asked], _Live] = OrderedDict()
