"""What came of the seats' races, one by one and pooled: pure functions of what their races told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replora.classroom.room import Seat
from replora.config import Race, RaceOptions
from replora.events import Event, started_of
from replora.methods import OURS, REFERENCE
from replora.options import format_value, options
from replora.result_card.commands import race_command
from replora.statistics.intervals import Interval, by_luck, t_interval
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, lost_count, verdict
from replora.summary import summarize


def result_of(events: Iterable[Event], job: str, own: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is kept of a finished race; None of one that told no end. own: what its seat has otherwise than the room."""
    events = list(events)
    started, summary = started_of(events), summarize(events)
    if started is None or summary is None or not summary.finished:
        return None
    runs = [
        {
            "method": run.method,
            "seed": run.seed,
            "learning_rate": run.learning_rate,
            "accuracy": None if run.diverged else run.final_accuracy,
            "diverged": run.diverged,
        }
        for run in summary.runs
    ]
    return {
        "job": job,
        "own": dict(own),
        "race": started.spec.to_dict(),
        "runs": runs,
        "seconds": summary.seconds,
        "device": started.device,
        "precision": started.precision,
        "versions": dict(started.versions),
    }


def command_of(result: Mapping[str, Any]) -> str:
    """The command that gives the numbers of a result again."""
    return race_command(Race.from_dict(result["race"]))


Key = tuple[float, tuple[str, ...]]  # rate, and what was chosen otherwise than the room has it
AS_THE_ROOM = "As the room has it"


@dataclass(frozen=True)
class Group:
    """Seats whose races can be compared: one rate, one choice of what was free. differences: of accuracy, by seed.

    label: '' where there is but one group. key: what its cells have in common.
    """

    label: str
    differences: Mapping[int, float]
    key: Key | None = None

    @property
    def interval(self) -> Interval | None:
        """Mean and Student's interval of the differences; None without any."""
        return t_interval(list(self.differences.values()))


@dataclass(frozen=True)
class Pool:
    """What a class has found so far. runs: those that have ended; repeated: seats that trained what another had."""

    groups: Sequence[Group]
    seats: int
    finished: int
    failed: int
    runs: int
    diverged: int
    repeated: int

    @property
    def verdicts(self) -> Sequence[str]:
        """A sentence for each group, with what was lost said once, and of several groups what one of many is worth."""
        when = "" if self.finished == self.seats else f", {self.finished} of {self.seats} seats done"
        lost = f"{lost_count(self.diverged, self.runs)}." if self.diverged else ""
        if not self.groups:
            return [verdict([], when=when, lost=lost)]
        told = []
        for place, group in enumerate(self.groups):
            lead = f"{group.label}: " if group.label else ""
            said = verdict(list(group.differences.values()), when=when, lost=lost if place == 0 else "")
            told.append(lead + said)
        return [*told, *self._alone()]

    def _alone(self) -> Sequence[str]:
        """How often one of several groups stands out by luck; nothing of one."""
        if len(self.groups) < 2:
            return []
        judged = sum(len(group.differences) >= SEEDS_FOR_A_VERDICT for group in self.groups)
        luck = (
            f": between equal methods somebody is ahead in one or more of {judged} in up to "
            f"{100 * by_luck(judged):.0f} % of classes"
            if judged > 1
            else ""
        )
        return [f"Each of {len(self.groups)} groups is judged by itself{luck}."]


@dataclass
class _Gathered:
    finals: dict[tuple[str, int], float | None] = field(default_factory=dict)


def pooled(seats: Sequence[Seat]) -> Pool:
    """All results of a round, run by run; two seats of one cell count once."""
    groups: dict[Key, _Gathered] = {}
    runs = diverged = repeated = 0
    done = [(seat, seat.result) for seat in seats if seat.result is not None]
    for _, result in done:
        again = 0
        for run in result["runs"]:
            gathered = groups.setdefault(cell_of(result, run), _Gathered())
            name = (run["method"], run["seed"])
            if name in gathered.finals:
                again += 1
                continue
            gathered.finals[name] = run["accuracy"]
            runs, diverged = runs + 1, diverged + run["diverged"]
        repeated += again == len(result["runs"])
    several = len({rate for rate, _ in groups}) > 1
    told = []
    for (rate, variant), gathered in sorted(groups.items(), key=lambda item: item[0]):
        rate_said = [f"rate {format_value(rate)}"] if several else []
        label = ", ".join([*rate_said, *variant]) or (AS_THE_ROOM if len(groups) > 1 else "")
        told.append(Group(label, _differences(gathered.finals), (rate, variant)))
    failed = sum(bool(seat.message) and seat.result is None and not seat.job for seat in seats)
    return Pool(told, len(seats), len(done), failed, runs, diverged, repeated)


def cell_of(result: Mapping[str, Any], run: Mapping[str, Any]) -> Key:
    """The key of the group that a run of a seat's result belongs to."""
    return run["learning_rate"], _variant(result)


def own_difference(result: Mapping[str, Any]) -> float | None:
    """Difference of accuracy of one seat's race; None where it trained one method only, or one diverged."""
    found = _differences({(run["method"], run["seed"]): run["accuracy"] for run in result["runs"]})
    return next(iter(found.values()), None)


def _differences(finals: Mapping[tuple[str, int], float | None]) -> dict[int, float]:
    found = {}
    for method, seed in sorted(finals):
        ours, theirs = finals.get((OURS, seed)), finals.get((REFERENCE, seed))
        if method == OURS and ours is not None and theirs is not None:
            found[seed] = ours - theirs
    return found


def _variant(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What a seat chose otherwise than the room, in words; the rate aside, which its runs tell."""
    facts = options(RaceOptions)
    chosen = {name: value for name, value in result["own"].items() if name != "learning_rate"}
    return tuple(f"{facts[name].label} {_text(value)}" for name, value in chosen.items())


def _text(value: Any) -> str:
    return format_value(tuple(value) if isinstance(value, list) else value)
