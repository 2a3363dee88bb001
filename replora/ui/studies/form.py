"""The form of a page of studies: a study's options as controls on the left, and as the query string of a link."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import streamlit as st

from replora.catalog import CHOICES, MARKS, PRIVATE_TASKS, is_corpus
from replora.methods import HEAD, METHOD_TITLES, OURS, REFERENCE, STUDENT_TITLES, idle_knobs
from replora.options import UserError, format_value, kind_of, options
from replora.own_data.private import CHOOSE
from replora.studies.spec import RaceStudy, Study
from replora.ui.forms.backbone import backbone_control
from replora.ui.forms.links import labelled, servable, task_names
from replora.ui.forms.spec_form import open_spec, place_controls
from replora.ui.forms.task_kind import follow_task
from replora.ui.live.form import Form
from replora.ui.live.page import RUN
from replora.ui.parts.settings import value_text

SWITCHES = ("teacher", "equal")
METHODS = (REFERENCE, OURS, HEAD)
MORE = (
    "backbone", "steps", "batch_size", "mlp_width", "mlp_depth", "test_examples", "validation_examples", "projections",
    "activation", "sharing", "layer_sharing", "residual", "latent", "alpha", "alpha_over", "b_rate_ratio", "optimizer",
    "equal", "adapted_blocks", "head_start", "head_learning_rate", "warmup_fraction", "weight_decay", "clip_norm",
    "device", "precision",
)  # fmt: skip


@dataclass(frozen=True)
class StudyForm:
    """Which of a study's options are in sight, in this order; `more`: options of its own under More."""

    page: str
    spec_type: type[Study]
    first: Sequence[str]
    more: Sequence[str] = ()

    def key(self, name: str) -> str:
        """The session-state key of an option's control."""
        return f"{self.page}.{name}"


def open_study(form: StudyForm, query: Mapping[str, str], shown: Study | None) -> tuple[Study, list[str]]:
    """What this session's first link asked for, and the sentences about what it could not have.

    Where it names a run and no option, the options of that study, `shown`.
    """
    check = servable if takes_texts(form) else labelled
    named = RUN in query and not set(query) & set(options(form.spec_type))
    return open_spec(
        form.spec_type,
        query,
        form.page,
        check=check,
        instead=shown if named else None,
    )


def study_form(form: StudyForm, opened: Study) -> Form[Study]:
    """The controls, and the study that they hold."""
    _apply_change(form)
    first = opened
    if takes_texts(form):
        opened = follow_task(form.page, opened)
    corpus = is_corpus(opened.task)
    values: dict[str, Any] = {}
    problems: list[str] = []

    def place(name: str) -> None:
        idle = idle_knobs(values.get("methods", METHODS))
        if values.get("tuned"):
            idle.add("learning_rate")
        elif "tuned" in values:
            idle.add("rates")
        if corpus:
            idle |= {"head_start", "head_learning_rate"}
        if name == "methods":
            values[name] = _methods(form, opened, corpus)
        elif name == "tuned":
            values[name] = _tuned(form, bool(getattr(opened, name)))
        elif name == "students":
            values[name] = _students(form, opened)
        elif name == "backbone":
            try:
                values[name] = backbone_control(form.page, opened.backbone, values["task"])
            except UserError as error:
                problems.append(str(error))
        elif name in SWITCHES:
            values[name] = _switch(form, name, getattr(opened, name))
        else:
            more = {"task": task_names(opened.task, corpora=takes_texts(form))}
            problem = place_controls(
                form.spec_type,
                [name],
                opened,
                form.page,
                values,
                show=value_text,
                idle=idle,
                more=more,
                without=CHOICES,
                marks=MARKS["continuation"] if corpus else {},
            )
            problems.extend([problem] if problem else [])

    for name in form.first:
        place(name)
    with st.expander("More"):
        for name in (*form.more, *(each for each in MORE if each not in form.first)):
            if name not in options(form.spec_type):
                continue
            place(name)
    if values.get("task") in PRIVATE_TASKS:
        problems.insert(0, CHOOSE)
    if problems:
        return Form(opened, problem=problems[0])
    try:
        chosen = dataclasses.replace(opened, **values)
        chosen.check_memory()
        return Form(first, chosen)
    except UserError as error:
        return Form(opened, problem=str(error))


def takes_texts(form: StudyForm) -> bool:
    """Whether texts to continue are among the tasks."""
    return issubclass(form.spec_type, RaceStudy)


def ask_for(form: StudyForm, change: Mapping[str, Any]) -> None:
    """Have the form hold these values at its next run; a control cannot be set from below it."""
    st.session_state[form.key("change")] = dict(change)


def _apply_change(form: StudyForm) -> None:
    for name, value in st.session_state.pop(form.key("change"), {}).items():
        if name in options(form.spec_type):
            texts = isinstance(value, tuple) and name not in ("methods", "students")
            st.session_state[form.key(name)] = format_value(value).replace(",", ", ") if texts else value


def _methods(form: StudyForm, opened: Study, corpus: bool) -> tuple[str, ...]:
    """Who is compared; where texts go on, no head is there to be trained alone."""
    offered = [name for name in METHODS if name != HEAD or not corpus]
    key = form.key("methods")
    if key in st.session_state:
        st.session_state[key] = [name for name in st.session_state[key] if name in offered]
    chosen = st.segmented_control(
        "Methods",
        offered,
        default=[name for name in opened.titles if name in offered],
        selection_mode="multi",
        format_func=lambda name: "Head" if name == HEAD else METHOD_TITLES[name],
        key=key,
        help="Which methods are trained, on the same examples in the same order. Head: no adapter, the baseline.",
        persist_state="session",
        width="stretch",
    )
    return tuple(name for name in METHODS if name in chosen)


def _students(form: StudyForm, opened: Study) -> tuple[str, ...]:
    chosen = st.pills(
        "Students",
        list(STUDENT_TITLES),
        default=list(opened.titles),
        selection_mode="multi",
        format_func=STUDENT_TITLES.__getitem__,
        key=form.key("students"),
        help=options(form.spec_type)["students"].help,
        persist_state="session",
    )
    return tuple(name for name in STUDENT_TITLES if name in chosen)


def _switch(form: StudyForm, name: str, opened: str) -> str:
    facts = options(form.spec_type)[name]
    chosen = st.segmented_control(
        facts.label,
        list(get_args(kind_of(form.spec_type, name))),
        default=opened,
        required=True,
        format_func=str.capitalize,
        key=form.key(name),
        help=facts.help,
        persist_state="session",
        width="stretch",
    )
    return str(chosen)


def _tuned(form: StudyForm, opened: bool) -> bool:
    facts = options(form.spec_type)["tuned"]
    chosen = st.segmented_control(
        "Learning rates",
        [False, True],
        default=opened,
        required=True,
        format_func=lambda tuned: "Tuned per method" if tuned else "One for all",
        key=form.key("tuned"),
        help=facts.help,
        persist_state="session",
        width="stretch",
    )
    return bool(chosen)
