"""Which race a page looks into: a recorded one, the one on the Race page, or the one of a link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from replora.catalog import ASSETS, OWN_PREFIX, OWN_TASK, PRIVATE_TASKS, TASKS
from replora.config import METHOD_TITLES, Race, Run
from replora.events import Event, EventError, from_line, read_events
from replora.jobs.engine import Engine, NoAnswer, UnknownJob
from replora.lens.questions import Question
from replora.options import SpecError, UserError
from replora.own_data.private import PRIVATE
from replora.ui.parts.once import Once
from replora.ui.parts.settings import kept_task_title
from replora.ui.parts.text import plain
from replora.ui.race.session import RaceSession
from replora.ui.visitor.own_data import present
from replora.wording import count

READ = Once[tuple[Event, ...]](16)  # recordings by path
RECORDED = "recorded:"
RACE_SESSION = "race.session"  # of the Race page
LINKED = "lens.linked"  # what the link said when it was last looked at
LAST = "lens.race"  # the race that was looked into last
RUN = "run"  # in the query string: a job, or recorded:TASK
TASK = "task"  # beside it: own data by name, which open the runs on them


@dataclass(frozen=True)
class PickedRace:
    """A race to look into: `key` names it in a link, `folder` holds its snapshots, `events` what it has told so far."""

    key: str
    title: str
    folder: str
    spec: Race
    events: tuple[Event, ...]
    recorded: bool

    @property
    def link(self) -> dict[str, str]:
        """The query string that opens it again."""
        own = {TASK: self.spec.task} if self.spec.task.startswith(OWN_PREFIX) else {}
        return {RUN: self.key, **own}

    def runs(self, method: str) -> list[int]:
        """The places of the runs of a method."""
        return [place for place, run in enumerate(self.spec.runs) if run.method.name == method]

    def run_title(self, place: int) -> str:
        """'RepLoRA', with what tells it from the other runs of its method."""
        run = self.spec.runs[place]
        others = [self.spec.runs[each] for each in self.runs(run.method.name) if each != place]
        return METHOD_TITLES[run.method.name] + "".join(f", {part}" for part in _unlike(run, others))


def pick_race(engine: Engine, *, key: str) -> PickedRace | None:
    """A select box of the races at hand and the one chosen; None, with a warning, where it cannot be read.

    At first the race of the link (`?run=`), else the one that was looked into last, on whichever page, else the one on
    the Race page, else the first recorded one.
    """
    choices = _choices(engine)
    _take_data(st.query_params.get(TASK, ""))
    asked, last = st.query_params.get(RUN, ""), str(st.session_state.get(LAST, ""))
    for name in (last, asked):
        if name and name not in choices:
            try:
                task = Race.from_dict(engine.status(name).spec).task
                if task not in PRIVATE_TASKS:
                    choices = {name: f"Run {name[:8]}: {kept_task_title(task)}", **choices}
                elif name == asked:
                    st.warning(plain(f"{PRIVATE} Another one is shown instead."))
            except (UnknownJob, UserError):
                if name == asked:
                    said = f"run must be a race known here, got {asked[:40]!r}. Another one is shown instead."
                    st.warning(plain(said))
    # The page writes the link at its end: until then it still names the race before.
    new_link = asked in choices and asked not in (last, st.session_state.get(LINKED))
    st.session_state[LINKED] = asked
    wanted = asked if new_link else st.session_state.get(key, last)
    # Without an index: the widget would begin anew each time that changes, and drop what was just chosen.
    st.session_state[key] = wanted if wanted in choices else next(iter(choices))
    chosen: str = st.selectbox(
        "Race to look into",
        list(choices),
        format_func=lambda name: choices.get(name, name),
        key=key,
        help="Recorded races are at hand at once; a race of your own appears here once it has begun.",
    )
    st.session_state[LAST] = chosen
    try:
        return _recorded(chosen) if chosen.startswith(RECORDED) else source_of_job(engine, chosen, choices[chosen])
    except (UnknownJob, UserError) as error:
        st.warning(plain(str(error)))
    return None


def beyond(name: str, most: int, got: int, instead: str = "The last one") -> list[str]:
    """A sentence where a link names a place of which this race has fewer."""
    said = f"{name} must be at most {count(most)} in this race, got {count(got)}. {instead} is shown instead."
    return [said] if got > most else []


def _take_data(name: str) -> None:
    """Own data of the link open the runs on them; whatever else stands there is said."""
    if name and not re.fullmatch(OWN_TASK, name):
        st.warning(plain(f"task must be own data by their name, which open a run on them, got {name[:40]!r}."))
    present(name)


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
    job, shown = (session.job, session.spec) if session is not None else (None, None)
    if job is not None and shown is not None and shown.task not in PRIVATE_TASKS:
        found[job] = f"Your race: {kept_task_title(shown.task)}"
    for task in TASKS:
        if _folder(task).is_dir():
            found[RECORDED + task] = f"Recorded: {kept_task_title(task)}"
    return found


def _recorded(key: str) -> PickedRace:
    task = key.removeprefix(RECORDED)
    if task not in TASKS:
        raise SpecError(f"run must be a recorded race, got {key[:40]!r}.")
    folder = _folder(task)
    events = _read(folder / "events.jsonl.gz")
    return PickedRace(key, f"Recorded: {kept_task_title(task)}", str(folder), _spec(events), events, recorded=True)


def source_of_job(engine: Engine, job: str, title: str) -> PickedRace:
    status = engine.status(job)
    if status.kind != "race":
        raise SpecError(f"run must be a race, got {status.kind or 'nothing'}.")
    events = tuple(from_line(line) for line in engine.events(job))
    spec, folder = Race.from_dict(status.spec), engine.folder(job)
    if status.state.final and not folder.is_dir():
        raise SpecError("This run has nothing left to look into: it was deleted, or is one of many older ones.")
    return PickedRace(job, title, str(folder), spec, events, recorded=False)


def _folder(task: str) -> Path:
    return ASSETS / "recorded" / f"lens_{task}"


def _read(path: Path) -> tuple[Event, ...]:
    return READ(path, lambda: tuple(read_events(path)))


def _spec(events: tuple[Event, ...]) -> Race:
    if not events or not hasattr(events[0], "spec"):
        raise EventError("The recorded race does not begin with its start.")
    spec: Race = events[0].spec
    return spec


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
