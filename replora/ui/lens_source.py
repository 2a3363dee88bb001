"""Which race a page looks into: a recorded one, the one on the Race page, or the one of a link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from replora.catalog import ASSETS, OWN_PREFIX, TASKS
from replora.config import METHOD_TITLES, Race, Run, SpecError, UserError
from replora.events import Event, EventError, from_line, read_events
from replora.jobs.engine import Engine, NoAnswer, UnknownJob
from replora.lens.questions import Question
from replora.ui.race_session import RaceSession
from replora.ui.words import plain, task_title

RECORDED = "recorded:"
RACE_SESSION = "race.session"  # of the Race page
RUN = "run"  # in the query string: a job, or recorded:TASK


@dataclass(frozen=True)
class LensSource:
    """A race to look into: `key` names it in a link, `folder` holds its snapshots, `events` what it has told so far."""

    key: str
    title: str
    folder: str
    spec: Race
    events: tuple[Event, ...]
    recorded: bool

    def runs(self, method: str) -> list[int]:
        """The places of the runs of a method."""
        return [place for place, run in enumerate(self.spec.runs) if run.method.name == method]

    def run_title(self, place: int) -> str:
        """'RepLoRA', with what tells it from the other runs of its method."""
        run = self.spec.runs[place]
        others = [self.spec.runs[each] for each in self.runs(run.method.name) if each != place]
        return METHOD_TITLES[run.method.name] + "".join(f", {part}" for part in _unlike(run, others))


def lens_source(engine: Engine, *, key: str) -> LensSource | None:
    """A select box of the races at hand and the one chosen; None, with a warning, where it cannot be read.

    The first choice is the race of the link (`?run=`), else the one on the Race page, else the first recorded one.
    """
    choices = _choices(engine)
    asked = st.query_params.get(RUN, "")
    if asked and asked not in choices:
        try:
            status = engine.status(asked)
            choices = {asked: f"Run {asked[:8]}: {_about(status.spec)}", **choices}
        except (UnknownJob, SpecError):
            st.warning(f"run must be a race known here, got {asked[:40]!r}. The recorded one is shown instead.")
    shown = f"{key}.shown"  # what the link says once this page has written it
    if asked in choices and asked != st.session_state.get(shown):
        st.session_state[key] = asked
    elif st.session_state.get(key) not in choices:
        st.session_state.pop(key, None)
    opened = asked if asked in choices else next(iter(choices))
    chosen = st.selectbox(
        "Race to look into",
        list(choices),
        list(choices).index(opened),
        format_func=lambda name: choices.get(name, name),
        key=key,
        persist_state="session",
        help="Recorded races are at hand at once; a race of your own appears here once it has begun.",
    )
    st.session_state[shown] = chosen
    try:
        return _recorded(chosen) if chosen.startswith(RECORDED) else _of_job(engine, chosen, choices[chosen])
    except (UnknownJob, UserError) as error:
        st.warning(plain(str(error)))
    return None


def ask(engine: Engine, question: Question) -> Mapping[str, Any] | str:
    """The plain values of the answer, or the sentence why there is none."""
    try:
        return engine.ask(question.to_dict())
    except NoAnswer as error:
        return str(error)


def _choices(engine: Engine) -> dict[str, str]:
    """What there is to choose from, by key: the race of the Race page first."""
    found: dict[str, str] = {}
    session: RaceSession | None = st.session_state.get(RACE_SESSION)
    if session is not None and session.job is not None and session.spec is not None:
        found[session.job] = f"Your race: {_task_title(session.spec.task)}"
    for task in TASKS:
        if _folder(task).is_dir():
            found[RECORDED + task] = f"Recorded: {_task_title(task)}"
    return found


def _recorded(key: str) -> LensSource:
    task = key.removeprefix(RECORDED)
    folder = _folder(task)
    events = _read(folder / "events.jsonl")
    return LensSource(key, f"Recorded: {_task_title(task)}", str(folder), _spec(events), events, recorded=True)


def _of_job(engine: Engine, job: str, title: str) -> LensSource:
    status = engine.status(job)
    if status.kind != "race":
        raise SpecError(f"run must be a race, got {status.kind or 'nothing'}.")
    events = tuple(from_line(line) for line in engine.events(job))
    spec = Race.from_dict(status.spec)
    return LensSource(job, title, str(engine.folder(job)), spec, events, recorded=False)


def _folder(task: str) -> Path:
    return ASSETS / "recorded" / f"lens_{task}"


@st.cache_resource(show_spinner=False, max_entries=16)
def _read(path: Path) -> tuple[Event, ...]:
    return tuple(read_events(path))


def _spec(events: tuple[Event, ...]) -> Race:
    if not events or not hasattr(events[0], "spec"):
        raise EventError("The recorded race does not begin with its start.")
    spec: Race = events[0].spec
    return spec


def _about(spec: Mapping[str, Any]) -> str:
    return _task_title(Race.from_dict(spec).task)


def _task_title(task: str) -> str:
    return task_title(task) if task in TASKS or task.startswith(OWN_PREFIX) else task


def _unlike(run: Run, others: list[Run]) -> list[str]:
    """What a run has otherwise than one of the others: seed, rate, share of the data, rank."""
    parts = []
    for name, of in (
        ("seed {}", lambda each: each.seed),
        ("rate {:g}", lambda each: each.learning_rate),
        ("{:.0%} of the data", lambda each: each.data_fraction),
        ("rank {}", lambda each: each.method.rank),
    ):
        if any(of(each) != of(run) for each in others):
            parts.append(name.format(of(run)))
    return parts
