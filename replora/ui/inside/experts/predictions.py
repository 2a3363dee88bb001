"""What each run says an example is, side by side, as HTML: its first answers as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from replora.lens.answers import HeadAnswer, RunHead
from replora.methods import HEAD, METHOD_TITLES
from replora.ui.inside.experts.view import RunTitle, shown_text

FIRST = 3  # answers that are shown
MISSING: dict[str, str] = {HEAD: "not in this race: switch on Head only as well, under More"}


def predictions_html(answer: HeadAnswer, titles: Mapping[int, RunTitle], lacking: Sequence[str]) -> str:
    """A card a run that has a head, in the order of methods; `lacking` names the methods this race has no run of.

    Where the model continues texts, the answers are tokens that may come next, and the frozen model has them too.
    """
    order = ["frozen", *METHOD_TITLES]
    classes = [f"\u2026{shown_text(name)}" for name in answer.classes] if answer.causal else answer.classes
    seen = [each for each in answer.runs if each.probabilities.size]
    cards = [(order.index(titles[run.run].series), _card(run, titles[run.run], classes, answer.label)) for run in seen]
    cards += [(order.index(name), _missing(name)) for name in lacking]
    return f'<div class="predictions">{"".join(card for _, card in sorted(cards, key=lambda each: each[0]))}</div>'


def _card(run: RunHead, title: RunTitle, classes: Sequence[str], label: int) -> str:
    best = [int(each) for each in np.argsort(-run.probabilities, kind="stable")[:FIRST]]
    verdict = "" if label < 0 else ('<em class="right">right</em>' if best[0] == label else "<em>wrong</em>")
    rows = "".join(
        f'<li{" class=true" if place == label else ""}><span dir="auto">{escape(classes[place])}</span>'
        f'<i><b style="width:{100 * float(run.probabilities[place]):.1f}%"></b></i>'
        f"<small>{100 * float(run.probabilities[place]):.0f} %</small></li>"
        for place in best
    )
    return (
        f'<section class="card {escape(title.series)}"><h2><i class="swatch"></i>{escape(title.text)}{verdict}</h2>'
        f"<ol>{rows}</ol></section>"
    )


def _missing(name: str) -> str:
    return (
        f'<section class="card {escape(name)}"><h2><i class="swatch"></i>{escape(METHOD_TITLES[name])}</h2>'
        f"<p>{MISSING.get(name, 'not in this race')}</p></section>"
    )
