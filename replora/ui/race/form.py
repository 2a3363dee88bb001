"""The Race page's form: RaceOptions as controls on the left, and as the query string of a link.

Streamlit can bind a widget to the URL by itself (`bind="query-params"`). It is not used: it drops a value it cannot
take without a word, knows only the stops of a slider, and writes lists as repeated keys, while a link of ours must say
in a sentence what it could not take, carry any valid value, and read as the command line does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from replora.config import METHOD_TITLES, Race, RaceOptions
from replora.options import SpecError, UserError
from replora.ui.forms.backbone import backbone_control
from replora.ui.forms.controls import control
from replora.ui.forms.links import servable
from replora.ui.parts.settings import value_text
from replora.ui.visitor.own_data import own_tasks

OPENED = "race.opened"  # the options this session began with
PROBLEMS = "race.problems"  # what its link asked for and could not have
WISH = "race.task.wish"  # the task another page has chosen
RUN = "run"  # the key of the run id in the query string

METHOD_CHOICES = {"lora": "LoRA", "replora": "RepLoRA", "lora,replora": "Both"}
MORE = (
    ("activation", "sharing", "layer_sharing", "residual", "alpha"),
    ("steps", "batch_size", "adapted_blocks", "head_start", "head_learning_rate"),
    ("warmup_fraction", "weight_decay", "clip_norm"),
    ("evaluate_every", "test_examples", "device", "precision"),
)
REPLORA_ONLY = ("mlp_width", "activation", "sharing", "layer_sharing", "residual")


@dataclass(frozen=True)
class Form:
    """`chosen` and its `race` are None where the controls hold something that is no race; `problem` says why."""

    chosen: RaceOptions | None = None
    race: Race | None = None
    problem: str = ""


def open_form(query: Mapping[str, str], shown: Race | None) -> RaceOptions:
    """The options of this session's first URL; where it names a run and nothing else, those of that race, `shown`."""
    if OPENED not in st.session_state:
        found, problems = RaceOptions.from_query(query)
        if shown is not None and set(query) == {RUN}:
            found = RaceOptions.of(shown) or found
        st.session_state[OPENED], st.session_state[PROBLEMS] = servable(found, problems)
    options: RaceOptions = st.session_state[OPENED]
    return options


def race_form(opened: RaceOptions, on_rate: Callable[[], None]) -> Form:
    """The controls; `on_rate` is called when the learning rate is moved."""
    if WISH in st.session_state:
        st.session_state[key_of("task")] = st.session_state.pop(WISH)
    values: dict[str, Any] = {}
    problems: list[str] = []

    def place(name: str, **facts: Any) -> None:
        idle = name in REPLORA_ONLY and "replora" not in values["methods"]
        value = getattr(opened, name)
        try:
            values[name] = control(
                RaceOptions,
                name,
                key=key_of(name),
                opened=value,
                show=lambda value: value_text(name, value),
                disabled=idle,
                **facts,
            )
        except SpecError as error:
            problems.append(str(error))

    values["methods"] = _methods(opened.methods)
    place("task", more=own_tasks())
    for name in ("rank", "mlp_width", "data_fraction"):
        place(name)
    place("learning_rate", on_change=on_rate)
    place("seeds")
    with st.expander("More"):
        values["methods"] = _baseline(opened.methods, values["methods"])
        try:
            values["backbone"] = backbone_control("race", opened.backbone, values["task"])
        except UserError as error:
            problems.append(str(error))
        for group in MORE:
            for name in group:
                place(name)
    if problems:
        return Form(problem=problems[0])
    try:
        chosen = RaceOptions(**values)
        return Form(chosen, chosen.race())
    except SpecError as error:
        return Form(problem=str(error))


def ask_for_task(task: str) -> None:
    """Have the form hold this task when it is next drawn."""
    st.session_state[WISH] = task


def rate_asked() -> float:
    """Where the learning-rate slider stands."""
    rate: float = st.session_state[key_of("learning_rate")]
    return rate


def write_link(chosen: RaceOptions | None, job: str | None) -> None:
    """Keep the URL a link to what is on the screen: the form's values that are not defaults, and the run."""
    query = {} if chosen is None else chosen.to_query()
    if job:
        query[RUN] = job
    if chosen is not None and query != st.query_params.to_dict():
        st.query_params.from_dict(query)


def key_of(name: str) -> str:
    """The session-state key of an option's control."""
    return f"race.{name}"


def _methods(opened: tuple[str, ...]) -> tuple[str, ...]:
    """Who races, the baseline aside; a choice is the text of a link, `lora,replora`."""
    adapters = [name for name in METHOD_TITLES if name in opened and name != "head"]
    first = ",".join(adapters) or "head"
    chosen = st.segmented_control(
        "Methods",
        [*METHOD_CHOICES] if adapters else [*METHOD_CHOICES, first],
        default=first,
        required=True,
        format_func=lambda choice: METHOD_CHOICES.get(choice, METHOD_TITLES["head"]),
        key=key_of("methods"),
        help="Who races on the same batches.",
        persist_state="session",
        width="stretch",
    )
    return tuple((chosen or first).split(","))


def _baseline(opened: tuple[str, ...], methods: tuple[str, ...]) -> tuple[str, ...]:
    """The methods with the head-only run beside them if it is asked for."""
    wanted = st.toggle(
        "Head only as well",
        "head" in opened,
        key=key_of("head"),
        help="A run without any adapter: the baseline that both must beat.",
        disabled=methods == ("head",),
        persist_state="session",
    )
    return (*methods, "head") if wanted and methods != ("head",) else methods
