"""The mixture of experts as a formula with the numbers of one run and one query in it, as Markdown with LaTeX.

Experts are named by their place in formulas and by their token in the words below, where anything can be escaped.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from replora.lens.answers import HeadAnswer, RunHead
from replora.methods import METHODS, has_adapter
from replora.ui.inside.experts.view import RunTitle
from replora.wording import listing, scientific

TERMS = 3  # experts that have a term of their own
ROUNDING = 1e-4  # largest residual that float32 explains, against the largest norm
COLORS: dict[str, str] = {
    "frozen": "gray",
    **{name: facts.style.color if has_adapter(name) else "gray" for name, facts in METHODS.items()},
}
PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # breaks of line, turns of direction
JOINER = "\u2060"  # unseen; keeps `:smile:` and `->` from being read as more than characters
OPEN, CLOSE = "\u2068", "\u2069"  # unseen; what stands between has a direction of its own


@dataclass(frozen=True)
class Formula:
    """Texts for `st.markdown`: the output as a sum over experts, which tokens these are, the change, the check."""

    output: str
    experts: str
    change: str
    check: str


def formula(answer: HeadAnswer, run: RunHead, title: RunTitle, query: int) -> Formula:
    """The formula of one run of `answer` for the token `query`, from 0; formulas count tokens from 1."""
    top = top_experts(run, query)
    color = COLORS[title.series]
    return Formula(
        output=_output(run, query, top, color),
        experts=_experts(answer, query, top),
        change=_change(answer, run, query, color),
        check=_check(run),
    )


def top_experts(run: RunHead, query: int, count: int = TERMS) -> list[int]:
    """The experts with the largest gates of a query, largest first."""
    return [int(each) for each in np.argsort(-run.gates[query], kind="stable")[:count]]


def token_name(token: str) -> str:
    """A token in quotation marks within Markdown, read as nothing but its characters, in its own direction."""
    seen = UNSEEN.sub(" ", token)
    escaped = PUNCTUATION.sub(lambda found: f"\\{found[0]}{JOINER}", seen)
    return f"\u201c{OPEN}{escaped}{CLOSE}\u201d"


def _output(run: RunHead, query: int, top: list[int], color: str) -> str:
    gates = run.gates[query]
    terms = [rf"\textcolor{{{color}}}{{{_gate(gates[each])}}}\,\text{{expert}}_{{{each + 1}}}" for each in top]
    others = len(gates) - len(top)
    if others:
        rest = max(0.0, 1.0 - float(sum(gates[each] for each in top)))
        plural = "s" if others > 1 else ""
        terms.append(rf"\textcolor{{gray}}{{{_gate(rest)}}}\,\text{{of {others} other{plural}}}")
    return (
        rf"$\text{{head}}_{{{query + 1}}} = \sum_j \text{{gate}}_{{{query + 1},j}}\,\text{{expert}}_j$ "
        rf"$= {' + '.join(terms)}$"
    )


def _experts(answer: HeadAnswer, query: int, top: list[int]) -> str:
    """Which tokens the numbers in the formula are."""
    names = [f"expert {each + 1} is the value of {token_name(answer.tokens[each])}" for each in top]
    return f"The query, token {query + 1}, is {token_name(answer.tokens[query])}; {listing(names)}."


def _change(answer: HeadAnswer, run: RunHead, query: int, color: str) -> str:
    norms = (run.routing_norms, run.expert_part_norms, run.change_norms, run.base_output_norms)
    routing, expert, change, base = (float(each[query]) for each in norms)
    at = query + 1
    parts = (
        rf"$\text{{change}}_{{{at}}} = \underbrace{{\textstyle\sum_j (\text{{gate}}_{{{at},j}} - "
        rf"\text{{gate}}^0_{{{at},j}})\,\text{{expert}}^0_j}}_{{\text{{routing part}}}}$ "
        rf"$+ \underbrace{{\textstyle\sum_j \text{{gate}}_{{{at},j}}\,(\text{{expert}}_j - "
        rf"\text{{expert}}^0_j)}}_{{\text{{expert part}}}}$"
    )
    if change == routing == expert == 0:
        return f"{parts}\n\nNothing changed: there is no update here, both parts are 0."
    share = f", {_percent(change, base)} of the output without the update for this token" if base > 0 else ""
    change_of_all, base_of_all = (float(each[answer.layer, answer.head]) for each in (run.change, run.base_output))
    if base_of_all > 0:
        share += f" and {_percent(change_of_all, base_of_all)} over all tokens"
    lengths = [rf"$\textcolor{{{color}}}{{{_length(each)}}}$" for each in (routing, expert, change)]
    return (
        f"{parts}\n\n"
        f"Lengths: routing part {lengths[0]}, expert part {lengths[1]}, their sum {lengths[2]}{share}. "
        "The parts add as arrows, so their sum is at most as long as both together; $^0$ marks this head without its "
        "update."
    )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g}\u00a0%"


def _check(run: RunHead) -> str:
    """Both residuals in words, and whether rounding explains them."""
    scale = max(float(each.max()) for each in (run.expert_norms, run.base_expert_norms, run.base_output_norms))
    verdict = (
        "No more than rounding: the formula is exact for this head."
        if max(run.identity, run.split) <= ROUNDING * scale
        else "More than rounding explains: do not trust this head's picture."
    )
    return (
        "Checked against the model's own output, all tokens of this head: output minus sum is at most "
        f"**{residual(run.identity)}** in any entry, change minus its two parts at most **{residual(run.split)}**. "
        f"{verdict}"
    )


def residual(value: float) -> str:
    """'0', '1.2·10⁻⁶' with the power raised, or what else the number is."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return scientific(value) if value < 1e-2 else f"{value:.3g}"


def _gate(value: float) -> str:
    """Two decimals, more for a small gate."""
    return f"{value:.2f}" if value >= 0.0095 or value == 0 else f"{value:.2g}" if value >= 1e-4 else r"{<}0.0001"


def _length(value: float) -> str:
    """Three figures, as LaTeX."""
    if value == 0 or 1e-3 <= value < 1e4:
        return f"{value:.3g}" if value < 1e3 else f"{value:.0f}"
    power = math.floor(math.log10(value))
    return rf"{value / 10**power:.2f}\cdot 10^{{{power}}}"
