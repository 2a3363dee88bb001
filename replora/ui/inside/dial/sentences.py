"""What the dials did to the texts: sentences and titles from the answer."""

from __future__ import annotations

from collections.abc import Sequence

from replora.lens.answers import ContinuationAnswer
from replora.ui.inside.dial.asking import Weights
from replora.ui.inside.dial.form import Dialled
from replora.ui.inside.generation.sentences import text_of
from replora.wording import MINUS, listing


def weight_text(weight: float) -> str:
    """'0.5' or '−1'."""
    return f"{weight:g}".replace("-", MINUS)


def titles_of(dialled: Dialled, weights: Weights) -> list[tuple[str, str]]:
    """Title and look of each model of the question: untouched, as trained, dialled."""
    updates = [each for each in (dialled.update, dialled.mixed) if each is not None]
    names = [each.title if dialled.mixed else each.source.run_title(each.run) for each in updates]
    trained = [(f"{name}, as trained", each.look) for name, each in zip(names, updates, strict=True)]
    parts = [f"{weight_text(weight)} \u00d7 {name}" for name, weight in zip(names, weights, strict=True)]
    return [("Untouched", "frozen"), *trained, (" + ".join(parts), updates[0].look)]


def shares_html_rows(titles: Sequence[tuple[str, str]], answer: ContinuationAnswer) -> list[tuple[str, float, float]]:
    """Of each model with an update its title, routing part and expert part."""
    rows = zip(titles, answer.routing, answer.expert, strict=True)
    return [(title, routing, expert) for (title, _), routing, expert in rows][1:]


def dial_sentence(prompts: Sequence[str], weights: Weights, answer: ContinuationAnswer) -> str:
    """How many texts differ from those as trained and those of the untouched model."""
    if not answer.over:
        return "The models are writing."
    turned = answer.models[-1]

    def unlike(model: int) -> int:
        return sum(text_of(one) != text_of(other) for one, other in zip(answer.models[model], turned, strict=True))

    at = listing([weight_text(weight) for weight in weights])
    noun = "weight" if len(weights) == 1 else "weights"
    said = (
        f"At {noun} {at} {unlike(0)} of {len(prompts)} texts differ from those of the untouched model and {unlike(1)} "
        f"from those of the update as trained."
    )
    if len(answer.routing) == len(answer.models):
        routing, expert = (f"{100 * values[-1]:.1f} %" for values in (answer.routing, answer.expert))
        said += (
            f" While it reads \u201c{prompts[0]}\u201d, routing moves a head\u2019s output by {routing} of what it "
            f"was, experts by {expert}, a mean over heads."
        )
    return said
