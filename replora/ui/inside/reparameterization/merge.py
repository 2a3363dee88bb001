"""'Throw the MLPs away': merges a run and measures what is left of the adapter, which is nothing."""

from __future__ import annotations

import streamlit as st

from replora.figures.inside.latency import latency_figure, latency_verdict
from replora.lens.answers import MergeAnswer
from replora.lens.questions import MergeQuestion
from replora.methods import OURS
from replora.ui.inside.race_picker import PickedRace, ask
from replora.ui.inside.reparameterization.form import PAGE
from replora.ui.live.engine import engine
from replora.ui.parts.cards import BLANK, card
from replora.ui.parts.figure import show_figure
from replora.ui.parts.numbers import plot_numbers
from replora.ui.parts.text import plain
from replora.wording import count, counted, scientific

MERGED = f"{PAGE}.merged"
LEAD = (
    "Once trained, RepLoRA is a LoRA: A and B are kept, latents and MLPs are dropped. Merged into query and value, A "
    "and B are gone as well, and the model costs what it cost before."
)


def merge_view(source: PickedRace, run: int) -> None:
    """The section with its button; what was measured stays until another run is looked at."""
    st.html("<h2 class='section'>Throw the MLPs away</h2>")
    st.markdown(LEAD)
    if st.button("Merge and measure", key=f"{PAGE}.merge", icon=":material/merge:", type="primary"):
        found = ask(engine(), MergeQuestion(folder=source.folder, run=run))
        if isinstance(found, str):
            st.warning(plain(found))
        else:
            st.session_state[MERGED] = (source.key, run, MergeAnswer.from_dict(found))
    kept = st.session_state.get(MERGED)
    answer: MergeAnswer | None = kept[2] if kept and kept[:2] == (source.key, run) else None
    st.html(merge_cards(answer))
    figure = latency_figure(answer)
    left, right = st.columns(2, gap="medium")
    with left:
        show_figure(figure, PAGE)
        if answer:
            threads = counted(answer.threads, "thread")
            st.caption(
                f"{latency_verdict(answer)} Measured on {plain(answer.device)}, {threads}, after step "
                f"{count(answer.step)}."
            )
    with right:
        st.html(parameters_html(answer))
    plot_numbers([figure], f"{PAGE}.latency")


ABOUT = (
    "Logits are the numbers of which the classes' probabilities are made. Merged into query and value, or beside them, "
    "the same A and B must give the same logits, up to the rounding of the numbers that a machine computes with.",
    "On how many test examples the model with A and B beside it and the merged one choose the same class.",
    "What must be kept beside the weights of the original model once A and B are added to them, and what was trained.",
)


def merge_cards(answer: MergeAnswer | None) -> str:
    """Whether adapted and merged say the same, and what is left beside the model."""
    if answer is None:
        values = [BLANK] * 3
        notes = [["&nbsp;"]] * 3
    else:
        values = [
            small_text(answer.largest_difference),
            f"{count(answer.same_answers)}<small> of {count(answer.examples)}</small>",
            "0<small> parameters</small>",
        ]
        notes = [
            [f"largest logit {answer.largest_logit:.1f}"],
            ["test examples with the same answer"],
            [f"{count(answer.trained_parameters)} while training"],
        ]
    titles = ("Largest logit difference", "Same answers", "Left beside the model")
    cards = "".join(
        card(OURS, title, value, "", note, about=about)
        for title, value, note, about in zip(titles, values, notes, ABOUT, strict=True)
    )
    return f'<div class="cards three">{cards}</div>'


def small_text(value: float) -> str:
    """'6.1·10⁻⁶', '0.012', '0'."""
    if value >= 1e-3 or not value:
        return f"{value:.2g}"
    return scientific(value)


def parameters_html(answer: MergeAnswer | None) -> str:
    """Four counts as bars on one scale."""
    rows = [
        ("trained beside it", answer.trained_parameters if answer else None),
        ("A and B", answer.factor_parameters if answer else None),
        ("left after merging", 0 if answer else None),
    ]
    largest = max([1, *(number or 0 for _, number in rows)])
    bars = "".join(
        f"<tr><th>{name}</th><td>{BLANK if number is None else count(number)}</td>"
        f'<td class="bar"><i style="width:{100 * (number or 0) / largest:.2f}%"></i></td></tr>'
        for name, number in rows
    )
    model = f"the model alone has {count(answer.model_parameters)}" if answer else "&nbsp;"
    return (
        f'<h2 class="figure">Parameters<span>{model}</span></h2><table class="parameters"><tbody>{bars}</tbody></table>'
    )
