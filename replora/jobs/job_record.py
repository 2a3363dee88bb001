"""What an engine knows of one job while it is in memory."""

from __future__ import annotations

import json
import math
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replora.config import Race
from replora.jobs.engine import JobRefused, JobState, JobStatus, Submitter
from replora.jobs.messages import Control, encode
from replora.jobs.turns.pace import PROGRESS, Load, load_of, seconds_left
from replora.memory.admission import check_race, needed_bytes
from replora.options import UserError
from replora.studies.kinds import study_from_dict


@dataclass(eq=False)
class JobRecord:
    """All that is known of one job here; `heard` is false while a control of mode `told` is on its way to its process.

    `notice` says why its lines are not stored, or what is wrong with its result; `unlisted` why its state is not;
    `warned` what the job itself warns of. `steered`: something was asked of its process; `passed`: how many lines of a
    repetition, but for progress, are still to be passed over; None where it has never been repeated. `ride`: the
    process that it shares with others, if any; `leaving`: it was told to leave that; `seat`: the step after which it
    did, its seat in its folder, where it is in no process; `alone`: it is to share none any more;
    `sharing`: how many processes shared the machine's threads with its own when it began, 0 before: repeated it has as
    many, since their number changes the last bits of what it tells. `need`: bytes that it is reckoned to take.
    """

    job: str
    kind: str
    spec: Mapping[str, Any]
    time_limit: float
    by: Submitter
    state: JobState = JobState.QUEUED
    lines: list[str] = field(default_factory=list)
    message: str = ""
    notice: str = ""
    unlisted: str = ""
    warned: str = ""
    control: Control = field(default_factory=Control)
    heard: bool = True
    told: str = ""
    steered: bool = False
    passed: int | None = None
    ride: str = ""
    leaving: bool = False
    seat: int | None = None
    alone: bool = False
    sharing: int = 0
    need: int = 0
    viewers: set[str] = field(default_factory=set)
    orphaned: threading.Timer | None = None
    stored: bool = False  # as a whole, lines and state

    def watch(self, viewer: str) -> None:
        """Somebody looks at the job."""
        self.viewers.add(viewer)
        self.forget_timer()

    def unwatch(self, viewer: str, seconds: float, end: Callable[[JobRecord], None]) -> None:
        """A viewer has left; once the last has, `end` is called after so many seconds, in a thread of its own."""
        if viewer not in self.viewers:
            return
        self.viewers.remove(viewer)
        if not self.viewers:
            self.orphaned = threading.Timer(seconds, end, (self,))
            self.orphaned.daemon = True
            self.orphaned.start()

    def forget_timer(self) -> None:
        """Nobody ends the job any more because its viewers have left."""
        if self.orphaned is not None:
            self.orphaned.cancel()
            self.orphaned = None

    @property
    def load(self) -> Load:
        """What there is to do."""
        return load_of(self.kind, self.spec)

    def seconds_left(self) -> float | None:
        """What it still needs by its own words; None where it has told no pace, or tells it all once more."""
        return None if self.passed else seconds_left(self.spec, self.lines)

    @property
    def stored_notice(self) -> str:
        """What there is to say of the job, whether or not its state can be stored."""
        return f"{self.notice} {self.warned}".strip()

    def status(self) -> JobStatus:
        """How the job stands by itself."""
        return JobStatus(
            job=self.job,
            kind=self.kind,
            state=self.state,
            spec=self.spec,
            events=len(self.lines),
            message=self.message,
            notice=self.stored_notice or self.unlisted,
            visitor=self.by.visitor,
        )

    def start(self, folder: Path, time_limit: float) -> bytes:
        """The message that has a host start the job, which leaves in `folder` what it does not tell.

        time_limit: what is left of its own, in seconds.
        """
        self.seat = None
        return encode(
            do="start",
            job=self.job,
            kind=self.kind,
            spec=self.spec,
            folder=str(folder),
            time_limit=time_limit,
            sharing=self.sharing,
            control=self.take_control(),
        )

    def take_control(self) -> dict[str, Any]:
        """What is asked of the job's process."""
        self.steered = self.steered or bool(self.control)
        return self.control.take()

    @property
    def may_repeat(self) -> bool:
        """Not twice, since it may be what ended the host, and not where more than its spec says what it tells."""
        return not self.steered and self.passed is None

    def repeat(self) -> None:
        """The process is lost, and the job waits for its turn again, to tell the same once more."""
        told = sum(not line.startswith(PROGRESS) for line in self.lines)
        self.state, self.passed, self.seat = JobState.QUEUED, told, None

    def tell(self, line: str) -> bool:
        """Takes one more line of the process; whether it is new.

        How far a study is it tells whenever it likes, and again only once it is further than it was.
        """
        if self.passed is not None and line.startswith(PROGRESS):
            if self.passed or _share(line) <= max(map(_share, filter(_tells_progress, self.lines)), default=0.0):
                return False
        elif self.passed:
            self.passed -= 1
            return False
        self.lines.append(line)
        return True


def _tells_progress(line: str) -> bool:
    return line.startswith(PROGRESS)


def _share(line: str) -> float:
    return float(json.loads(line)["share"])


def check_job(kind: str, spec: Mapping[str, Any]) -> None:
    """`JobRefused` where a race or study cannot have a spec, or would need more memory than a job may take."""
    try:
        if kind == "race":
            check_race(Race.asked(spec))
        elif kind == "study":
            study_from_dict(spec).check_memory()
    except UserError as error:
        raise JobRefused(str(error)) from error


def new_record(kind: str, spec: Mapping[str, Any], time_limit: float, by: Submitter) -> JobRecord:
    """A job that begins to wait; `JobRefused` where the spec is not plain JSON or the limit is no time."""
    if not (math.isfinite(time_limit) and time_limit > 0):
        raise JobRefused(f"The time limit of a job must be a number of seconds above 0, got {time_limit!r}.")
    try:
        plain = json.loads(json.dumps(dict(spec), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise JobRefused(f"The spec of a job must hold plain JSON values: {error}.") from None
    return JobRecord(secrets.token_urlsafe(8), kind, plain, time_limit, by, need=needed_bytes(kind, plain))
