"""Who has a place to run, who waits for one, and for how long: pure bookkeeping, without locks and threads.

A job holds a place from its turn to the end of its process. One that is paused rests: it keeps its place until others
wait, and gives it up then; its process stays. When it is to go on, it waits in front of all that have not begun, but of
two places that come free in a row one goes to those, so that nobody who steps through a run holds them up.
Jobs that run together share a place; one that leaves them gives up its part, and has no process then.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import count

from replora.jobs.engine import Submitter
from replora.jobs.turns.limits import Waiting
from replora.jobs.turns.pace import Load, Paces
from replora.jobs.turns.queue import JobQueue

GUESS = 15.0  # seconds that a job is expected to take where none like it was here, and none that is on tells
LEFT = 0.25  # of what was expected, at least, once a job has taken longer


@dataclass
class _Entry:
    """What is known of a job: `since` when it has been running, by the clock, and `before` for how long until then."""

    load: Load
    time_limit: float
    visitor: str
    size: float  # of the work in its place: its own, and that of those that it shares the place with
    seated: bool = False  # it has begun, and is in no process
    since: float | None = None
    before: float = 0.0
    begun: bool = False

    def ran(self, now: float) -> float:
        return self.before + (0.0 if self.since is None else now - self.since)

    def run(self, now: float) -> None:
        self.begun, self.seated = True, False
        self.since = now if self.since is None else self.since

    def rest(self, now: float) -> None:
        self.before, self.since = self.ran(now), None


def nothing_told(_job: str) -> float | None:
    """Of jobs that do not say how far they are."""
    return None


class Line:
    """`slots` places; `clock` gives seconds.

    told: how many seconds more a job that runs needs by what it says itself; paces: what jobs took here before.
    """

    def __init__(
        self,
        slots: int,
        limits: Waiting,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[str], float | None] = nothing_told,
        paces: Paces | None = None,
    ) -> None:
        self._slots = slots
        self._clock = clock
        self._told = told
        self._paces = Paces() if paces is None else paces
        self._queue = JobQueue(limits)
        self._back: deque[str] = deque()  # jobs that have begun once and are to go on, and wait for a place
        self._holders: dict[str, int] = {}  # those that have one, in the order in which they got it, and which
        self._places = count()
        self._resting: dict[str, None] = {}  # holders that are paused, in the order of their pauses
        self._parked: dict[str, None] = {}  # paused without a place, in the order in which they lost it
        self._entries: dict[str, _Entry] = {}
        self._came_back = False  # whether the last place went to one that came back

    @property
    def parked(self) -> Sequence[str]:
        """The paused jobs without a place that are not to go on yet, the longest first."""
        return list(self._parked)

    @property
    def holders(self) -> Sequence[str]:
        """The jobs that have a place."""
        return list(self._holders)

    @property
    def order(self) -> Sequence[str]:
        """All that wait for a place, the next one first."""
        return self._order()

    def sharing(self) -> int:
        """How many processes have the machine together once all that wait have a place that may get one."""
        return min(self._slots, len(set(self._holders.values())) + len(self._order()))

    @property
    def running(self) -> Sequence[str]:
        """The jobs that are on."""
        return [job for job in self._holders if job not in self._resting]

    def expect(self, job: str) -> float | None:
        """In how many seconds a job is expected to be done by itself; None where nothing like it was here."""
        load = self._entries[job].load
        return self._paces.expect(load) or self._paces_of_holders(self._clock()).expect(load)

    def time_left(self, job: str) -> float:
        """What is left of a job's time limit where a new process of it begins: it has run in others before."""
        entry = self._entries[job]
        return max(entry.time_limit - entry.before, 0.0)

    def surplus(self, room: int, seats: int, seats_visitor: int) -> Sequence[str]:
        """Which of the parked jobs are too many where so many processes and so many without one may stay.

        The longest parked of who has most of them. seats_visitor: how many without a process one visitor may have.
        """
        within = [job for job in self._parked if not self._entries[job].seated]
        without = [job for job in self._parked if self._entries[job].seated]
        gone = []
        for visitor in {self._entries[job].visitor for job in without} - {""}:
            theirs = [job for job in without if self._entries[job].visitor == visitor]
            gone += theirs[: max(0, len(theirs) - seats_visitor)]
        return [
            *self._too_many(within, room),
            *gone,
            *self._too_many([job for job in without if job not in gone], seats),
        ]

    def _too_many(self, left: list[str], room: int) -> Sequence[str]:
        gone = []
        while len(left) > room:
            counts = Counter(self._entries[job].visitor for job in left)
            gone.append(max(left, key=lambda job: counts[self._entries[job].visitor]))  # the first of equals
            left.remove(gone[-1])
        return gone

    def enter(self, job: str, by: Submitter, load: Load, time_limit: float) -> None:
        """A new job waits for its turn; `JobRefused` where too many do."""
        self._queue.add(job, by)
        self._entries[job] = _Entry(load, time_limit, by.visitor, load.size)

    def again(self, job: str, by: Submitter, load: Load, time_limit: float) -> None:
        """A job that was lost with its host waits for its turn once more, before those that have not begun."""
        self._entries[job] = _Entry(load, time_limit, by.visitor, load.size)
        self._back.append(job)

    def resize(self, slots: int) -> None:
        """So many places from now on; who has one keeps it."""
        self._slots = slots

    def next(self) -> str | None:
        """The job whose turn it is, which now holds a place; None where no place is free or nobody waits."""
        if not ((order := self._order()) and self._slots):
            return None
        if len(set(self._holders.values())) >= self._slots:
            if not self._resting:
                return None
            resting = next(iter(self._resting))
            del self._resting[resting], self._holders[resting]
            self._parked[resting] = None
        self._came_back = bool(self._back) and order[0] == self._back[0]
        job = self._back.popleft() if self._came_back else self._queue.take()
        if job is None:
            return None
        self._holders[job] = next(self._places)
        self._entries[job].size = self._entries[job].load.size
        self._entries[job].run(self._clock())
        return job

    def join(self, job: str, holder: str) -> None:
        """A job that waits shares the place of one that has just got it."""
        if job in self._back:
            self._back.remove(job)
        else:
            self._queue.board(job)
        self._holders[job] = self._holders[holder]
        self._entries[job].run(self._clock())
        together = [each for each, place in self._holders.items() if place == self._holders[holder]]
        size = sum(self._entries[each].load.size for each in together)
        for each in together:
            self._entries[each].size = size

    def get_off(self, job: str) -> None:
        """A job leaves those that it shares its place with, is paused, and has no process."""
        del self._holders[job]
        entry = self._entries[job]
        entry.rest(self._clock())
        entry.seated, entry.size = True, entry.load.size
        self._parked[job] = None

    def rest(self, job: str) -> None:
        """A job that has a place is paused: it may lose it."""
        if job in self._holders and job not in self._resting:
            self._resting[job] = None
            self._entries[job].rest(self._clock())

    def stay(self, job: str) -> None:
        """A job that waits is not to begin, or to go on, any more; nothing where it does not wait."""
        self._queue.remove(job)
        fresh = job in self._entries and not self._entries[job].begun
        if fresh:
            del self._entries[job]
        if job in self._back:
            self._back.remove(job)
            if not fresh:
                self._parked[job] = None

    def wake(self, job: str) -> bool:
        """A paused job is to go on: whether it may at once, else its turn comes."""
        if job in self._parked:
            del self._parked[job]
            self._back.append(job)
        if job not in self._holders:
            return False
        self._resting.pop(job, None)
        self._entries[job].run(self._clock())
        return True

    def leave(self, job: str, finished: bool = True) -> None:
        """A job is over, and its process with it. finished: whether it came to its own end."""
        left = 0.0 if finished else self._told(job)
        self.stay(job)
        for those in (self._holders, self._resting, self._parked):
            those.pop(job, None)
        entry = self._entries.pop(job, None)
        if entry is not None and left is not None:
            self._paces.learn(Load(entry.load.likes, entry.size), entry.ran(self._clock()) + left)

    def lose(self, jobs: Collection[str] | None = None) -> Sequence[str]:
        """The host is gone, and what had begun with it: which jobs those were. Those that wait go on waiting.

        jobs: those whose processes are gone, where they are not all.
        """
        begun = [job for job, entry in self._entries.items() if entry.begun and not entry.seated]
        lost = [job for job in begun if jobs is None or job in jobs]
        for job in lost:
            self._entries.pop(job)
            for those in (self._holders, self._resting, self._parked):
                those.pop(job, None)
        self._back = deque(job for job in self._back if job in self._entries)
        return lost

    def is_back(self, job: str) -> bool:
        """Whether a paused job waits for a place to go on."""
        return job in self._back

    def prospect(self, job: str) -> tuple[int, float]:
        """How many are in line before a job that waits, and in how many seconds it is expected to begin."""
        order = self._order()
        if job not in order:
            return 0, 0.0
        now = self._clock()
        on, busy = self._paces_of_holders(now), dict[int, float]()
        for holder, place in self._holders.items():
            left = 0.0 if holder in self._resting else self._left(holder, now, on)
            busy[place] = max(left, busy.get(place, 0.0))
        free = [0.0] * max(max(self._slots, 1) - len(busy), 0) + list(busy.values())
        heapq.heapify(free)
        position = order.index(job)
        for ahead in order[:position]:
            heapq.heapreplace(free, free[0] + self._left(ahead, now, on))
        return position, free[0]

    def _left(self, job: str, now: float, on: Paces) -> float:
        """How many seconds more a job is expected to run.

        One that does not say so itself takes what those took that were here, else what those take that are `on`, else
        a guess; and one that is late, as long as it is late.
        """
        entry = self._entries[job]
        ran = entry.ran(now)
        left = self._told(job) if entry.begun else None
        if left is None:
            load = Load(entry.load.likes, entry.size)
            expected = self._paces.expect(load) or on.expect(load) or GUESS
            left = max(expected - ran, ran - expected, LEFT * expected if entry.begun else 0.0)
        return max(min(left, entry.time_limit - ran), 0.0)

    def _paces_of_holders(self, now: float) -> Paces:
        """What those that are on take by their own words."""
        on = Paces()
        for job in self._holders:
            left, entry = self._told(job), self._entries[job]
            if left is not None:
                on.learn(Load(entry.load.likes, entry.size), entry.ran(now) + left)
        return on

    def _order(self) -> Sequence[str]:
        """All that wait for a place, the next one first."""
        order, back, new = list[str](), deque(self._back), deque(self._queue.order)
        came_back = self._came_back
        while back or new:
            came_back = bool(back) and not (came_back and new)
            order.append(back.popleft() if came_back else new.popleft())
        return order
