"""What the environment says of the jobs of this server: how many run and wait, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from replora.config import MAX_RUNS
from replora.memory.machine import JobLimits
from replora.options import option, same_as
from replora.settings import Settings

PUBLIC_SECONDS = 600.0  # what a job may take where strangers wait, unless the environment says otherwise


@dataclass(frozen=True, kw_only=True)
class Waiting(Settings):
    """How many jobs may wait: of all, of one visitor, from one address."""

    max_waiting: int = option(60, "Waiting", "How many runs may wait.", low=1, high=1000)
    max_waiting_visitor: int = option(3, "Waiting of one visitor", "How many of one.", low=1, high=1000)
    max_waiting_address: int = option(40, "Waiting of one address", "How many from one.", low=1, high=1000)


@dataclass(frozen=True, kw_only=True)
class JobSettings(Settings):
    """How many jobs run side by side and stay paused beside them, and how long they and their orphans run."""

    slots: int = same_as(JobLimits, "slots")
    shared_runs: int = option(
        8, "Runs together", "How many runs of waiting races train as one batch; 1: none.", low=1, high=MAX_RUNS
    )
    max_paused: int = option(8, "Paused", "How many paused runs stay while others are on.", low=1, high=1000)
    job_seconds: float = option(
        900.0, "Time of a run", "Pauses included, but those without a process.", unit="s", low=1, high=1e6
    )
    orphan_seconds: float = option(20.0, "Time alone", "Of a run nobody watches.", unit="s", low=0, high=1e6)
