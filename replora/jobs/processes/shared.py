"""The process of jobs that run together: one function for all of them, each told its own lines and asked by itself.

Where it fails all are lost with it, and nobody is told why: each is to be run again by itself, and then says so.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from replora.jobs.kinds import shared_function
from replora.jobs.messages import decode, encode
from replora.jobs.processes.job import Notices, begin, checked, leave, make_way, reserved, use_threads
from replora.memory.confine import confine

FAILED = 1  # exit status

log = logging.getLogger(__name__)


class SharedLink:
    """The jobs' link to the web process; where the host is gone, the process ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rates: dict[str, float] = {}
        self._leaving: dict[str, bool] = {}

    def send(self, **message: Any) -> None:
        """One message; waits while the host is busy."""
        try:
            self._connection.send_bytes(encode(**message))
        except OSError:
            os._exit(FAILED)

    def new_rates(self) -> Mapping[str, float]:
        """The learning rates asked for since the last call, by job."""
        self._hear()
        rates, self._rates = self._rates, {}
        return rates

    def leaving(self) -> Mapping[str, bool]:
        """Which jobs are to leave since the last call, and whether they go on by themselves."""
        self._hear()
        leaving, self._leaving = self._leaving, {}
        return leaving

    def unused_rate(self, job: str) -> float | None:
        """The learning rate asked for a job that leaves before a step is taken at it."""
        return self._rates.pop(job, None)

    def _hear(self) -> None:
        try:
            while self._connection.poll():
                self.obey(**decode(self._connection.recv_bytes()))
        except (EOFError, OSError):
            os._exit(FAILED)

    def obey(self, job: str, rate: float | None = None, leave: str = "") -> None:
        """Takes what is asked of one job."""
        if rate is not None:
            self._rates[job] = rate
            self.send(job=job, heard=True)
        if leave:
            self._leaving[job] = leave == "seat"


def run_shared(
    connection: Connection,
    kind: str,
    shared: Mapping[str, str],
    jobs: Sequence[Mapping[str, Any]],
    threads: int | None,
    host: int,
    inherited: Sequence[Connection] = (),
) -> NoReturn:
    """The whole life of the process; `jobs` as the host was told them."""
    begin(host, inherited)
    make_way()
    link = SharedLink(connection)
    for facts in jobs:
        if facts["rate"] is not None:
            link.obey(facts["job"], rate=facts["rate"])
    aboard = {facts["job"]: facts["folder"] for facts in jobs}

    def warn(record: logging.LogRecord) -> None:
        about = getattr(record, "folder", None)  # of the one job that it concerns, where it is not all of them
        for job, folder in aboard.items():
            if about in (None, folder):
                link.send(job=job, notice=record.getMessage())

    logging.getLogger("replora").addHandler(Notices(warn))
    try:
        confine(reserved(jobs[0]["spec"]))
        if threads is not None:
            use_threads(threads)
        asked = {facts["job"]: (facts["spec"], Path(facts["folder"])) for facts in jobs}
        for job, told in shared_function(kind, shared)(asked, link.new_rates, link.leaving):
            if isinstance(told, int):
                del aboard[job]
                link.send(job=job, off=told, rate=link.unused_rate(job))
            elif isinstance(told, OSError):
                link.send(job=job, stays=f"This run could not be paused: {told.strerror or type(told).__name__}.")
            else:
                link.send(job=job, line=checked(told))
    except BaseException:  # whatever it is, SystemExit included
        log.error("Jobs of kind %s that ran together have failed.", kind, exc_info=True)
        leave(FAILED)
    for job in aboard:
        link.send(job=job, end="finished", message="")
    sys.stdout.flush()
    leave(0)
