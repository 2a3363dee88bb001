"""The keeper of the job host by itself: its pauses, its health, and that it never gives up."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from processes import alive, wait_for

from replora.jobs import host_keeper
from replora.jobs.host_keeper import HostKeeper, pause_after
from replora.jobs.messages import HostSettings, encode

SETTINGS = HostSettings(kinds={"count": "job_kinds:count"}, answerer="", preload=(), threads=None, start_method=None)


class Kept:
    """A keeper, what its hosts said, and how many were lost."""

    def __init__(self) -> None:
        self.said: list[Mapping[str, Any]] = []
        self.lost = 0
        self.keeper = HostKeeper(SETTINGS, self.said.append, self._lose)

    def _lose(self) -> None:
        self.lost += 1

    def kill(self) -> None:
        """Kills the host once it is ready, and waits until that is known."""
        pid, lost = wait_for(lambda: self.keeper.ready and self.keeper.process), self.lost
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.lost > lost)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Kept]]:
    monkeypatch.setattr(host_keeper, "LONGEST_PAUSE", 0.01)
    made: list[Kept] = []

    def make() -> Kept:
        made.append(Kept())
        return made[-1]

    yield make
    for each in made:
        each.keeper.close(3.0)
        assert not each.keeper.is_alive


def test_pauses_grow_to_a_minute() -> None:
    assert [pause_after(ends) for ends in range(10)] == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(10**9) == 60


@pytest.mark.slow
def test_one_end_is_an_accident_and_two_are_not(kept: Callable[[], Kept]) -> None:
    here = kept()
    healthy = []
    for _ in range(2):
        here.kill()
        healthy.append(here.keeper.healthy)
    assert healthy == [True, False]
    for _ in range(10):
        here.kill()
    wait_for(lambda: here.keeper.ready)
    assert not here.keeper.healthy
    assert sum("ready" in each for each in here.said) == 13


def test_a_job_that_ends_and_a_host_that_stays_are_signs_of_health(
    kept: Callable[[], Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = kept()
    for _ in range(2):
        here.kill()
    wait_for(lambda: here.keeper.ready)
    control = {"mode": "", "steps": 0, "rate": None}
    job = {"job": "some_job_1", "kind": "count", "spec": {"steps": 1}, "folder": ".", "control": control}
    here.keeper.send(encode(do="start", time_limit=30.0, sharing=1, **job))
    wait_for(lambda: any("exit" in each for each in here.said))
    wait_for(lambda: here.keeper.healthy)
    for _ in range(3):
        here.kill()
    wait_for(lambda: here.keeper.ready and not here.keeper.healthy)
    monkeypatch.setattr(host_keeper, "STEADY_SECONDS", 0.0)
    wait_for(lambda: here.keeper.healthy)
    here.kill()
    assert host_keeper.pause_after(here.keeper._ends) == 0


def test_what_nobody_understands_ends_the_host_and_not_the_keeper(kept: Callable[[], Kept]) -> None:
    here = kept()

    def heed(message: Mapping[str, Any]) -> None:
        here.said.append(message)
        if len(here.said) < 3:
            raise KeyError("job")

    here.keeper._heed = heed
    wait_for(lambda: len(here.said) >= 3 and here.keeper.ready)
    assert alive(wait_for(lambda: here.keeper.process))


def test_a_keeper_that_pauses_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    here = Kept()
    wait_for(lambda: here.lost >= 2)
    assert (here.keeper.ready, here.keeper.healthy, here.keeper.process) == (False, False, None)
    here.keeper.send(b"{}")
    here.keeper.close(3.0)
    assert not here.keeper.is_alive
