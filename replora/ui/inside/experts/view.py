"""An attention head as a mixture of experts, run beside run: a map of all heads, gates before and after, their parts.

All numbers of the chosen head go to the browser at once, so that the picture follows the pointer by itself.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import streamlit as st

from replora.figures.inside.experts import PlottedExperts, RunParts
from replora.lens.answers import HeadAnswer, RunHead
from replora.lens.arrays import Array, pack
from replora.methods import HEAD, MethodName
from replora.ui.shell.style import STYLE

MOST_LOADED = 4  # tokens of largest load that are named
UNMOVED = ("frozen", HEAD)  # runs without any update
MEASURES = ("routing", "expert", "change")
SPECIAL = re.compile(r"\[[A-Z]+\d*\]|</?[a-z]+>|<\|.+\|>")  # [CLS], <s>, <|endoftext|>
CONTINUED = "##"  # how WordPiece begins a piece that goes on with the word before
LINE_END = "\u21b5"
BEGUN = ("\u2581", "\u0120")  # how other tokenizers begin a word
PREFIX = "data:image/png;base64,"


@dataclass(frozen=True)
class RunTitle:
    """What a run is called, and as which method it looks."""

    text: str
    series: MethodName | Literal["frozen"]


@dataclass(frozen=True)
class Chosen:
    """What was chosen last: a head of a layer, and the token whose gates are shown; all from 0."""

    layer: int
    head: int
    query: int


@cache
def _parts() -> dict[str, Any]:
    return {kind: (STYLE / f"experts_view.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}


def experts_view(
    answer: HeadAnswer, titles: Mapping[int, RunTitle], picture: bytes | None, query: int, key: str
) -> Chosen:
    """The view, at first at the answer's head and at `query`; runs the fragment it stands in again at each choice.

    titles: by `RunHead.run`. picture: the PNG the patches are of. A choice holds until the next one: what is chosen may
    be another head than the answer's, which then is to be asked for.
    """
    component: Any = st.components.v2.component("replora.experts_view", **_parts())
    query = min(max(query, 0), len(answer.tokens) - 1)
    found = component(
        key=key,
        data=view_data(answer, titles, picture, query),
        default={"cell": None, "query": None},
        on_cell_change=_note,
        on_query_change=_note,
    )
    return chosen_of(found.cell, found.query, answer, query)


def chosen_of(cell: object, token: object, answer: HeadAnswer, query: int) -> Chosen:
    """What a browser says was chosen; where it says anything impossible, the answer's own head and `query`."""
    layer, head = (cell.get("layer"), cell.get("head")) if isinstance(cell, Mapping) else (None, None)
    layer, head = whole_place(layer, answer.layers), whole_place(head, answer.heads)
    at = whole_place(token, len(answer.tokens))
    at = query if at is None else at
    return Chosen(answer.layer, answer.head, at) if layer is None or head is None else Chosen(layer, head, at)


def view_data(answer: HeadAnswer, titles: Mapping[int, RunTitle], picture: bytes | None, query: int) -> dict[str, Any]:
    """All that the browser draws, as plain JSON values; each scale is one for all runs."""
    shares = {each.run: head_shares(each) for each in answer.runs}
    return {
        "layer": answer.layer,
        "head": answer.head,
        "layers": answer.layers,
        "heads": answer.heads,
        "adapted": list(answer.adapted),
        "query": query,
        "prefix": answer.prefix,
        "grid": list(answer.grid),
        "picture": PREFIX + base64.b64encode(picture).decode("ascii") if picture else "",
        "rightToLeft": not answer.grid and reads_right_to_left(answer.tokens),
        "tokens": _tokens(answer),
        "mapScales": {name: _largest(each[name] for each in shares.values()) for name in MEASURES},
        "partScale": _largest(part for each in answer.runs for part in (each.routing_norms, each.expert_part_norms)),
        "shiftScale": _largest(each.shifts for each in answer.runs),
        "runs": [_run(each, titles[each.run], shares[each.run]) for each in answer.runs],
    }


def head_shares(run: RunHead) -> dict[str, Array]:
    """Routing part, expert part and change of every head, (layers, heads) each, as shares of its base output."""
    base = np.where(run.base_output > 0, run.base_output, np.inf)
    return {name: np.asarray(getattr(run, name) / base, dtype=np.float32) for name in MEASURES}


def most_loaded(run: RunHead, count: int = MOST_LOADED) -> list[int]:
    """The tokens of largest load, largest first."""
    return [int(each) for each in np.argsort(-run.load, kind="stable")[:count]]


def plotted_experts(answer: HeadAnswer, titles: Mapping[int, RunTitle], query: int) -> PlottedExperts:
    """What the figures below the view draw, of runs that have updates: layers, and the tokens of the chosen head."""
    runs = []
    for run in answer.runs:
        title, shares = titles[run.run], head_shares(run)
        if title.series not in UNMOVED:
            routing, expert = ([float(shares[name][layer].mean()) for layer in answer.adapted] for name in MEASURES[:2])
            runs.append(RunParts(title.series, title.text, routing, expert, [float(value) for value in run.kl]))
    return PlottedExperts(answer.adapted, answer.layer, answer.head, answer.tokens, query, runs)


def reads_right_to_left(tokens: Sequence[str]) -> bool:
    """Whether most letters of direction are of a script written to the left; special tokens do not count."""
    kinds = [unicodedata.bidirectional(each) for token in tokens if not SPECIAL.fullmatch(token) for each in token]
    return sum(each in ("R", "AL") for each in kinds) > sum(each == "L" for each in kinds)


def _tokens(answer: HeadAnswer) -> list[dict[str, Any]]:
    """Of each token its name, and how a text shows it: without its tokenizer's marks, joined to the piece before."""
    told: list[dict[str, Any]] = []
    for name in answer.tokens:
        special, piece = bool(SPECIAL.fullmatch(name)), name.startswith(CONTINUED) and name != CONTINUED
        inside = answer.causal and bool(told) and not (told[-1]["special"] or special or name[:1].isspace())
        joined = not answer.grid and (piece or (inside and not name.startswith(BEGUN)))
        text = name if answer.grid else shown_text(name.removeprefix(CONTINUED) if piece else name)
        told.append({"name": name, "shown": text, "joined": joined, "special": special})
    return told


def shown_text(name: str) -> str:
    """A token of a text without the mark of its tokenizer for the beginning of a word; line ends as a sign."""
    text = name.lstrip("".join(BEGUN)) or name
    return LINE_END.join(text.splitlines()) or LINE_END


def _run(run: RunHead, title: RunTitle, shares: Mapping[str, Array]) -> dict[str, Any]:
    arrays = {
        "gates": run.gates,
        "baseGates": run.base_gates,
        "effective": run.effective,
        "baseEffective": run.base_effective,
        "kl": run.kl,
        "routing": run.routing_norms,
        "expert": run.expert_part_norms,
        "change": run.change_norms,
        "baseOutput": run.base_output_norms,
        "shifts": run.shifts,
    }
    return {
        "title": title.text,
        "series": title.series,
        "map": {name: pack(each) for name, each in shares.items()},
        "loads": [[token, float(run.base_load[token]), float(run.load[token])] for token in most_loaded(run)],
        **{name: pack(each) for name, each in arrays.items()},
    }


def _largest(arrays: Any) -> float:
    """The largest entry, 1 where none is above zero."""
    return max((float(each.max()) for each in arrays if each.size), default=0.0) or 1.0


def whole_place(value: object, count: int) -> int | None:
    """A whole number from 0 to below `count`, None for anything else; JSON may write 3 as 3.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < count or value != int(value):
        return None
    return int(value)


def _note() -> None:
    """Streamlit reports a state only where it has a callback; the run that follows reads it."""
