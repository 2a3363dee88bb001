"""A room in sentences: what it trains, how it stands, who has come how far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replora.classroom.room import Expectation, Phase, Room, Seat
from replora.classroom.setup import Setup
from replora.config import RaceOptions
from replora.methods import METHOD_TITLES, OURS, REFERENCE
from replora.options import format_value, options
from replora.ui.parts.settings import named, value_text
from replora.wording import counted, listing, signed

ALWAYS = ("data_fraction", "learning_rate", "rank", "mlp_width", "steps")
PHASES = {
    Phase.OPEN: "Open: seats gather",
    Phase.RUNNING: "Started: all race",
    Phase.PAUSED: "Paused: all races are held",
    Phase.CLOSED: "Closed",
}
AFTER_COMMIT = "Started: each seat races once it has said what it expects"


def phase_told(room: Room) -> str:
    """What a room does; where it asks what is expected, that no race begins before."""
    return AFTER_COMMIT if room.phase is Phase.RUNNING and room.setup.expect else PHASES[room.phase]


def settings_told(setup: Setup) -> str:
    """'Digits: data fraction 10 %, learning rate 0.0003, ...': what a room trains."""
    race, default = setup.race, RaceOptions()
    hidden = {"task", "seeds", "methods", "backbone", *({"learning_rate"} if setup.each == "cell" else ())}
    facts = options(RaceOptions)
    others = [name for name in facts if name not in ALWAYS and getattr(race, name) != getattr(default, name)]
    shown = [name for name in (*ALWAYS, *others) if name not in hidden]
    told = [named(name, facts[name], getattr(race, name)) for name in shown]
    return f"{value_text('task', race.task)}: {', '.join(told)}"


def changes_told(before: Setup, after: Setup) -> str:
    """'MLP width 16 and sharing tied': what a push has changed, '' where nothing."""
    facts = options(RaceOptions)
    told = [
        named(name, facts[name], getattr(after.race, name))
        for name in facts
        if getattr(after.race, name) != getattr(before.race, name)
    ]
    if (before.each, before.seeds, before.rates) != (after.each, after.seeds, after.rates):
        told.append("a seed for each seat" if after.each == "seed" else "a cell for each seat")
    return listing(told)


def turn_told(setup: Setup, number: int) -> str:
    """What the seat of a number trains."""
    if setup.each == "seed":
        return f"Yours is seed {number}: {listing([METHOD_TITLES[name] for name in setup.race.methods])}."
    cells = setup.cells()
    seed, rate, method = cells[(number - 1) % len(cells)]
    return f"Yours is one cell of {len(cells)}: {METHOD_TITLES[method]}, seed {seed}, rate {format_value(rate)}."


def expectation_told(expected: Expectation) -> str:
    """'RepLoRA ahead by 3.0 points, from -1.0 to +7.0'."""
    middle = expected.middle
    who = METHOD_TITLES[OURS if middle > 0 else REFERENCE]
    lead = f"{who} ahead by {abs(middle):.1f} points" if middle else "both level"
    return f"{lead}, from {signed(expected.low)} to {signed(expected.high)}"


@dataclass(frozen=True)
class Counts:
    """How many seats have joined, said what they expect, begun, finished, failed."""

    joined: int
    expected: int
    begun: int
    finished: int
    failed: int

    @classmethod
    def of(cls, seats: Sequence[Seat]) -> Counts:
        return cls(
            len(seats),
            sum(seat.expectation is not None for seat in seats),
            sum(bool(seat.job) or seat.result is not None for seat in seats),
            sum(seat.result is not None for seat in seats),
            sum(state_of(seat) == "failed" for seat in seats),
        )


def state_of(seat: Seat) -> str:
    """How far a seat has come, as a class of its tile."""
    if seat.result is not None:
        return "diverged" if any(run["diverged"] for run in seat.result["runs"]) else "finished"
    if seat.begun:
        return "racing"
    if seat.job:
        return "waiting"
    if seat.message:
        return "failed"
    return "expected" if seat.expectation is not None else "joined"


STATES = {
    "joined": "joined",
    "expected": "has said what it expects",
    "waiting": "waits in the queue",
    "racing": "races",
    "finished": "finished",
    "diverged": "finished, a run diverged",
    "failed": "could not race",
}


def standing_told(room: Room, seats: Sequence[Seat]) -> str:
    """'Started: all race. 12 seats, 9 began, 4 finished.' Where a room asks, also who has not said what it expects."""
    counts = Counts.of(seats)
    told = [counted(counts.joined, "seat")]
    if room.setup.expect:
        told.append(f"{counts.expected} said what they expect")
        if counts.expected < counts.joined:
            told.append(f"{counts.joined - counts.expected} not committed yet")
    told += [f"{counts.begun} began", f"{counts.finished} finished"]
    if counts.failed:
        told.append(f"{counts.failed} could not race")
    return f"{phase_told(room)}. {', '.join(told)}."
