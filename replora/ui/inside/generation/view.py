"""Texts beside each other as HTML: each token on a ground that says how much the update changed its probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from replora.lens.answers import Written
from replora.wording import MINUS

LEVELS = (0.25, 1.0, 2.5)  # nats from which on a change has another ground
MOST_TIMES = 1000  # above which a ratio says nothing to anyone
LINE_END = "\u21b5"
LEGEND = (
    ("lowered3", "\u00f712 or less"),
    ("lowered2", ""),
    ("lowered1", ""),
    ("", "as before"),
    ("raised1", ""),
    ("raised2", ""),
    ("raised3", "\u00d712 or more"),
)


def level_of(nats: float) -> str:
    """The ground of a change in log-probability: '', or raised or lowered from 1 to 3."""
    level = sum(abs(nats) >= least for least in LEVELS)
    return f"{'raised' if nats > 0 else 'lowered'}{level}" if level else ""


def legend_html() -> str:
    """What the grounds say."""
    grounds = "".join(f'<span class="{name}">{text or "&nbsp;"}</span>' for name, text in LEGEND)
    return (
        f'<p class="legend">Probability of a token with the update, against without: <span class="scale" '
        f'aria-hidden="true">{grounds}</span> <small>Dotted: lowered; a line: raised. A token names its number.</small>'
        "</p>"
    )


def texts_html(
    prompts: Sequence[str],
    titles: Sequence[tuple[str, str]],
    written: Sequence[Sequence[Written]],
    when: str,
) -> str:
    """A row a prompt, a column a model.

    titles: of the models, with their looks. written: by model and prompt. when: 'after step 20'.
    """
    rows = []
    for place, prompt in enumerate(prompts):
        cells = "".join(
            _cell(prompt, title, look, texts[place], when) for (title, look), texts in zip(titles, written, strict=True)
        )
        rows.append(f'<div class="row">{cells}</div>')
    return f'<div class="texts" style="--models: {len(titles)}">{"".join(rows)}</div>'


def _cell(prompt: str, title: str, look: str, written: Written, when: str) -> str:
    tokens = "".join(
        token_html(text, float(own - untouched), plain=look == "frozen")
        for text, own, untouched in zip(written.tokens, written.nats, written.untouched_nats, strict=True)
    )
    end = '<span class="end" title="The model ended the text here.">\u25a0</span>' if written.ended else ""
    more = "" if written.over else '<span class="caret" aria-hidden="true">\u258d</span>'
    said = escape(f"{title}, {when}: {counted(written)}" if look != "frozen" else title)
    return (
        f'<section class="text card {escape(look)}" role="group" aria-label="{said}"><h2><i class="swatch"></i>'
        f'{escape(title)}</h2><p dir="auto"><span class="asked">{escape(prompt)}</span>{tokens}{end}{more}</p>'
        "</section>"
    )


def token_html(text: str, nats: float, *, plain: bool = False) -> str:
    """A token; `nats`: its log-probability minus that under the untouched model."""
    shown = escape(text).replace("\n", f'<i class="break">{LINE_END}</i>\n')
    if plain or not text:
        return shown
    name = level_of(nats)
    return f'<span class="token {name}" title="{escape(told(nats))}">{shown}</span>'


def told(nats: float) -> str:
    """'+1.30 nats: 3.7 times as probable as without the update'."""
    times = math.exp(min(abs(nats), math.log(2 * MOST_TIMES)))
    ratio = f"over {MOST_TIMES:,}" if times > MOST_TIMES else f"{times:.2g}" if times < 10 else f"{times:.0f}"
    if nats < 0:
        return f"{MINUS}{-nats:.2f} nats: {ratio} times less probable than without the update"
    return f"+{nats:.2f} nats: {ratio} times as probable as without the update"


def counted(written: Written) -> str:
    """'9 of 24 tokens raised, 2 lowered' by the update, by a quarter of a nat or more."""
    levels = [level_of(float(each)) for each in written.nats - written.untouched_nats]
    raised, lowered = (sum(level.startswith(way) for level in levels) for way in ("raised", "lowered"))
    return f"{raised} of {len(levels)} tokens raised, {lowered} lowered"
