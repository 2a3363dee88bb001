"""Which waiting jobs run together in one process, and who is aboard: pure bookkeeping, without locks and threads.

Races that differ in their runs alone, and are after the same step, fit. Nobody loses by it: what a batch takes grows
less than its runs, a job that leaves lets the others go on, and one that loses its batch is run by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Any

from replora.config import Race, Run
from replora.jobs.engine import Action
from replora.jobs.job_record import JobRecord
from replora.jobs.messages import encode
from replora.memory.estimate import batch_bytes, race_bytes
from replora.memory.machine import job_bytes
from replora.options import UserError

SHARED_KIND = "race"
UNEQUAL = 2.0  # times what a run of the lightest race needs: at each step it would wait for those of a heavier one
SHARE_OF_LIMIT = 0.5  # of its time limit that a job is expected to spend in a batch, at most

Send = Callable[[bytes], None]


class Rides:
    """most_runs: that train as one batch; 1: no jobs share a process. send: a message for the host."""

    def __init__(self, most_runs: int, send: Send) -> None:
        self._most_runs = most_runs
        self._send = send
        self._aboard: dict[str, list[JobRecord]] = {}  # by the ride's id, until its process is gone
        self._numbers = count()

    def companions(
        self, first: JobRecord, waiting: Sequence[JobRecord], expect: Callable[[str], float | None], room: float
    ) -> list[JobRecord]:
        """Which of those that wait, in their order, run together with the `first`.

        expect: in how many seconds a job is expected to be done by itself, if that is known. room: bytes for them.
        Who passes over others that do not fit brings one job, so that nobody takes several turns of others at once.
        """
        fit, taken, passed = _fit(first), [first], False
        alone = expect(first.job)
        if self._most_runs == 1 or fit is None or alone is None:
            return []
        runs, seconds, visitors = len(_race(first).runs), alone, {first.by.visitor}
        for record in waiting:
            if _fit(record) != fit:
                passed = True
                continue
            limit = min(each.time_limit for each in (*taken, record))
            longer = seconds + (expect(record.job) or alone)
            if longer > SHARE_OF_LIMIT * limit or runs + len(_race(record).runs) > self._most_runs:
                break
            if passed and record.by.visitor and record.by.visitor in visitors:
                continue
            if not _go_well([*map(_race, taken), _race(record)], room):
                passed = True
                continue
            runs += len(_race(record).runs)
            taken.append(record)
            seconds = longer
            visitors.add(record.by.visitor)
        return taken[1:]

    def start(self, records: Sequence[JobRecord], folder: Callable[[str], Any], time_limit: float) -> None:
        """Has the host run these jobs together."""
        ride = f"ride {next(self._numbers)}"
        self._aboard[ride] = list(records)
        for record in records:
            record.ride, record.seat = ride, None
            record.control.mode = ""  # all go, and tell nothing else for it: each can be repeated
        jobs = [
            {
                "job": record.job,
                "spec": record.spec,
                "folder": str(folder(record.job)),
                "rate": record.take_control()["rate"],
            }
            for record in records
        ]
        self._send(
            encode(do="start", job=ride, kind=SHARED_KIND, jobs=jobs, time_limit=time_limit, sharing=records[0].sharing)
        )

    def steer(self, record: JobRecord) -> None:
        """Passes on what is asked of a job that is aboard: for a pause or single steps it leaves with its seat."""
        control = record.control
        if control.mode in (Action.PAUSE, Action.STEP):
            if not record.leaving:
                record.leaving = True
                self._ask(record, leave="seat")
            return
        if record.leaving:
            return  # what is asked is for when it goes on
        control.mode = ""
        if control.rate is not None and record.heard:
            record.heard = False
            self._ask(record, rate=record.take_control()["rate"])

    def cancel(self, record: JobRecord) -> bool:
        """The job leaves; whether it has left the process to others, else that is ended and told of once it is gone."""
        ride = record.ride
        others = [each for each in self._aboard[ride] if each is not record]
        if any(not each.state.final for each in others):
            self._aboard[ride] = others
            record.ride = ""
            self._ask(record, ride, leave="gone")
            return True
        self._send(encode(do="end", job=ride))
        return False

    def got_off(self, record: JobRecord, step: int, rate: float | None) -> None:
        """The job has left its seat, after so many steps, and is in no process now; rate: not yet trained at."""
        record.control.rate = rate if record.control.rate is None else record.control.rate
        self._aboard[record.ride].remove(record)
        record.ride, record.leaving, record.seat = "", False, step
        if record.control.mode == Action.PAUSE:
            record.control.mode = ""

    def stays(self, record: JobRecord) -> None:
        """The job could not leave its seat, and goes on where it is."""
        record.leaving, record.control.mode, record.control.steps = False, "", 0

    def over(self, ride: str) -> Sequence[JobRecord] | None:
        """The process of this ride is gone: who was aboard to the end; None where there is no such ride."""
        records = self._aboard.pop(ride, None)
        for record in records or ():
            record.ride, record.leaving = "", False
        return records

    def lose(self, processes: Collection[str] | None = None) -> Collection[str]:
        """All processes are gone with their host, or these: the jobs of these, by their own ids or by a ride's."""
        gone = set(processes or ())
        for ride in [ride for ride in self._aboard if processes is None or ride in gone]:
            gone |= {record.job for record in self.over(ride) or ()}
        return gone

    def _ask(self, record: JobRecord, ride: str = "", **what: Any) -> None:
        self._send(encode(do="control", job=ride or record.ride, control={"job": record.job, **what}))


def _fit(record: JobRecord) -> tuple[Race, int | None] | None:
    """What jobs that run together have in common; None for one that runs by itself.

    So does what is repeated: it may be what ended the host, and those with it could not be repeated once more.
    """
    apart = record.kind != SHARED_KIND or record.alone or record.passed is not None
    if apart or record.control.mode not in ("", Action.RESUME):
        return None
    return dataclasses.replace(_race(record), runs=(Run(),)), record.seat


def _go_well(races: Sequence[Race], room: float) -> bool:
    """Whether one batch is good for all: it fits into a job's memory and the room, and no race is much heavier."""
    together = dataclasses.replace(races[0], runs=tuple(run for race in races for run in race.runs))
    try:
        weights = [batch_bytes(race, [run.method for run in race.runs]) / len(race.runs) for race in races]
        return max(weights) <= UNEQUAL * min(weights) and race_bytes(together) <= min(job_bytes(), room)
    except UserError:
        return False  # their task is not here any more, which each race says by itself


def _race(record: JobRecord) -> Race:
    return Race.from_dict(record.spec)
