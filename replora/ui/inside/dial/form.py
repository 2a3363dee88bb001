"""The controls of 'Adapter dial': which update is turned, which other one is mixed in, and which prompts."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from replora.jobs.engine import UnknownJob
from replora.lens.questions import LEAST_WEIGHT, MOST_TEMPERATURE, MOST_WEIGHT
from replora.options import Linked, UserError, option
from replora.ui.inside.generation.form import prompts_form, way_form
from replora.ui.inside.race_picker import CONTINUED, PickedRace, own_races, pick_race, source_of_job
from replora.ui.live.engine import WatchedEngine
from replora.ui.parts.settings import kept_task_title

PAGE = "dial"
NONE_MIXED = "none"
MIX_HELP = (
    "The update of another run is added, at a weight of its own: of this race, or of those on the Race page before it, "
    "on plays and on the devil's dictionary, say."
)


@dataclass(frozen=True, kw_only=True)
class DialOptions(Linked):
    """What a link carries beside the race."""

    weight: float = option(1.0, "Weight", "How often the update is added.", low=LEAST_WEIGHT, high=MOST_WEIGHT)
    other: float = option(1.0, "Other weight", "The same of one mixed in.", low=LEAST_WEIGHT, high=MOST_WEIGHT)
    place: int = option(1, "Update", "Which of the race's runs with an adapter.", low=1, high=1024)
    temperature: float = option(0.0, "Temperature", "0: the most probable token.", low=0, high=MOST_TEMPERATURE)
    seed: int = option(0, "Seed", "Of the draws.", low=0, high=1_000_000)


@dataclass(frozen=True)
class Update:
    """An update that can be turned: a run of a race, after its last step."""

    source: PickedRace
    run: int

    @property
    def title(self) -> str:
        """'RepLoRA on Plays'."""
        return f"{self.source.run_title(self.run)} on {kept_task_title(self.source.spec.task)}"

    @property
    def look(self) -> str:
        """The method, by which it is drawn."""
        return self.source.spec.runs[self.run].method.name


@dataclass(frozen=True)
class Dialled:
    """What is looked at."""

    update: Update
    mixed: Update | None
    prompts: tuple[str, ...]
    temperature: float
    seed: int
    place: int


def dial_form(engine: WatchedEngine, opened: DialOptions, place: DeltaGenerator) -> Dialled | None:
    """The controls in the sidebar; None where there is nothing to turn, which has been said, at `place` or there."""
    source = pick_race(engine, key=f"{PAGE}.source", reads=CONTINUED, recorded=False, place=place)
    if source is None:
        return None
    updates = _updates(source)
    first = min(opened.place, len(updates)) - 1
    chosen = st.selectbox(
        "Update",
        range(len(updates)),
        first,
        format_func=lambda each: updates[each].title,
        key=f"{PAGE}.run.{source.key}",
        persist_state="session",
    )
    update = updates[chosen]
    others = {f"{each.source.key} {each.run}": each for each in _others(engine, source, update)}
    picked = st.selectbox(
        "Mixed with",
        [NONE_MIXED, *others],
        format_func=lambda key: others[key].title if key in others else "nothing",
        key=f"{PAGE}.mixed.{source.key}.{update.run}.{len(others)}",
        persist_state="session",
        help=MIX_HELP,
    )
    prompts = prompts_form(PAGE)
    temperature, seed = way_form(PAGE, opened.temperature, opened.seed)
    return Dialled(update, others.get(picked), prompts, temperature, seed, chosen + 1)


def _updates(source: PickedRace) -> list[Update]:
    return [Update(source, place) for place, run in enumerate(source.spec.runs) if run.method.has_adapter]


def _others(engine: WatchedEngine, source: PickedRace, update: Update) -> list[Update]:
    """What can be mixed in: the other runs of the race, and those of other races on texts by the same backbone."""
    found = [each for each in _updates(source) if each.run != update.run]
    for job, spec in own_races().items():
        if job == source.key or spec.backbone != source.spec.backbone:
            continue
        try:
            other = source_of_job(engine, job, kept_task_title(spec.task))
        except (UnknownJob, UserError):
            continue  # nothing of it is left to be mixed in
        if other.task_continues:
            found += _updates(other)
    return found
