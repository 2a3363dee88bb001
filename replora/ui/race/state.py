"""Which race the page shows, live or recorded, as far as it is, and where it stands in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from replora.config import Race, RaceOptions
from replora.events import Event, EventError, Step, started_of
from replora.figures.race.figures import PlottedRace
from replora.figures.scales import format_rate
from replora.jobs.engine import JobState, JobStatus
from replora.summary import summarize
from replora.ui.live.recordings import RACES
from replora.ui.live.standing import Account, Standing, standing_of
from replora.ui.parts.settings import unlike
from replora.ui.race.session import RECORDED, Before, RaceSession
from replora.wording import count, duration, listing

PACE_STEPS = 20
UNPLAYABLE = "Yours cannot run as it is set."


@dataclass(frozen=True)
class ShownRace:
    """The race that is shown, as its figures take it, and where it stands."""

    race: PlottedRace
    standing: Standing


def shown_race(session: RaceSession, ready: bool, form: Race | None, task: str = "") -> ShownRace:
    """The session's race, or the recorded one where there is none, or where another task has been chosen since.

    form: None while its controls hold nonsense; task: the one that they hold; '' whatever is shown.
    """
    spec, status = session.spec, session.status
    elsewhere = spec is not None and not session.active and task not in ("", spec.task)
    if spec is None or status is None or elsewhere:
        return _recorded(form or (RaceOptions.on(task).race() if task else spec or Race()), playable=form is not None)
    return _live(session, spec, status, ready, form)


def _recording(task: str) -> PlottedRace:
    """The recorded race of a task; `EventError` where there is none."""
    events = RACES.events(f"race_{task}")
    started = started_of(events)
    assert started, "Recordings have a start."
    return PlottedRace(started.spec, events, recorded=True)


def _recorded(form: Race, *, playable: bool) -> ShownRace:
    try:
        race = _recording(form.task)
    except EventError as error:
        message = "Press Play" if playable else "Nothing to show yet"
        hint = str(error) if playable else UNPLAYABLE
        return ShownRace(PlottedRace(form, message=message), Standing("No recorded run", hint, message, done=0.0))
    spec, summary = race.spec, summarize(race.events)
    seconds = f" in {duration(summary.seconds)}" if summary else ""
    others = unlike(spec, form, without=("device", "precision"))
    hint = f"Recorded with: {listing(others)}. Play runs your settings." if others else "Press Play to run it yourself."
    if not playable:
        hint = UNPLAYABLE
    return ShownRace(race, Standing(f"Recorded run: {spec.steps} steps{seconds}", hint))


def _live(session: RaceSession, spec: Race, status: JobStatus, ready: bool, form: Race | None) -> ShownRace:
    summary = summarize(session.events)
    step = summary.step if summary else 0
    at = f"step {count(step)} of {count(spec.steps)}"
    account = Account(
        at,
        step / spec.steps,
        f"Finished: {count(step)} steps" + (f" in {duration(summary.seconds)}" if summary else ""),
        seconds_left(session.events, spec.steps),
        f"First evaluation after step {min(spec.evaluate_every, spec.steps)}",
        ended=("Cancelled", "at"),
        failed=f"Failed at {at}" if step else "Failed",
        noun="race",
        start="Play",
    )
    hint = _hint(session, spec, form)
    if status.state is JobState.QUEUED and not (session.events or session.earlier):
        with suppress(EventError):  # no recording: the empty figures say what is waited for
            return ShownRace(_recording(spec.task), standing_of(status, ready, account, hint, recorded=True))
    standing = standing_of(status, ready, account, hint)
    earlier = tuple(before.events for before in session.earlier)
    named = "recorded" if session.earlier and session.earlier[0].job == RECORDED else "before"
    race = PlottedRace(spec, session.events, earlier, named, message=standing.message, moving=standing.moving)
    return ShownRace(race, standing)


def seconds_left(events: Sequence[Event], steps: int) -> float | None:
    """Time for the steps to come at the pace of the last ones; None before there is a pace."""
    recent = [each for each in events[-3 * PACE_STEPS :] if isinstance(each, Step)][-PACE_STEPS:]
    if len(recent) < 2:
        return None
    first, last = recent[0], recent[-1]
    return (steps - last.step) * (last.seconds - first.seconds) / (last.step - first.step)


def _hint(session: RaceSession, spec: Race, form: Race | None) -> str:
    """How the race on the screen differs from what the form now says; else what the grey curves are."""
    if form is None:
        return ""
    others = unlike(spec, form, without=("learning_rate",))
    rate, wanted = session.rate(), form.runs[0].learning_rate
    if rate is not None and format_rate(rate) != format_rate(wanted):
        others.append(f"learning rate {format_rate(rate)}")
    if others:
        return f"This run: {listing(others)}. Play starts a new one with your settings."
    return grey_curves(session.earlier, spec)


def grey_curves(earlier: Sequence[Before], spec: Race) -> str:
    """What the grey curves are, the latest first, by what they have otherwise than `spec`."""
    names = []
    for before in earlier:
        if started := started_of(before.events):
            name = listing(unlike(started.spec, spec)) or "the same settings at the start"
            names.append(f"recorded, {name}" if before.job == RECORDED else name)
    return f"Grey, before: {'; '.join(names)}" if names else ""


def last_race(session: RaceSession, form: Race | None, shown: PlottedRace) -> Before | None:
    """The race on the screen where the one of the form can be raced against it; None where that would show nothing."""
    started = started_of(shown.events)
    if form is None or started is None or started.spec.task != form.task:
        return None
    if not any(isinstance(event, Step) for event in shown.events):
        return None
    live = session.steered and not session.changed(form)  # the rate alone goes to the race that is on
    if live or not unlike(started.spec, form, without=("device", "precision")):
        return None
    return Before(RECORDED if shown.recorded else session.job or "", shown.events)


def recorded_race(task: str) -> Sequence[Event]:
    """The events of the recorded race of a task; `EventError` where there is none."""
    return _recording(task).events
