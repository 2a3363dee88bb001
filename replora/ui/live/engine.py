"""The one engine of this server, and who looks at which of its jobs."""

from __future__ import annotations

import secrets
from typing import Protocol

import streamlit as st

from replora.jobs.engine import Engine, UnknownJob
from replora.jobs.local import LocalEngine


class WatchedEngine(Engine, Protocol):
    """An engine that ends the jobs nobody looks at any more."""

    @property
    def ready(self) -> bool: ...

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
    """The engine behind this app: the local one."""
    return LocalEngine()


@st.cache_resource(show_spinner=False, on_release=lambda engine: engine.close())
def engine() -> WatchedEngine:
    """The engine that all sessions share; returns at once, while its host loads the models."""
    return connect()


@st.cache_resource(show_spinner=False, scope="session", on_release=Watch.close)
def watch() -> Watch:
    """This session's watch; Streamlit releases it when the tab closes."""
    return Watch(engine())
