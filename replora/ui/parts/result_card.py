"""The result card below a finished race or study: what to cite, how to get it again, and what to take away."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape

import streamlit as st

from replora.figures.export import png_bytes, svg_text
from replora.figures.figure import Figure
from replora.result_card import ResultCard
from replora.ui.parts.numbers import Download
from replora.ui.parts.text import plain
from replora.ui.shell.style import STYLE
from replora.wording import count

JSON = "application/json"


def result_card(
    card: ResultCard | None,
    figures: Callable[[], Sequence[Figure]],
    told: Sequence[Download],
    page: str,
    more: Sequence[Download] = (),
) -> None:
    """An expander that makes the card once it is open; nothing where there is no card.

    told: the events as files. more: further files, such as the adapter.
    """
    if card is None:
        return
    label = "Result card" + (" (recorded)" if card.recorded else "")
    with st.expander(label, on_change="rerun", key=f"{page}.card") as box:
        if not box.open:
            return
        st.html(STYLE / "card.css")
        st.html(card_html(card))
        if card.link:
            st.html('<h3 class="field">Link</h3>')
            st.code(card.link, language=None, wrap_lines=True)
        st.html('<h3 class="field">Run it again</h3>')
        st.code(card.command, language=None, wrap_lines=True)
        st.caption(plain(f"{card.note} {card.promise}".strip()))
        _downloads(card, figures(), told, page, more)


def card_html(card: ResultCard) -> str:
    """Title, verdict, those compared, and the facts."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(method.name)}</th><td>{count(method.trained_parameters)}</td>"
        f"<td>{count(method.deployed_parameters)}</td><td>{escape(method.result)}</td></tr>"
        for method in card.compared
    )
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in card.facts().items())
    return (
        f'<article class="result"><h3>{escape(card.title)}</h3><p>{escape(card.verdict)}</p>'
        "<div><table><thead><tr><td></td><th scope='col'>trained</th><th scope='col'>deployed</th>"
        f"<th scope='col'>result</th></tr></thead><tbody>{rows}</tbody></table></div><dl>{facts}</dl></article>"
    )


def _downloads(
    card: ResultCard, figures: Sequence[Figure], told: Sequence[Download], page: str, more: Sequence[Download]
) -> None:
    """The card, the spec, the events, a figure of one's choice, and what else there is."""
    name = f"{card.kind.replace(' ', '_')}_{card.spec_hash}"
    files = [
        Download("Card as Markdown", card.to_markdown, f"{name}.md", "text/markdown"),
        Download("Card as JSON", lambda: json.dumps(card.to_dict(), indent=2) + "\n", f"{name}.card.json", JSON),
        Download("Spec as JSON", lambda: json.dumps(dict(card.spec), indent=2) + "\n", _spec_name(card, name), JSON),
        *told,
        *more,
    ]
    with st.container(horizontal=True, gap="small", key=f"{page}.card.files"):
        for each in files:
            _button(each, page)
    if not figures:
        return
    with st.container(horizontal=True, gap="small", key=f"{page}.card.figures", vertical_alignment="bottom"):
        by_title = {each.title: each for each in figures}
        title = st.selectbox("Figure", list(by_title), key=f"{page}.card.figure", persist_state="session", width=280)
        figure = by_title.get(title, figures[0])
        _button(Download("SVG", lambda: svg_text(figure), f"{name}_{figure.key}.svg", "image/svg+xml"), page)
        _button(Download("PNG", lambda: png_bytes(figure), f"{name}_{figure.key}.png", "image/png"), page)


def _spec_name(card: ResultCard, name: str) -> str:
    """The file that the command names, where it does."""
    return card.command.rpartition("--spec ")[2] if "--spec " in card.command else f"{name}.json"


def _button(file: Download, page: str) -> None:
    key = f"{page}.card.{file.label.lower().replace(' ', '_')}"
    st.download_button(file.label, file.make, file.file, file.mime, on_click="ignore", key=key)
