"""Which Monte Carlo the page shows, live or recorded, as far as it is, and where it stands in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from replora.events import EventError
from replora.jobs.engine import JobState, JobStatus
from replora.options import options
from replora.simulation.events import Estimated, MonteCarloFinished, TheoryEvent, started_of
from replora.simulation.specs import MonteCarlo, RatesOptions
from replora.ui.live.form import Form
from replora.ui.live.recordings import RATES
from replora.ui.live.standing import Account, Standing, standing_of
from replora.ui.theory.rates.session import RatesSession
from replora.wording import duration, short_count

COMMAND = "python -m scripts.record_theory"


@dataclass(frozen=True)
class ShownRates:
    """The run that is shown, so far, and where it stands."""

    spec: MonteCarlo
    events: Sequence[TheoryEvent]
    standing: Standing
    recorded: bool = False


def shown_rates(session: RatesSession, ready: bool, form: Form[RatesOptions]) -> ShownRates:
    """The session's run, or the recorded one where there is none."""
    if session.spec is None or session.status is None:
        return _recorded(form.options)
    return _live(session.spec, session.events, session.status, ready, form)


def recorded_name(atoms: int) -> str:
    """The recorded run that is nearest to a number of fitted experts."""
    return "rates_exact" if atoms == 2 else "rates_over"


def unlike(shown: MonteCarlo, form: MonteCarlo) -> list[str]:
    """The settings that a run has otherwise than the form, those a recorded run is always better at left out."""
    names = {"atoms": "{} fitted experts", "eta": "\u03b7 = {}", "noise": "\u03c3 = {}", "box": "box {}",
             "max_steps": "{} steps at most", "seed": "seed {}"}  # fmt: skip
    return [
        text.format(f"{getattr(shown, name):g}")
        for name, text in names.items()
        if getattr(shown, name) != getattr(form, name)
    ]


def _recorded(form: RatesOptions) -> ShownRates:
    try:
        events = RATES.events(recorded_name(form.atoms))
    except EventError:
        hint = f"The recorded run cannot be read; make it with {COMMAND}, or run live."
        return ShownRates(form.monte_carlo, (), Standing("No recorded run", hint, "Press Run live", done=0.0))
    started = started_of(events)
    assert started, "Recordings have a start."
    spec = started.spec
    sharings = tuple(each for each in form.sharings if each in spec.sharings)
    kept = tuple(each for each in events if not isinstance(each, Estimated) or each.sharing in sharings)
    others = unlike(spec, form)
    hint = f"Recorded with {', '.join(others)}. Run live runs your settings." if others else f"Made by {COMMAND}."
    shown = MonteCarlo(**{**{name: getattr(spec, name) for name in options(MonteCarlo)}, "sharings": sharings})
    text = f"Recorded run: {spec.replicates} replicates, n to {short_count(spec.n_grid[-1])}"
    return ShownRates(shown, kept, Standing(text, hint), recorded=True)


def _live(
    spec: MonteCarlo, events: Sequence[TheoryEvent], status: JobStatus, ready: bool, form: Form[RatesOptions]
) -> ShownRates:
    done = sum(isinstance(each, Estimated) for each in events)
    total = len(spec.n_grid) * len(spec.sharings)
    seconds = next((each.seconds for each in events if isinstance(each, MonteCarloFinished)), 0.0)
    account = Account(
        f"{done} of {total} fits, {spec.replicates} replicates each",
        done / total,
        f"Live run: {spec.replicates} replicates in {duration(seconds)}",
    )
    changed = form.valid and form.options.monte_carlo != spec
    hint = "Your settings have changed since; Run live runs them." if changed else ""
    if status.state is JobState.QUEUED and not events and (recorded := _recorded(form.options)).recorded:
        return dataclasses.replace(recorded, standing=standing_of(status, ready, account, hint, recorded=True))
    return ShownRates(spec, events, standing_of(status, ready, account, hint))
