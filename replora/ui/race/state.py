"""Which race the page shows, live or recorded, as far as it is, and where it stands in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replora.config import Race
from replora.events import Event, EventError, Started, Step
from replora.figures.race.figures import PlottedRace
from replora.figures.scales import format_rate
from replora.jobs.engine import JobStatus
from replora.summary import summarize
from replora.ui.live.recordings import RACES
from replora.ui.live.standing import Account, Standing, standing_of
from replora.ui.parts.settings import unlike
from replora.ui.race.session import RaceSession
from replora.wording import count, duration, listing

PACE_STEPS = 20


@dataclass(frozen=True)
class ShownRace:
    """The race that is shown, as its figures take it, and where it stands."""

    race: PlottedRace
    standing: Standing


def shown_race(session: RaceSession, ready: bool, form: Race | None) -> ShownRace:
    """The session's race, or the recorded one where there is none, or where another task has been chosen since."""
    spec, status = session.spec, session.status
    elsewhere = spec is not None and not session.active and form is not None and form.task != spec.task
    if spec is None or status is None or elsewhere:
        return _recorded(form or spec or Race())
    return _live(session, spec, status, ready, form)


def _recorded(form: Race) -> ShownRace:
    try:
        events = RACES.events(f"race_{form.task}")
    except EventError as error:
        return ShownRace(
            PlottedRace(form, message="Press Play"), Standing("No recorded run", str(error), "Press Play", done=0.0)
        )
    spec = next(each.spec for each in events if isinstance(each, Started))
    summary = summarize(events)
    seconds = f" in {duration(summary.seconds)}" if summary else ""
    others = unlike(spec, form, without=("device", "precision"))
    hint = f"Recorded with: {listing(others)}. Play runs your settings." if others else "Press Play to run it yourself."
    return ShownRace(
        PlottedRace(spec, events, recorded=True), Standing(f"Recorded run: {spec.steps} steps{seconds}", hint)
    )


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
    )
    standing = standing_of(status, ready, account, _hint(session, spec, form))
    return ShownRace(PlottedRace(spec, session.events, tuple(session.earlier), message=standing.message), standing)


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


def grey_curves(earlier: Sequence[Sequence[Event]], spec: Race) -> str:
    """What the grey curves are, the latest first, by what they have otherwise than `spec`."""
    specs = [each.spec for events in earlier for each in events if isinstance(each, Started)]
    names = [listing(unlike(each, spec)) or "the same settings at the start" for each in specs]
    return f"Grey: {'; '.join(names)}" if names else ""
