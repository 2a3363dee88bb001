"""Which race a page looks into: a recorded one, the one on the Race page, or the one of a link."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from replora.catalog import ASSETS, CORPORA, OWN_PREFIX, OWN_TASK, PRIVATE_TASKS, TASKS, Modality
from replora.config import METHOD_TITLES, Race, Run
from replora.events import Event, EventError, from_line, read_events, started_of
from replora.hub.names import HubError
from replora.hub.packaged import check_here
from replora.jobs.engine import Engine, NoAnswer, UnknownJob
from replora.lens.questions import Question
from replora.options import SpecError, UserError
from replora.own_data.private import PRIVATE
from replora.tasks import TaskError, task_card
from replora.ui.inside.generation.recorded import recorded_tasks, recorded_texts
from replora.ui.parts.once import Once
from replora.ui.parts.settings import kept_task_title
from replora.ui.parts.text import plain
from replora.ui.race.session import RECORDED as BEFORE_RECORDED
from replora.ui.race.session import RaceSession
from replora.ui.shell.style import linked
from replora.ui.visitor.own_data import present
from replora.wording import count

READ = Once[tuple[Event, ...]](16)  # recordings by path
RECORDED = "recorded:"
RACE_SESSION = "race.session"  # of the Race page
LINKED = "lens.linked"  # what the link said when it was last looked at
LAST = "lens.race"  # the race that was looked into last
LABELLED: tuple[Modality, ...] = ("image", "text")
CONTINUED: tuple[Modality, ...] = ("continuation",)
NONE = "There is no race on texts to continue yet: run one on *Race*, on the task Plays."
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

    @property
    def task_continues(self) -> bool:
        """Whether it is on texts to continue."""
        return _modality(self.spec.task) == "continuation"

    def runs(self, method: str) -> list[int]:
        """The places of the runs of a method."""
        return [place for place, run in enumerate(self.spec.runs) if run.method.name == method]

    def run_title(self, place: int) -> str:
        """'RepLoRA', with what tells it from the other runs of its method."""
        run = self.spec.runs[place]
        others = [self.spec.runs[each] for each in self.runs(run.method.name) if each != place]
        return METHOD_TITLES[run.method.name] + "".join(f", {part}" for part in _unlike(run, others))


def pick_race(
    engine: Engine,
    *,
    key: str,
    reads: Collection[Modality] = LABELLED,
    recorded: bool = True,
    place: DeltaGenerator | None = None,
) -> PickedRace | None:
    """A select box of the races at hand and the one chosen; None, with a warning, where it cannot be read.

    At first the race of the link (`?run=`), else the one that was looked into last, on whichever page, else the one on
    the Race page, else the first recorded one. reads: what the page can look into; where that is texts to continue
    alone, of recorded races what was written is enough. recorded: whether these are offered.
    place: where it is said that there is no race at all, by default where the select box would be.
    """
    choices = _choices(engine, reads, recorded=recorded)
    instead = "Another one is shown instead." if choices else ""
    _take_data(st.query_params.get(TASK, ""))
    asked, last = st.query_params.get(RUN, ""), str(st.session_state.get(LAST, ""))
    for name in (last, asked):
        if name and name not in choices:
            try:
                task = Race.from_dict(engine.status(name).spec).task
                if task not in PRIVATE_TASKS and _modality(task) not in reads:
                    if name == asked:
                        st.warning(plain(f"{_unfit(task)} {instead}".rstrip()))
                elif task not in PRIVATE_TASKS:
                    choices = {name: f"Run {name[:8]}: {kept_task_title(task)}", **choices}
                elif name == asked:
                    st.warning(plain(f"{PRIVATE} {instead}".rstrip()))
            except (UnknownJob, UserError):
                if name == asked:
                    said = f"run must be a race known here, got {asked[:40]!r}. {instead}"
                    st.warning(plain(said.rstrip()))
    if not choices:
        (place or st).info(linked(f"{NONE} {plain(what_brings(CORPORA['plays'].backbone))}".rstrip()))
        return None
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
        if not chosen.startswith(RECORDED):
            return source_of_job(engine, chosen, choices[chosen])
        return _recorded_texts(chosen) if tuple(reads) == CONTINUED else _recorded(chosen)
    except (UnknownJob, UserError) as error:
        st.warning(plain(str(error)))
    return None


def what_brings(backbone: str) -> str:
    """The sentence that says what brings a packaged model; '' where it is here."""
    try:
        check_here(backbone)
    except HubError as error:
        return str(error)
    return ""


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


def own_races() -> dict[str, Race]:
    """The races of the Race page on data that this visitor holds, by job: the one that is shown first."""
    session: RaceSession | None = st.session_state.get(RACE_SESSION)
    if session is None:
        return {}
    earlier = [(before.job, spec_of(before.events)) for before in session.earlier if before.job != BEFORE_RECORDED]
    shown = [(session.job, session.spec), *earlier]
    return {job: spec for job, spec in shown if job and spec is not None and spec.task not in PRIVATE_TASKS}


def _choices(engine: Engine, reads: Collection[Modality], *, recorded: bool) -> dict[str, str]:
    """What there is to choose from, by key: the race of the Race page first."""
    found: dict[str, str] = {}
    for place, (job, spec) in enumerate(own_races().items()):
        if _modality(spec.task) in reads and (not place or tuple(reads) == CONTINUED):
            found[job] = f"{'Your race' if not place else 'Your race before'}: {kept_task_title(spec.task)}"
    for task, card in TASKS.items():
        if card.modality in reads and _folder(task).is_dir():
            found[RECORDED + task] = f"Recorded: {kept_task_title(task)}"
    if tuple(reads) == CONTINUED and recorded:
        found |= {RECORDED + task: f"Recorded: {kept_task_title(task)}" for task in recorded_tasks()}
    return found


def _modality(task: str) -> Modality | None:
    """What a task's examples are; None where it is no longer kept."""
    try:
        return task_card(task).modality
    except TaskError:
        return None


def _unfit(task: str) -> str:
    kind = "texts to continue" if _modality(task) == "continuation" else "a task with classes"
    return f"This page does not look into a race on {kind}."


def _recorded_texts(key: str) -> PickedRace:
    task = key.removeprefix(RECORDED)
    if task not in recorded_tasks():
        raise SpecError(f"run must be a recorded race, got {key[:40]!r}.")
    events = recorded_texts(task).events
    return PickedRace(key, f"Recorded: {kept_task_title(task)}", "", _spec(events), events, recorded=True)


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
    spec = spec_of(events)
    if spec is None:
        raise EventError("The recorded race does not begin with its start.")
    return spec


def spec_of(events: Sequence[Event]) -> Race | None:
    """The spec of a race that has started."""
    started = started_of(events)
    return None if started is None else started.spec


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
