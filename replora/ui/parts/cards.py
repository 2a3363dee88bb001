"""A card with one large number, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

BLANK = '<b class="blank">\u2013</b>'


def card(kind: str, title: str, value: str, caption: str, notes: Sequence[str]) -> str:
    """One card as HTML; `kind` is its class, all texts are HTML already."""
    lines = "".join(f"<p>{note}</p>" for note in notes)
    return (
        f'<section class="card {escape(kind)}"><h2>{title}</h2>'
        f'<div class="value">{value}<span>{caption}</span></div>{lines}</section>'
    )
