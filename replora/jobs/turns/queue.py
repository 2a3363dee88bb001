"""The jobs that wait, in the order in which they are served: visitors in turn, whoever has had least first.

Start-time fair queuing: a job is stamped with the turn at which it may begin, no earlier than the clock and one turn
after the job before it of the same visitor; the smallest stamp goes first. The clock follows the stamps that are
served, and moves on by itself, a little with each job, so that no crowd of ever new visitors passes anybody for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

from replora.jobs.engine import JobRefused, Submitter
from replora.jobs.turns.limits import Waiting

AMONG = 60  # jobs in which the clock moves on by one turn


@dataclass
class _Stamped:
    job: str
    by: Submitter
    number: int
    turn: float

    @property
    def key(self) -> tuple[bool, float, int]:
        return not self.by.first, self.turn, self.number


class JobQueue:
    """Jobs by id; no locks, no time. What nobody submitted counts as one visitor's, without a limit of its own."""

    def __init__(self, limits: Waiting) -> None:
        self._limits = limits
        self._waiting: list[_Stamped] = []  # as they are served
        self._clock = 0.0
        self._next: dict[str, float] = {}  # by visitor, the turn of the next job, where it is after the clock
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def order(self) -> Sequence[str]:
        """All that wait, the next one first."""
        return [each.job for each in self._waiting]

    def add(self, job: str, by: Submitter) -> None:
        """One more waits; `JobRefused`, with what to do, where there is no room. Who is first always finds room."""
        if not by.first:
            self._refuse(by)
        turn = max(self._clock, self._next.get(by.visitor, 0.0))
        self._next[by.visitor] = turn + 1.0
        self._waiting.append(_Stamped(job, by, next(self._numbers), turn))
        self._sort()

    def take(self) -> str | None:
        """The next one, which waits no longer; None where nobody waits."""
        if not self._waiting:
            return None
        taken = self._waiting.pop(0)
        self._clock = max(self._clock, taken.turn) + 1.0 / AMONG
        self._next = {visitor: turn for visitor, turn in self._next.items() if turn > self._clock}
        return taken.job

    def board(self, job: str) -> None:
        """It goes with one before it, out of its turn, which is spent; nothing where it does not wait."""
        self._waiting = [each for each in self._waiting if each.job != job]

    def remove(self, job: str) -> None:
        """It waits no longer, and its visitor's later ones move up; nothing where it does not wait."""
        gone = next((each for each in self._waiting if each.job == job), None)
        if gone is None:
            return
        visitor = gone.by.visitor
        theirs = sorted((each for each in self._waiting if each.by.visitor == visitor), key=lambda each: each.number)
        later = theirs[theirs.index(gone) :]
        freed = later[-1].turn
        for each, following in reversed(list(pairwise(later))):
            following.turn = each.turn
        if self._next.get(visitor, 0.0) == freed + 1.0:
            self._next[visitor] = freed
        self._waiting.remove(gone)
        self._sort()

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()

    def _sort(self) -> None:
        self._waiting.sort(key=lambda each: each.key)

    def _refuse(self, by: Submitter) -> None:
        most = self._limits
        if by.visitor and _many(self._waiting, lambda each: each.visitor == by.visitor) >= most.max_waiting_visitor:
            raise JobRefused(
                f"{_runs(most.max_waiting_visitor, 'of yours')} already; stop one, or try again when one has begun."
            )
        if by.address and _many(self._waiting, lambda each: each.address == by.address) >= most.max_waiting_address:
            raise JobRefused(
                f"{_runs(most.max_waiting_address, 'from your network')} already; try again when some have begun."
            )
        if len(self._waiting) >= most.max_waiting:
            raise JobRefused(
                f"{_runs(len(self._waiting))} already; look at a recorded one, and try again when some have begun."
            )


def _many(waiting: Iterable[_Stamped], wanted: Callable[[Submitter], bool]) -> int:
    return sum(wanted(each.by) for each in waiting)


def _runs(number: int, whose: str = "") -> str:
    """'3 runs of yours wait', '1 run waits'."""
    runs, wait = ("run", "waits") if number == 1 else ("runs", "wait")
    return " ".join(filter(None, (str(number), runs, whose, wait)))
