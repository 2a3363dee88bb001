"""Processes killed at random while visitors' jobs run and wait: nobody else feels it, and nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import pytest
from processes import wait_for

from replora.jobs import host_keeper
from replora.jobs.dispatcher import HOST_LOST
from replora.jobs.engine import JobState, Submitter
from replora.jobs.host_process import why
from replora.jobs.local import LocalEngine
from replora.jobs.storage.database import FILE
from replora.jobs.storage.history import History

KILLS = 30
JOBS = 40
STEPS = 20
WEB = psutil.Process()


@dataclass
class Killer:
    """Kills a host or a job's process of an engine, as chance has it."""

    chance: random.Random
    killed: set[int] = field(default_factory=set)
    hosts: int = 0

    def strike(self, host: int | None) -> None:
        """Kills one of them, if there is any; others on this machine are let alone."""
        if host is None or host in self.killed:
            return
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # one that has just ended by itself
            children = [each.pid for each in psutil.Process(host).children() if each.pid not in self.killed]
            target = host if self.chance.random() < 0.3 or not children else self.chance.choice(children)
            os.kill(target, signal.SIGKILL)
            self.killed.add(target)
            self.hosts += target == host


def told_as_ever(lines: Sequence[str]) -> bool:
    """Whether these are all events of a job that nobody disturbed."""
    events = [json.loads(line) for line in lines]
    steps = [each["step"] for each in events if each["event"] == "step"]
    return steps == list(range(1, STEPS + 1)) and events[-1]["event"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_kills_at_random_end_those_they_hit_and_nobody_else(
    engines: Callable[..., LocalEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(host_keeper, "LONGEST_PAUSE", 0.02)
    before = {each.pid for each in WEB.children(recursive=True)}
    engine, killer = engines(slots=2, repeatable=("count",)), Killer(random.Random(seed))
    jobs: list[str] = []
    while len(killer.killed) < KILLS or len(jobs) < JOBS:
        while sum(not engine.status(job).state.final for job in jobs) < 5:
            visitor = Submitter(f"visitor {len(jobs)}")
            jobs.append(engine.submit("count", {"steps": STEPS, "seconds": 0.005}, by=visitor))
        time.sleep(killer.chance.uniform(0.0, 0.3))
        wait_for(lambda: engine.ready)
        if len(killer.killed) < KILLS:
            killer.strike(engine._host.process)
    wait_for(lambda: all(engine.status(job).state.final for job in jobs))
    sixth = tmp_path / "sixth"
    sixth.touch()
    jobs.append(engine.submit("count", {"steps": STEPS, "held": {"step": 6, "by": str(sixth)}}))
    host = json.loads(wait_for(partial(engine.events, jobs[-1]))[0])["host"]
    os.kill(host, signal.SIGKILL)
    killer.killed.add(host)
    killer.hosts += 1
    sixth.unlink()
    wait_for(lambda: engine.status(jobs[-1]).state.final)
    untold = survived = 0
    for job in jobs:
        status, lines = engine.status(job), engine.events(job)
        if status.state is JobState.FINISHED:
            assert told_as_ever(lines)
            survived += json.loads(lines[0])["host"] in killer.killed
            continue
        assert (status.state, status.message) in [(JobState.FAILED, HOST_LOST), (JobState.FAILED, why(-9, False, 0.0))]
        untold += not lines
        if lines:
            begun = json.loads(lines[0])
            assert killer.killed & {begun["pid"], begun["host"]}
    assert untold <= 2 * killer.hosts + (len(killer.killed) - killer.hosts)
    assert survived  # a lost job is run again, once: the last one at least, which nothing hit twice
    last = engine.submit("count", {"steps": STEPS})
    wait_for(lambda: engine.status(last).state is JobState.FINISHED)

    told = {job: (engine.status(job), list(engine.events(job))) for job in jobs}
    engine.close()
    wait_for(lambda: {each.pid for each in WEB.children(recursive=True)} <= before)
    assert not [pid for pid in killer.killed if psutil.pid_exists(pid)]  # no zombie either
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = {row.id: row for row in History(tmp_path / "data").list(limit=1000)}
    later = engines()
    for job, (status, lines) in told.items():
        assert (rows[job].state, rows[job].message) == (status.state, status.message)
        assert (later.status(job).state, later.events(job)) == (status.state, lines)
