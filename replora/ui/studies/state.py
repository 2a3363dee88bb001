"""Which study a page shows, live or recorded, as far as it is, and where it stands in words."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from typing import Generic, TypeVar

from replora.events import EventError
from replora.jobs.engine import JobState, JobStatus
from replora.options import options
from replora.studies.base import of_kind
from replora.studies.events import Progress, StudyEvent, StudyFinished, started_of
from replora.studies.selection import only, spec_of
from replora.studies.spec import RaceStudy, Study, command
from replora.ui.live.form import Form
from replora.ui.live.recordings import STUDIES, made_once
from replora.ui.live.standing import Account, Standing, standing_of
from replora.ui.parts.settings import named
from replora.ui.studies.session import StudySession, count_of
from replora.wording import count, counted, duration, listing

SummaryOf = TypeVar("SummaryOf")

BETTER = {"seeds", "steps", "batch_size", "test_examples", "validation_examples", "fractions", "examples", "rates"}
NOT_SAID = {"device", "precision"}


@dataclass(frozen=True)
class Selection:
    """The part of a study that a form asks to see.

    events: of the part. wider: events with the same methods and all rates. notes: what of the form could not be met.
    met: the form's fields that the part meets, though the study was asked for with others.
    """

    events: Sequence[StudyEvent] = ()
    wider: Sequence[StudyEvent] = ()
    notes: Sequence[str] = ()
    met: Collection[str] = ()


@dataclass(frozen=True)
class SelectedStudy(Generic[SummaryOf]):
    """A selection with its spec and its summary, None before it has started."""

    selection: Selection = Selection()
    summary: SummaryOf | None = None
    spec: Study | None = None


@dataclass(frozen=True)
class Selector(Generic[SummaryOf]):
    """What a page takes out of a study.

    select: the part that a form asks to see. key: all that this depends on in the form. summarize: the summary of a
    part's events. recorded: the name of the recorded study for a form.
    """

    select: Callable[[Sequence[StudyEvent], Study], Selection]
    key: Callable[[Study], str]
    summarize: Callable[[Sequence[StudyEvent]], SummaryOf | None]
    recorded: Callable[[Study], str]


@dataclass(frozen=True)
class ShownStudy(Generic[SummaryOf]):
    """The study that is shown, so far, and where it stands. label: what it ran on. whole: all of its events.

    beside: of a live one, the same part of the recorded one, where there is one.
    """

    spec: Study
    selected: SelectedStudy[SummaryOf]
    standing: Standing
    label: str = ""
    recorded: bool = False
    beside: SelectedStudy[SummaryOf] | None = None
    whole: Sequence[StudyEvent] = field(default=(), repr=False)

    @property
    def summary(self) -> SummaryOf | None:
        return self.selected.summary

    @property
    def events(self) -> Sequence[StudyEvent]:
        """Those of the selected part."""
        return self.selected.selection.events


def recorded_races(wanted: Study) -> str:
    """The name of the recorded grid of races for a form: of equal epochs, or of a control where that is recorded."""
    spec, plain = of_kind(wanted, RaceStudy), f"study_{wanted.task}"
    if spec.equal == "epochs":
        return f"{plain}_epochs"
    controls = {
        "loraplus": spec.b_rate_ratio != 1,
        "latent": spec.latent != "rows",
        "parameters": spec.lora_rank not in (0, spec.rank),
    }
    recorded = (name for name, asked in controls.items() if asked and STUDIES.has(f"{plain}_{name}"))
    return "_".join([plain, *itertools.islice(recorded, 1)])


def shown_study(
    session: StudySession, ready: bool, form: Form[Study], selector: Selector[SummaryOf]
) -> ShownStudy[SummaryOf]:
    """The session's study, or the recorded one where there is none, or where another task has been chosen since."""
    spec, status = session.spec, session.status
    elsewhere = spec is not None and not session.active and form.valid and form.options.task != spec.task
    if spec is None or status is None or elsewhere:
        return _recorded(form.options, selector)
    return _live(session, spec, status, ready, form, selector)


def selected_study(
    events: Sequence[StudyEvent], wanted: Study, selector: Selector[SummaryOf]
) -> SelectedStudy[SummaryOf]:
    """The part of a study that a form asks to see, and its summary."""
    if spec_of(events) is None:
        return SelectedStudy()
    selection = selector.select(events, wanted)
    return SelectedStudy(selection, selector.summarize(selection.events), spec_of(selection.events))


def narrowed(events: Sequence[StudyEvent], wanted: Study) -> tuple[Sequence[StudyEvent], list[str]]:
    """The study with those that a form compares only, or with all of its own where it has none of them.

    And which of the form's options it meets by that.
    """
    spec = spec_of(events)
    if spec is None:
        return events, []
    kept = [name for name in spec.titles if name in wanted.titles]
    met = [spec.compares] if set(wanted.titles) <= set(spec.titles) else []
    return (only(events, kept) if kept and len(kept) < len(spec.titles) else events), met


def _recording(wanted: Study, selector: Selector[SummaryOf], standing: Standing) -> ShownStudy[SummaryOf]:
    """The recorded study for a form; `EventError` where there is none."""
    name = selector.recorded(wanted)
    events = STUDIES.events(name)
    made: SelectedStudy[SummaryOf] = made_once(
        name, selector.key(wanted), lambda: selected_study(events, wanted, selector)
    )
    spec = spec_of(events)
    assert spec, "Recordings have a start."
    return ShownStudy(
        made.spec or wanted,
        made,
        standing,
        label=f"Recorded on {machine(events)}: <code>{escape(command(spec))}</code>",
        recorded=True,
        whole=events,
    )


def _recorded(wanted: Study, selector: Selector[SummaryOf]) -> ShownStudy[SummaryOf]:
    try:
        shown = _recording(wanted, selector, Standing(""))
    except EventError as error:
        standing = Standing("No recorded study", str(error), "Press Run live", done=0.0)
        return ShownStudy(wanted, SelectedStudy(), standing)
    made, spec = shown.selected, spec_of(shown.whole)
    assert spec, "Recordings have a start."
    richer = {name for name in BETTER if _holds(spec, wanted, name)}
    others = _unlike(spec, wanted, {*richer, *NOT_SAID, *made.selection.met})
    hints = list(made.selection.notes)
    if others:
        hints.append(f"Recorded with {listing(others)}; Run live runs your settings.")
    selected = started_of(made.selection.events)
    total = selected.runs if selected else 0
    standing = Standing(
        f"Recorded study: {count(total)} runs of {spec.steps_in_words}",
        " ".join(hints) or "Press Run live for a small one on this machine.",
    )
    return dataclasses.replace(shown, standing=standing)


def _live(
    session: StudySession,
    spec: Study,
    status: JobStatus,
    ready: bool,
    form: Form[Study],
    selector: Selector[SummaryOf],
) -> ShownStudy[SummaryOf]:
    events = session.events
    asked = form.options if form.valid else spec
    selected = session.once(selector.key(asked), lambda: selected_study(events, asked, selector))
    runs = count_of(spec)
    progress = next((each for each in reversed(events) if isinstance(each, Progress)), None)
    seconds = next((each.seconds for each in events if isinstance(each, StudyFinished)), 0.0)
    share = progress.share if progress else 0.0  # of the work, of which the last runs may have had little
    account = Account(
        f"{count(session.done)} of {count(runs)} runs",
        session.done / runs if status.state.final else share,
        f"Live study: {count(runs)} runs in {duration(seconds)}",
        progress.seconds_left if progress else None,
        "The first results are on their way",
        noun="study",
    )
    hint = _hint(spec, form, selected.selection)
    if status.state is JobState.QUEUED and not events:
        with suppress(EventError):  # no recording: the empty figures say what is waited for
            return _recording(asked, selector, standing_of(status, ready, account, hint, recorded=True))
    return ShownStudy(
        selected.spec or spec,
        selected,
        standing_of(status, ready, account, hint),
        label=f"This study, on {machine(events)}: <code>{escape(command(spec))}</code>" if events else "",
        beside=_beside(spec, selector),
        whole=events,
    )


def _beside(spec: Study, selector: Selector[SummaryOf]) -> SelectedStudy[SummaryOf] | None:
    """The part of the recorded study that answers what a live one asks; None where there is no recording."""
    name = selector.recorded(spec)
    try:
        events = STUDIES.events(name)
    except EventError:
        return None
    key = selector.key(spec)
    found: SelectedStudy[SummaryOf] = made_once(name, key, lambda: selected_study(events, spec, selector))
    return found


def unlike_recorded(recorded: Study, own: Study) -> list[str]:
    """The settings of a recorded study that a live one has otherwise, what a longer one has more of left out."""
    return _unlike(recorded, own, {*BETTER, *NOT_SAID, recorded.compares})


def _hint(spec: Study, form: Form[Study], selection: Selection) -> str:
    """How the study on the screen differs from what the form now says."""
    if not form.valid:
        return ""
    others = _unlike(spec, form.options, {"device", *selection.met})
    changed = [f"This study: {listing(others)}. Run live runs your settings."] if others else []
    return " ".join([*selection.notes, *changed])


def machine(events: Sequence[StudyEvent]) -> str:
    """What a study ran on: device, precision, threads, backbone, versions."""
    started = started_of(events)
    if started is None:
        return "this machine"
    threads = counted(started.threads, "thread")
    versions = [f"{name} {version}" for name, version in started.versions.items() if name != "python"]
    return escape(", ".join([started.device, started.precision, threads, started.backbone, *versions]))


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
