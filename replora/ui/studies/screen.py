"""Which study a page shows, live or recorded, as far as it is, and where it stands in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Generic, TypeVar

from replora.events import EventError
from replora.jobs.engine import JobState
from replora.options import options
from replora.studies.events import Progress, StudyEvent, StudyFinished, StudyStarted
from replora.studies.selection import spec_of
from replora.studies.spec import Study, command
from replora.ui.live.study_recordings import made_once, recorded_study
from replora.ui.parts.settings import named
from replora.ui.studies.session import StudySession, count_of
from replora.wording import count, duration, listing

SummaryOf = TypeVar("SummaryOf")

BETTER = {"seeds", "steps", "batch_size", "test_examples", "validation_examples", "fractions", "examples", "rates"}
NOT_SAID = {"device", "precision"}


@dataclass(frozen=True)
class Wanted:
    """What the form asks for; `valid` is False while it cannot be had and the last options stand in."""

    spec: Study
    valid: bool


@dataclass(frozen=True)
class Part:
    """The part of a study that a form asks to see.

    events: of the part. wider: events with the same methods and all rates. notes: what of the form could not be met.
    met: the form's fields that the part meets, though the study was asked for with others.
    """

    events: Sequence[StudyEvent]
    wider: Sequence[StudyEvent]
    notes: Sequence[str] = ()
    met: Collection[str] = ()


@dataclass(frozen=True)
class Looked(Generic[SummaryOf]):
    """A part with its summary, None before it has started, and the spec of the part."""

    part: Part
    summary: SummaryOf | None = None
    spec: Study | None = None


@dataclass(frozen=True)
class Viewer(Generic[SummaryOf]):
    """How a page looks at a study.

    part: the part that a form asks to see. key: all that this depends on in the form. summarize: the summary of a
    part's events. recorded: the name of the recorded study for a form.
    """

    part: Callable[[Sequence[StudyEvent], Study], Part]
    key: Callable[[Study], str]
    summarize: Callable[[Sequence[StudyEvent]], SummaryOf | None]
    recorded: Callable[[Study], str]


@dataclass(frozen=True)
class Shown(Generic[SummaryOf]):
    """What is on the screen: a study so far, where it stands, how the form differs, how far it is, and a failure."""

    spec: Study
    looked: Looked[SummaryOf]
    standing: str
    hint: str = ""
    message: str = ""
    failure: str = ""
    label: str = ""
    recorded: bool = False
    done: float = 1.0
    moving: bool = False
    whole: Sequence[StudyEvent] = field(default=(), repr=False)

    @property
    def summary(self) -> SummaryOf | None:
        return self.looked.summary

    @property
    def events(self) -> Sequence[StudyEvent]:
        return self.looked.part.events


def choose(session: StudySession, ready: bool, wanted: Wanted, viewer: Viewer[SummaryOf]) -> Shown[SummaryOf]:
    """The session's study, or the recorded one where there is none, or where another task has been chosen since."""
    spec = session.spec
    elsewhere = spec is not None and not session.active and wanted.valid and wanted.spec.task != spec.task
    if spec is None or elsewhere:
        return _recorded(wanted, viewer)
    return _live(session, spec, ready, wanted, viewer)


def look(events: Sequence[StudyEvent], wanted: Study, viewer: Viewer[SummaryOf]) -> Looked[SummaryOf]:
    """The part of a study that a form asks to see, and its summary."""
    if spec_of(events) is None:
        return Looked(Part((), ()))
    part = viewer.part(events, wanted)
    return Looked(part, viewer.summarize(part.events), spec_of(part.events))


def _recorded(wanted: Wanted, viewer: Viewer[SummaryOf]) -> Shown[SummaryOf]:
    name = viewer.recorded(wanted.spec)
    try:
        events = recorded_study(name)
    except EventError as error:
        nothing = Looked[SummaryOf](Part((), ()))
        return Shown(wanted.spec, nothing, "No recorded study", str(error), "Press Run live", done=0.0)
    made: Looked[SummaryOf] = made_once(name, viewer.key(wanted.spec), lambda: look(events, wanted.spec, viewer))
    spec = next(each.spec for each in events if isinstance(each, StudyStarted))
    richer = {name for name in BETTER if _holds(spec, wanted.spec, name)}
    others = _unlike(spec, wanted.spec, {*richer, *NOT_SAID, *made.part.met})
    parts = list(made.part.notes)
    if others:
        parts.append(f"Recorded with {listing(others)}; Run live runs your settings.")
    total = sum(each.runs for each in made.part.events if isinstance(each, StudyStarted))
    return Shown(
        made.spec or wanted.spec,
        made,
        f"Recorded study: {count(total)} runs of {count(spec.steps)} steps",
        " ".join(parts) or "Press Run live for a small one on this machine.",
        label=f"Recorded on {machine(events)}: <code>{escape(command(spec))}</code>",
        recorded=True,
        whole=events,
    )


def _live(
    session: StudySession, spec: Study, ready: bool, wanted: Wanted, viewer: Viewer[SummaryOf]
) -> Shown[SummaryOf]:
    events, status = session.events, session.status
    asked = wanted.spec if wanted.valid else spec
    looked = session.once(viewer.key(asked), lambda: look(events, asked, viewer))
    runs = count_of(spec)
    progress = next((each for each in reversed(events) if isinstance(each, Progress)), None)
    at = f"{count(session.done)} of {count(runs)} runs"
    message, failure, share = "Starting", "", progress.share if progress else 0.0
    match session.state:
        case JobState.QUEUED if status and status.position:
            standing = f"Waiting: {status.position} " + ("job" if status.position == 1 else "jobs") + " ahead"
        case JobState.QUEUED:
            standing = "Starting" if ready else "Loading the models, a few seconds the first time"
        case JobState.FINISHED:
            seconds = next((each.seconds for each in events if isinstance(each, StudyFinished)), 0.0)
            standing, share = f"Live study: {count(runs)} runs in {duration(seconds)}", 1.0
        case JobState.CANCELLED:
            standing, message = f"Stopped after {at}", "Stopped"
        case JobState.FAILED:
            standing, message = f"Failed after {at}", "Failed"
            failure = status.message if status else ""
        case _:
            left = f", about {duration(progress.seconds_left)} left" if progress else ""
            standing, message = f"Running: {at}{left}", "The first results come with the first batch"
    return Shown(
        looked.spec or spec,
        looked,
        standing,
        _live_hint(session, spec, wanted, looked.part),
        message,
        failure,
        label=f"This study, on {machine(events)}: <code>{escape(command(spec))}</code>" if events else "",
        done=share,
        moving=session.active,
        whole=events,
    )


def _live_hint(session: StudySession, spec: Study, wanted: Wanted, part: Part) -> str:
    """Why the job was ended, or how the study on the screen differs from what the form now says."""
    if session.state is JobState.CANCELLED and session.status and session.status.message:
        return session.status.message
    if not wanted.valid:
        return ""
    others = _unlike(spec, wanted.spec, {"device", *part.met})
    changed = [f"This study: {listing(others)}. Run live runs your settings."] if others else []
    return " ".join([*part.notes, *changed])


def machine(events: Sequence[StudyEvent]) -> str:
    """What a study ran on: device, precision, threads, backbone, versions."""
    started = next((each for each in events if isinstance(each, StudyStarted)), None)
    if started is None:
        return "this machine"
    threads = f"{started.threads} thread" + ("s" if started.threads != 1 else "")
    versions = [f"{name} {version}" for name, version in started.versions.items() if name != "python"]
    return escape(", ".join([started.device, started.precision, threads, started.backbone, *versions]))


def standing_html(shown: Shown[SummaryOf]) -> str:
    """The standing in words and as a bar."""
    share = f"{100 * shown.done:.1f}"
    rest = "" if shown.moving else " rest"
    return (
        f'<div class="standing{rest}"><p><b>{escape(shown.standing)}</b><span>{escape(shown.hint)}</span></p>'
        f'<div class="track" role="progressbar" aria-label="Progress of the study" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}"><div style="width:{share}%"></div></div></div>'
    )


def _holds(recorded: Study, form: Study, name: str) -> bool:
    """Whether a recorded study has at least what the form asks for: more steps, or all of its seeds."""
    more, less = getattr(recorded, name, None), getattr(form, name, None)
    if name == "rates" and not form.is_tuned:
        return True
    if isinstance(more, tuple) and isinstance(less, tuple):
        return set(less) <= set(more)
    return more is None or less is None or bool(more >= less)


def _unlike(shown: Study, form: Study, without: Collection[str]) -> list[str]:
    """The settings of `shown` that `form` has otherwise, where both have them."""
    facts = options(shown)
    return [
        named(name, facts[name], getattr(shown, name))
        for name in facts
        if name in options(form) and name not in without and getattr(shown, name) != getattr(form, name)
    ]
