"""Cards with one large number each, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from replora.ui.parts.text import unbroken

BLANK = '<b class="blank">\u2013</b>'

COSINE = (
    "Two updates as long vectors: 1 where they point the same way, 0 where they have nothing in common, \u22121 where "
    "they are opposite. Their sizes do not matter."
)


def card(kind: str, title: str, value: str, caption: str, notes: Sequence[str], about: str = "") -> str:
    """One card as HTML; `kind` is its class, all texts are HTML already.

    about: what its words mean, behind a question mark that a press opens over what is below.
    """
    lines = "".join(f"<p>{unbroken(note)}</p>" for note in notes)
    return (
        f'<section class="card {escape(kind)}"><h2>{title}</h2>{explained(about)}'
        f'<div class="value">{value}<span>{caption}</span></div>{lines}</section>'
    )


def explained(about: str) -> str:
    """A question mark that a press opens, as HTML; nothing where there is nothing to explain."""
    mark = '<summary aria-label="What this says" title="What this says">?</summary>'
    return f'<details class="about">{mark}<p>{about}</p></details>' if about else ""


def row_of(cards: Sequence[str], kind: str = "") -> str:
    """Cards side by side where there is room; `kind` is a further class, which says for how many."""
    return f'<div class="{escape(f"cards {kind}".strip())}">{"".join(cards)}</div>'


def sentence_html(text: str, kind: str = "verdict") -> str:
    """What was found, in a sentence; `kind` is its class."""
    return f'<p class="{escape(kind)}">{escape(unbroken(text))}</p>'
