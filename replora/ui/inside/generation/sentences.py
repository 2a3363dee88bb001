"""What was seen of the texts, and what the race says of all test texts: sentences from the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from replora.events import Evaluated, Event
from replora.lens.answers import ContinuationAnswer, Written
from replora.summary import race_verdict, summarize
from replora.wording import count, listing

NO_VERDICT = "A few sentences are a sample, and no verdict."


def text_of(written: Written) -> str:
    """The tokens as one text."""
    return "".join(written.tokens)


def seen_sentence(
    prompts: Sequence[str], titles: Sequence[str], answers: Mapping[int, ContinuationAnswer], step: int
) -> str:
    """How many texts of each model differ from those of the untouched one, which is the first, and since when."""
    now = answers[step]
    if not now.over:
        return "The models are writing."
    told = []
    for place, title in enumerate(titles[1:], start=1):
        pairs = zip(now.models[0], now.models[place], strict=True)
        changed = sum(text_of(untouched) != text_of(own) for untouched, own in pairs)
        told.append(f"{title} has changed {changed} of {len(prompts)} texts")
    return f"After step {count(step)} {listing(told)}. {_first_change(prompts, titles, answers)}".strip()


def _first_change(prompts: Sequence[str], titles: Sequence[str], answers: Mapping[int, ContinuationAnswer]) -> str:
    """Whose text was the first to change; '' where the texts of a step before are not known yet."""
    for step in max(answers.values(), key=lambda answer: len(answer.steps)).steps:
        answer = answers.get(step)
        if answer is None or not answer.over:
            return ""
        for place, title in enumerate(titles[1:], start=1):
            for prompt, untouched, own in zip(prompts, answer.models[0], answer.models[place], strict=True):
                if text_of(untouched) != text_of(own):
                    return f"The first to change was {title}\u2019s after \u201c{prompt}\u201d, by step {count(step)}."
    return ""


def judged_sentence(events: Sequence[Event], step: int, titles: Sequence[str], runs: Sequence[int]) -> str:
    """Nats a token on the race's test texts by that step, and the race's own verdict."""
    summary = summarize(events)
    tested = [each for each in events if isinstance(each, Evaluated) and each.step <= step]
    if summary is None or not tested:
        return NO_VERDICT
    last = tested[-1]
    values = [(titles[0], summary.untouched), *zip(titles[1:], (last.losses[run] for run in runs), strict=True)]
    said = listing([f"{title} {value:.3f}" for title, value in values if value is not None])
    verdict = f" {race_verdict(summary)}" if summary.finished else ""
    return (
        f"{NO_VERDICT} The {count(summary.test_examples)} test pieces, by step {count(last.step)}: {said} nats a "
        f"token, lower is better.{verdict}"
    )
