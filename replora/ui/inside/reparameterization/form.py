"""The controls of 'Inside the reparameterization': which run, which layer and head, and another structure around it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlencode

import streamlit as st

from replora.config import Activation, Latent, LayerSharing, Method, RaceOptions, Run, Sharing
from replora.lens.answers import InsideAnswer
from replora.lens.questions import FROZEN, Example, Graft, InsideQuestion
from replora.methods import METHODS, OURS, REFERENCE
from replora.options import Linked, default_of, option, options
from replora.ui.inside.race_picker import PickedRace, beyond, pick_race
from replora.ui.live.engine import WatchedEngine

PAGE = "inside"
GRAFTED = f"{PAGE}.grafted"  # the race that the structure was chosen for
AS_TRAINED = "as trained"
STRUCTURE: dict[str, tuple[str, ...]] = {
    "activation": get_args(Activation),
    "sharing": get_args(Sharing),
    "residual": ("off", "on"),
    "layer_sharing": get_args(LayerSharing),
    "latent": get_args(Latent),
}
NO_RUN = "This race has no RepLoRA run; choose another one."


def _structure(name: str) -> Any:
    """A field: an option of the structure that the run is read under."""
    facts = options(Method)[name]
    return option(AS_TRAINED, facts.label, facts.help, choices=(AS_TRAINED, *STRUCTURE[name]))


@dataclass(frozen=True, kw_only=True)
class InsideOptions(Linked):
    """What a link carries beside the race; counted from 1, as people do."""

    place: int = option(1, "RepLoRA run", "Which of the race's RepLoRA runs.", low=1, high=1024)
    layer: int = option(3, "Adapted layer", "Counted from the first adapted one.", low=1, high=256)
    head: int = option(1, "Head", "Whose gates are shown.", low=1, high=256)
    example: int = option(
        0, "Example", "Of the test examples, counted from 0: the one whose gates are shown.", low=0, high=1_000_000
    )
    activation: str = _structure("activation")
    sharing: str = _structure("sharing")
    residual: str = _structure("residual")
    layer_sharing: str = _structure("layer_sharing")
    latent: str = _structure("latent")
    edits: str = option("", "Changed places", "Entries, rows and tensors of the layer that are not as trained.")


@dataclass(frozen=True)
class Chosen:
    """What is looked at; `beside` is the LoRA run of the same seed, FROZEN where there is none."""

    source: PickedRace
    run: int
    beside: int
    layer: int
    head: int
    example: int
    graft: Graft

    def question(self, **facts: Any) -> InsideQuestion:
        """A question about it."""
        known: dict[str, Any] = {
            "folder": self.source.folder,
            "run": self.run,
            "layer": self.layer,
            "head": self.head,
            "beside": self.beside,
            "graft": self.graft,
            "example": Example(index=self.example),
        }
        return InsideQuestion(**{**known, **facts})

    @property
    def reshaping(self) -> Graft:
        """The part of another structure that changes which parameters there are."""
        return Graft(sharing=self.graft.sharing, layer_sharing=self.graft.layer_sharing, latent=self.graft.latent)

    def link(self, edits: str) -> dict[str, str]:
        """The query string, with the text of what is changed."""
        place = self.source.runs(OURS).index(self.run) + 1
        options_now = InsideOptions(
            place=place,
            layer=self.layer + 1,
            head=self.head + 1,
            example=self.example,
            edits=edits,
            **{name: _word(value) for name, value in structure_of(self.graft).items()},
        )
        return {**self.source.link, **options_now.to_query()}


def inside_form(
    opened: InsideOptions, engine: WatchedEngine, look: Callable[[Chosen], InsideAnswer | str], missed: list[str]
) -> tuple[Chosen, InsideAnswer] | str:
    """The controls, what they choose, and a first look at it, which says how many heads there are.

    A sentence where there is nothing to look at; '' where that has been said. missed: gets a sentence for each place of
    the link that this race has not.
    """
    source = pick_race(engine, key=f"{PAGE}.source")
    if source is None:
        return ""
    runs = source.runs(OURS)
    if not runs:
        return NO_RUN
    run = _run(source, runs, opened, missed)
    layer = _counted("layer", source.spec.adapted_blocks, opened.layer, missed)
    rest = st.container()
    if st.session_state.get(GRAFTED) != source.key:  # a structure was tried on one race, not on the next
        first = GRAFTED not in st.session_state
        structure = {f"{PAGE}.{name}": getattr(opened, name) if first else AS_TRAINED for name in STRUCTURE}
        st.session_state.update({GRAFTED: source.key, **structure})
    st.html('<p class="group">Read under another structure</p>')
    graft = _graft(source.spec.runs[run].method)
    st.link_button(
        "Race with this structure",
        race_link(source, run, graft),
        icon=":material/flag:",
        width="stretch",
        help="Opens the Race page with these settings: trained this way from the start.",
    )
    chosen = Chosen(source, run, beside(source, run), layer, 0, 0, graft)
    seen = look(chosen)
    if isinstance(seen, str):
        return seen
    with rest:
        head = _counted("head", seen.heads, opened.head, missed)
        facts = options(InsideOptions)["example"]
        example = st.number_input(
            facts.label,
            0,
            int(facts.high or 0),
            opened.example,
            key=f"{PAGE}.example",
            help=facts.help,
            persist_state="session",
        )
    return dataclasses.replace(chosen, head=head, example=int(example)), seen


def beside(source: PickedRace, run: int) -> int:
    """The LoRA run that is most like this one."""
    own = source.spec.runs[run]

    def unlike(place: int) -> tuple[bool, bool, bool]:
        other: Run = source.spec.runs[place]
        return (
            other.seed != own.seed,
            other.learning_rate != own.learning_rate,
            other.data_fraction != own.data_fraction,
        )

    return min(source.runs(REFERENCE), key=unlike, default=FROZEN)


def structure_of(graft: Graft) -> dict[str, Any]:
    """What a graft changes, by the names of the options."""
    return {name: value for name, value in dataclasses.asdict(graft).items() if value is not None}


def _word(value: Any) -> str:
    """A value of the structure as controls and links have it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def race_link(source: PickedRace, run: int, graft: Graft) -> str:
    """The address of the Race page with this race's settings and the structure of `graft`."""
    own = source.spec.runs[run]
    values = vars(RaceOptions.nearest(source.spec)) | {
        name: getattr(own.method, name) for name in METHODS[own.method.name].knobs
    }
    values |= structure_of(graft)
    known = {name: value for name, value in values.items() if name in options(RaceOptions)}
    query = urlencode(RaceOptions(**known).to_query())
    return f"race?{query}" if query else "race"


def _run(source: PickedRace, runs: Sequence[int], opened: InsideOptions, missed: list[str]) -> int:
    missed += beyond("place", len(runs), opened.place)
    first = runs[min(opened.place, len(runs)) - 1]
    if len(runs) == 1:
        return first
    key = f"{PAGE}.run.{source.key}"
    chosen: int = st.selectbox(
        "RepLoRA run", runs, runs.index(first), format_func=source.run_title, key=key, persist_state="session"
    )
    return chosen


def _counted(name: str, most: int, opened: int, missed: list[str]) -> int:
    """A place among so many, from 0; the control counts from 1."""
    facts, places = options(InsideOptions)[name], list(range(1, most + 1))
    key = f"{PAGE}.{name}"
    if st.session_state.get(key, 1) not in places:
        st.session_state[key] = most
    chosen = 1
    if most > 1:
        chosen = st.select_slider(
            facts.label, places, min(opened, most), key=key, help=facts.help, persist_state="session"
        )
    if chosen == most and opened != default_of(InsideOptions, name):
        missed += beyond(name, most, opened)
    return chosen - 1


def _graft(method: Method) -> Graft:
    chosen = {name: _toggle(method, name, values) for name, values in STRUCTURE.items()}
    if chosen["residual"] is not None:
        chosen["residual"] = chosen["residual"] == "on"
    return Graft(**chosen)


def _toggle(method: Method, name: str, values: Sequence[str]) -> Any:
    """One option of another structure; None for the run's own."""
    facts, trained = options(Method)[name], _word(getattr(method, name))
    key, choices = f"{PAGE}.{name}", [AS_TRAINED, *(each for each in values if each != trained)]
    if st.session_state.get(key) == trained:  # a link may say so
        st.session_state[key] = AS_TRAINED
    choice = st.selectbox(
        facts.label,
        choices,
        format_func=lambda each: f"{AS_TRAINED}: {trained}" if each == AS_TRAINED else each,
        key=key,
        help=facts.help,
        persist_state="session",
    )
    return None if choice in (None, AS_TRAINED) else choice
