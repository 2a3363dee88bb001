"""'Make it lie': the sweep is hidden, one rate is picked and taken for the whole truth, then the sweep is revealed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import streamlit as st

from replora.config import METHOD_TITLES
from replora.options import format_value
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, verdict
from replora.studies.races.cells import Comparison
from replora.studies.races.looks import Looks
from replora.studies.races.summary import StudySummary
from replora.ui.studies.pictures import at_shared_rates, shared_rate
from replora.wording import listing

HIDDEN, REVEALED = "hidden", "revealed"


@dataclass(frozen=True)
class Lie:
    """How the game stands: `only` is the rate in sight while the sweep is hidden, `pick` the rate once it is revealed,
    None before; `claim` what that rate alone would say.
    """

    only: float | None = None
    pick: float | None = None
    claim: str = ""


def lie_panel(page: str, summary: StudySummary | None) -> Lie:
    """Buttons, the slider and what has been found; how the game stands."""
    by_rate = {shared_rate(each): each for each in at_shared_rates(summary)} if summary else {}
    key, rates = f"{page}.lie", list(by_rate)
    if summary is not None:
        _start_anew_for(page, (summary.spec, summary.started.device))
    stage = st.session_state.get(key)
    with st.container(key=f"{page}.panel", gap="small"):
        if stage == HIDDEN and len(rates) > 1:
            return _picking(page, by_rate)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Make it lie",
                key=f"{page}.hide",
                icon=":material/visibility_off:",
                disabled=len(rates) < 2,
                on_click=_go,
                args=(page, HIDDEN),
            )
            pick = st.session_state.get(f"{page}.picked")
            if stage == REVEALED and pick in by_rate:
                said = _tally(page, by_rate, after=True)
                st.html(f'<p class="lie">{said}</p>', width="stretch")
                return Lie(pick=pick, claim=claim(by_rate[pick], pick))
            st.html(
                '<p class="lie">Hide the sweep, pick one rate for both, and see who wins there. '
                "Can you make either of them win?</p>",
                width="stretch",
            )
    return Lie()


def claim(comparison: Comparison, rate: float) -> str:
    """What one rate says, as if it were the whole truth: 'At 0.0003 RepLoRA is ahead by 10.1 ± 2.0 points.'"""
    found = comparison.interval
    who = winner(comparison)
    if who is None or found is None or found.half_width is None:
        return f"At {rate:g}: {comparison.verdict}"
    metric = comparison.metric
    alone = verdict(list(comparison.differences.values()), comparison.method, comparison.reference, metric=metric)
    lost = comparison.verdict.removeprefix(alone)
    ends = (metric.scale * abs(found.mean), metric.scale * found.half_width)
    by = " ± ".join(f"{each:.{metric.decimals}f}" for each in ends)
    return f"At {rate:g} {METHOD_TITLES[who]} is ahead by {by} {metric.difference_unit}.{lost}"


def winner(comparison: Comparison) -> str | None:
    """Who is ahead at one rate, where three seeds or more say so."""
    found = comparison.interval
    if found is None or found.n < SEEDS_FOR_A_VERDICT or not found.excludes_zero or not found.half_width:
        return None
    return comparison.ahead


def _picking(page: str, by_rate: dict[float, Comparison]) -> Lie:
    rates = list(by_rate)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        wish = st.session_state.get(f"{page}.picked")
        pick: float = st.select_slider(
            "One learning rate for both",
            rates,
            wish if wish in by_rate else rates[len(rates) // 2],
            format_func=format_value,
            key=f"{page}.pick",
            width=320,
        )
        st.session_state[f"{page}.picked"] = pick
        st.session_state.setdefault(f"{page}.seen", set()).add(pick)
        st.button(
            "Reveal the sweep",
            key=f"{page}.reveal",
            icon=":material/visibility:",
            type="primary",
            on_click=_go,
            args=(page, REVEALED),
        )
        st.html(f'<p class="lie">{_tally(page, by_rate)}</p>', width="stretch")
    return Lie(only=pick, claim=claim(by_rate[pick], pick))


def _tally(page: str, by_rate: dict[float, Comparison], after: bool = False) -> str:
    """Which of the two has won at a rate that was looked at, and what that is worth among so many, as HTML."""
    seen = [rate for rate in by_rate if rate in st.session_state.get(f"{page}.seen", set())]
    first = next(iter(by_rate.values()))
    parts, won = [], 0
    for method in (first.method, first.reference):
        rates = [f"{rate:g}" for rate in seen if winner(by_rate[rate]) == method]
        won += bool(rates)
        said = f"won at {', '.join(rates)}" if rates else "did not win" if after else "has not won yet"
        parts.append(f'<b class="{method}">{METHOD_TITLES[method]}</b> {said}')
    if won == 2:
        parts.append("both are true, and neither is the whole truth")
    more = " Try another rate." if won < 2 and not after and len(seen) < len(by_rate) else ""
    worth = _worth([by_rate[rate] for rate in seen])
    return f"{'; '.join(parts)}.{more}{worth}"


def _worth(seen: Sequence[Comparison]) -> str:
    """How many rates were looked at, and what 'ahead' at one of them is worth; nothing for one."""
    looks = Looks.of(seen)
    if len(looks) < 2:
        return ""
    kept = [
        f"{METHOD_TITLES[name]} at {listing([f'{shared_rate(each):g}' for each in own])}"
        for name, own in looks.corrected_leads().items()
    ]
    left = f"leaves {' and '.join(kept)}" if kept else "leaves neither ahead"
    return (
        f" You have looked at {len(looks)} rates: with so many, one says <i>ahead</i> in up to "
        f"{100 * looks.by_luck:.0f} of 100 sweeps of equal methods. Correction for that (Holm) {left}."
    )


def _go(page: str, stage: str) -> None:
    st.session_state[f"{page}.lie"] = stage
    if stage == HIDDEN:
        st.session_state[f"{page}.seen"] = set()


def _start_anew_for(page: str, study: Hashable) -> None:
    """Another study, another game."""
    if st.session_state.get(f"{page}.lied about") != study:
        st.session_state[f"{page}.lied about"] = study
        for name in ("lie", "seen", "picked"):
            st.session_state.pop(f"{page}.{name}", None)
