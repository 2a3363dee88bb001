"""The one engine of this server, and who looks at which of its jobs."""

from __future__ import annotations

import secrets
from ipaddress import ip_address
from typing import Protocol

import streamlit as st

from replora.jobs.cluster.settings import ClusterSettings, EngineSettings, require_ray
from replora.jobs.engine import Engine, Submitter, UnknownJob
from replora.jobs.local import LocalEngine
from replora.jobs.turns.limits import PUBLIC_SECONDS, JobSettings, Waiting
from replora.memory.machine import default_slots
from replora.ui.live.private import PrivateEngine
from replora.ui.visitor.lasting import OfProcess, OfSession
from replora.ui.visitor.own_data import holds
from replora.ui.visitor.owner import holds_key
from replora.ui.visitor.who import visitor_address, visitor_name

TASKS = "live.tasks"  # which own data the runs are on that this session has asked for


class WatchedEngine(Engine, Protocol):
    """An engine that ends the jobs nobody looks at any more."""

    @property
    def ready(self) -> bool: ...

    @property
    def healthy(self) -> bool: ...

    def watch(self, job: str, viewer: str) -> None: ...

    def unwatch(self, job: str, viewer: str) -> None: ...

    def close(self) -> None: ...


class Watch:
    """What one session looks at: at most one job."""

    def __init__(self, engine: WatchedEngine) -> None:
        self._engine = engine
        self._viewer = secrets.token_hex(8)
        self._job: str | None = None

    def show(self, job: str | None) -> None:
        """From now on this session looks at `job`, or at none."""
        if job == self._job:
            return
        self.close()
        if job is not None:
            self._engine.watch(job, self._viewer)
        self._job = job

    def close(self) -> None:
        """The session has ended or looks elsewhere."""
        job, self._job = self._job, None
        if job is None:
            return
        try:
            self._engine.unwatch(job, self._viewer)
        except UnknownJob:
            return  # forgotten by the engine: nobody needs to leave it


def connect() -> WatchedEngine:
    """The engine behind this app, as the environment sets it: jobs run on this machine, or on a cluster.

    `UserError`: it is set wrongly, or to a cluster without what that takes.
    """
    settings, waiting = job_settings()
    return LocalEngine(
        slots=settings.slots,
        shared_runs=settings.shared_runs,
        max_paused=settings.max_paused,
        waiting=waiting,
        time_limit=settings.job_seconds,
        orphan_seconds=settings.orphan_seconds,
        cluster=chosen_cluster(),
    )


def chosen_cluster() -> ClusterSettings | None:
    """The cluster that jobs run on by the environment, if any; `UserError`: it is set wrongly, or Ray is not here."""
    if EngineSettings.from_environment().engine == "local":
        return None
    require_ray()
    return ClusterSettings.from_environment()


def job_settings() -> tuple[JobSettings, Waiting]:
    """What the environment says of jobs; where others than this machine reach the server, a job may take less time."""
    shorter = {} if is_local(st.get_option("server.address")) else {"job_seconds": PUBLIC_SECONDS}
    return JobSettings.from_environment(slots=default_slots(), **shorter), Waiting.from_environment()


def is_local(address: str | None) -> bool:
    """Whether a server that is bound to an address can be reached from its own machine only; None is any address."""
    if address is None:
        return False
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


# all sessions share it; it returns at once, while its host loads the models
shared_engine: OfProcess[WatchedEngine] = OfProcess(lambda: connect(), lambda shared: shared.close())


def healthy() -> bool:
    """Whether jobs come to be run here; nothing speaks against it before the first one."""
    made = shared_engine.made
    return made is None or made.healthy


def engine() -> WatchedEngine:
    """The engine as this session may use it."""
    tasks: dict[str, str] = st.session_state.setdefault(TASKS, {})
    by = Submitter(visitor_name(), visitor_address(), first=holds_key())
    return PrivateEngine(shared_engine(), by, holds, tasks)


# a session's watch, which leaves its job when the tab closes or loses its connection
watch: OfSession[Watch] = OfSession(lambda: Watch(engine()), Watch.close)
