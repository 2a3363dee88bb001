"""The controls of 'Generated text': which race, which prompts, how tokens are chosen."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from replora.events import started_of
from replora.lens.inputs import sentence
from replora.lens.questions import FROZEN, MOST_PROMPTS, MOST_RUNS, MOST_TEMPERATURE
from replora.methods import METHODS, has_adapter
from replora.options import Linked, option
from replora.pictures import InputError
from replora.tasks import task_card
from replora.ui.inside.generation.prompts import PROMPTS
from replora.ui.inside.race_picker import CONTINUED, PickedRace, pick_race, what_brings
from replora.ui.live.engine import WatchedEngine
from replora.ui.parts.text import plain
from replora.ui.shell.style import linked

PAGE = "generation"
GREEDY, DRAWN = "Most probable", "Drawn"
FIRST_TEMPERATURE, LEAST_TEMPERATURE = 0.8, 0.1
WAYS_HELP = (
    "Most probable: the token of the largest probability each time (greedy). Drawn: by its probability, at a "
    "temperature; the draws of a seed are the same for all models, so that they differ by their probabilities alone."
)
MANY = f"Prompts must be 1 to {MOST_PROMPTS} lines, got {{}}."
RECORDED = "Recorded texts of `python -m scripts.record_texts {}` ({}, {})."
OTHERS = "Run the race yourself, on *Race* with the task {}, to write other sentences."


@dataclass(frozen=True, kw_only=True)
class GenerationOptions(Linked):
    """What a link carries beside the race."""

    step: int = option(100_000, "Step", "After which step of the race.", low=0, high=100_000)
    temperature: float = option(0.0, "Temperature", "0: the most probable token.", low=0, high=MOST_TEMPERATURE)
    seed: int = option(0, "Seed", "Of the draws.", low=0, high=1_000_000)


@dataclass(frozen=True)
class Chosen:
    """What is looked at: the untouched model and these runs of a race, the prompts, how tokens are chosen."""

    source: PickedRace
    runs: tuple[int, ...]
    prompts: tuple[str, ...] = PROMPTS
    temperature: float = 0.0
    seed: int = 0


def generation_form(engine: WatchedEngine, opened: GenerationOptions) -> Chosen | None:
    """The controls in the sidebar; None where there is nothing to look at, which has been said."""
    source = pick_race(engine, key=f"{PAGE}.source", reads=CONTINUED)
    if source is None:
        return None
    runs = tuple(run for name in METHODS if has_adapter(name) for run in source.runs(name)[:1])[: MOST_RUNS - 1]
    if source.recorded:
        st.caption(linked(_only_recorded(source)))
        return Chosen(source, runs)
    prompts = prompts_form(PAGE)
    temperature, seed = way_form(PAGE, opened.temperature, opened.seed)
    return Chosen(source, runs, prompts, temperature, seed)


def _only_recorded(source: PickedRace) -> str:
    """That the texts are recorded, and what it takes to write others."""
    task, card, started = source.spec.task, task_card(source.spec.task), started_of(source.events)
    assert started is not None  # a picked race has begun
    said = RECORDED.format(task, plain(started.device), started.precision)
    return f"{said} {plain(what_brings(card.backbone)) or OTHERS.format(card.title)}"


def prompts_form(page: str) -> tuple[str, ...]:
    """The prompts, one a line; those that were good last where these cannot be had, which is said."""
    text = st.text_area(
        "Prompts, one a line",
        "\n".join(PROMPTS),
        key=f"{page}.prompts",
        height=110,
        persist_state="session",
        help=f"1 to {MOST_PROMPTS} beginnings of a text. They stay on this server and are not stored.",
    )
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    good = f"{page}.prompts.good"
    try:
        if not 1 <= len(lines) <= MOST_PROMPTS:
            raise InputError(MANY.format(len(lines)))
        st.session_state[good] = tuple(sentence(line).text for line in lines)
    except InputError as error:
        st.warning(plain(str(error)))
    kept: tuple[str, ...] = st.session_state.get(good, PROMPTS)
    return kept


def way_form(page: str, temperature: float, seed: int) -> tuple[float, int]:
    """How tokens are chosen: temperature, 0 for the most probable one, and seed."""
    way = st.segmented_control(
        "Tokens",
        (GREEDY, DRAWN),
        default=DRAWN if temperature else GREEDY,
        required=True,
        key=f"{page}.way",
        persist_state="session",
        help=WAYS_HELP,
    )
    if way != DRAWN:
        return 0.0, 0
    left, right = st.columns(2, gap="small")
    with left:
        warmth = st.number_input(
            "Temperature",
            LEAST_TEMPERATURE,
            MOST_TEMPERATURE,
            max(temperature, LEAST_TEMPERATURE) if temperature else FIRST_TEMPERATURE,
            0.1,
            "%g",
            key=f"{page}.temperature",
            persist_state="session",
        )
    with right:
        drawn = st.number_input("Seed", 0, 1_000_000, seed, key=f"{page}.seed", persist_state="session")
    return float(warmth), int(drawn)


def titles_of(source: PickedRace, runs: tuple[int, ...]) -> dict[int, tuple[str, str]]:
    """Title and look of each model, by its run."""
    own = {run: (source.run_title(run), source.spec.runs[run].method.name) for run in runs}
    return {FROZEN: ("Untouched", "frozen"), **own}
