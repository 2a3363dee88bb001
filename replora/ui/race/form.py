"""The Race page's form: RaceOptions as controls on the left, and as the query string of a link.

Streamlit can bind a widget to the URL by itself (`bind="query-params"`). It is not used: it drops a value it cannot
take without a word, knows only the stops of a slider, and writes lists as repeated keys, while a link of ours must say
in a sentence what it could not take, carry any valid value, and read as the command line does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from replora.catalog import CHOICES, MARKS, PRIVATE_TASKS, is_corpus
from replora.config import Race, RaceOptions
from replora.memory.admission import check_race
from replora.memory.parameters import equal_rank
from replora.methods import HEAD, METHOD_TITLES, OURS, REFERENCE, has_adapter, idle_knobs
from replora.options import SpecError, UserError, options
from replora.own_data.private import CHOOSE
from replora.statistics.metrics import UNTOUCHED
from replora.ui.forms.backbone import backbone_control
from replora.ui.forms.controls import control
from replora.ui.forms.knobs import knob_controls
from replora.ui.forms.links import servable, task_names
from replora.ui.forms.spec_form import open_spec
from replora.ui.forms.task_kind import follow_task
from replora.ui.live.form import Form
from replora.ui.live.page import RUN
from replora.ui.parts.settings import value_text
from replora.ui.shell.embed import controls

PAGE = "race"
WISH = f"{PAGE}.task.wish"  # the task another page has chosen

OF_HEADS = ("head_start", "head_learning_rate")  # idle where no head is trained
FROZEN = "A run of which nothing trains. Its level line is drawn anyway, from the test before the first step."
METHOD_CHOICES: dict[str, str] = {
    **{name: METHOD_TITLES[name] for name in (REFERENCE, OURS)},
    f"{REFERENCE},{OURS}": "Both",
}
BASIC = ("rank", "data_fraction")
MORE = (
    ("latent", "alpha", "alpha_over"),
    ("lora_rank", "b_rate_ratio", "optimizer"),
    ("steps", "batch_size", "adapted_blocks", "head_start", "head_learning_rate"),
    ("warmup_fraction", "weight_decay", "clip_norm"),
    ("evaluate_every", "test_examples", "device", "precision"),
)


def open_race(query: Mapping[str, str], shown: Race | None) -> tuple[RaceOptions, list[str]]:
    """What this session's first link asked for, and the sentences about what it could not have.

    Where it names a run and no option, the options of that race, `shown`.
    """
    named = RUN in query and not set(query) & set(options(RaceOptions))
    instead = RaceOptions.of(shown) if shown is not None and named else None
    return open_spec(RaceOptions, query, PAGE, check=servable, instead=instead)


def race_form(opened: RaceOptions, on_rate: Callable[[], None], knobs: DeltaGenerator) -> Form[RaceOptions]:
    """The controls; what they hold has a race. `on_rate` is called when the learning rate is moved.

    knobs: where those stand that say how A and B arise; the others are in the sidebar.
    """
    if WISH in st.session_state:
        st.session_state[key_of("task")] = st.session_state.pop(WISH)
    first, opened = opened, follow_task(PAGE, opened)
    values: dict[str, Any] = {}
    problems: list[str] = []
    corpus = is_corpus(opened.task)
    stops = MARKS["continuation"] if corpus else {}

    def place(name: str, **facts: Any) -> None:
        idle = name in idle_knobs(values["methods"]) or (corpus and name in OF_HEADS)
        value = getattr(opened, name)
        try:
            values[name] = control(
                RaceOptions,
                name,
                key=key_of(name),
                opened=value,
                show=lambda value: value_text(name, value),
                disabled=idle,
                marks=stops.get(name, ()),
                **facts,
            )
        except SpecError as error:
            problems.append(str(error))

    with controls():
        values["methods"] = _methods(opened.methods)
        place("task", more=task_names(opened.task), without=CHOICES)
        for name in BASIC:
            place(name)
        place("learning_rate", on_change=on_rate)
        place("seeds")
    with knobs:
        problems += knob_controls(PAGE, opened, values, idle_knobs(values["methods"]))
    with controls(), st.expander("More"):
        values["methods"] = _baseline(opened.methods, values["methods"], corpus)
        try:
            values["backbone"] = backbone_control(PAGE, opened.backbone, values["task"])
        except UserError as error:
            problems.append(str(error))
        for group in MORE:
            for name in group:
                place(name)
                if name == "lora_rank":
                    as_many = st.container()
    if values.get("task") in PRIVATE_TASKS:
        problems.insert(0, CHOOSE)
    if problems:
        return Form(first, problem=problems[0])
    try:
        chosen = RaceOptions(**values)
        with as_many:
            _equal_parameters(chosen)
        check_race(chosen.race())
    except UserError as error:
        return Form(first, problem=str(error))
    return Form(first, chosen)


def ask_for_task(task: str) -> None:
    """Have the form hold this task when it is next drawn."""
    st.session_state[WISH] = task


def rate_asked() -> float:
    """Where the learning-rate slider stands."""
    rate: float = st.session_state[key_of("learning_rate")]
    return rate


def task_asked() -> str:
    """Which task the form holds."""
    task: str = st.session_state[key_of("task")]
    return task


def key_of(name: str) -> str:
    """The session-state key of an option's control."""
    return f"{PAGE}.{name}"


def _methods(opened: tuple[str, ...]) -> tuple[str, ...]:
    """Who races, the baseline aside; a choice is the text of a link, `lora,replora`."""
    adapters = [name for name in METHOD_TITLES if name in opened and has_adapter(name)]
    first = ",".join(adapters) or HEAD
    chosen = st.segmented_control(
        "Methods",
        [*METHOD_CHOICES] if adapters else [*METHOD_CHOICES, first],
        default=first,
        required=True,
        format_func=lambda choice: METHOD_CHOICES.get(choice, METHOD_TITLES[HEAD]),
        key=key_of("methods"),
        help="Who races on the same batches.",
        persist_state="session",
        width="stretch",
    )
    return tuple((chosen or first).split(","))


def _equal_parameters(chosen: RaceOptions) -> None:
    """A press gives LoRA the rank with which it trains as many parameters as RepLoRA."""
    rank = equal_rank(chosen) if {REFERENCE, OURS} <= set(chosen.methods) else 0
    if not rank:
        return
    st.button(
        "Equal parameters",
        key=key_of("equal_parameters"),
        disabled=chosen.lora_rank == rank,
        on_click=st.session_state.update,
        args=({key_of("lora_rank"): rank},),
        help=f"Set LoRA\u2019s rank to {rank}: it then trains as many parameters as RepLoRA, and keeps more.",
        width="stretch",
    )


def _baseline(opened: tuple[str, ...], methods: tuple[str, ...], corpus: bool) -> tuple[str, ...]:
    """The methods with a run without adapters beside them if it is asked for."""
    wanted = st.toggle(
        f"{UNTOUCHED if corpus else METHOD_TITLES[HEAD]} as well",
        HEAD in opened,
        key=key_of("head"),
        help=FROZEN if corpus else "A run without any adapter: the baseline that both must beat.",
        disabled=methods == (HEAD,),
        persist_state="session",
    )
    return (*methods, HEAD) if wanted and methods != (HEAD,) else methods
