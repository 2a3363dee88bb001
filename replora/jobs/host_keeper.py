"""Keeps a job host running: starts one, hears it out and starts the next when it ends, until it is closed.

A thread does that; another one speaks to the host, so that no caller waits for it. A host that ends by accident is
followed at once. The more hosts end in a row, the longer is the pause before the next one, but there is always a next.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from replora.jobs.host_process import HostProcess, start_process
from replora.jobs.messages import HostSettings, decode, encode

LONGEST_PAUSE = 60.0  # seconds
STEADY_SECONDS = 30.0  # a host that was ready for so long is well, and ended by accident if it ends
ACCIDENTS = 1  # so many ends in a row say nothing of the next host
READY_SECONDS = 300.0  # a cold disk is slow
KILLED_SECONDS = 30.0  # for the system to take a killed host away

log = logging.getLogger(__name__)


def pause_after(ends: int) -> float:
    """Seconds until the next host is started after so many ends in a row: 0, 1, 2, 4, and so on up to a minute."""
    return 0.0 if ends <= ACCIDENTS else min(2.0 ** min(ends - ACCIDENTS - 1, 10), LONGEST_PAUSE)


class HostKeeper:
    """Safe to use from many threads; runs from its making on.

    settings: what each host is told. heed: is given all messages of hosts; lost: is called after the end of each host,
    before the next one starts. Both are called by the keeper's thread, which holds no lock then.
    """

    def __init__(
        self,
        settings: HostSettings,
        heed: Callable[[Mapping[str, Any]], None],
        lost: Callable[[], None],
    ) -> None:
        self._settings, self._heed, self._lost = settings, heed, lost
        self._lock = threading.Lock()  # guards the four below
        self._host: HostProcess | None = None
        self._ready_since: float | None = None
        self._ends = 0  # in a row, since a job's process last ended under its host
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="replora-keeper", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the host is loaded."""
        with self._lock:
            return self._ready_since is not None

    @property
    def healthy(self) -> bool:
        """False while hosts end in a row, until one has stayed for a while or brought a job to its end."""
        with self._lock:
            return self._ends <= ACCIDENTS or self._is_steady()

    @property
    def process(self) -> int | None:
        """The process id of the host, if there is one."""
        with self._lock:
            return self._host.process.pid if self._host else None

    @property
    def is_alive(self) -> bool:
        """Whether the keeper's thread runs."""
        return self._thread.is_alive()

    def send(self, message: bytes) -> None:
        """A message for the host; where there is none, nobody hears it. Returns at once."""
        with self._lock:
            if self._host is not None:
                self._host.outbox.put(message)

    def close(self, seconds: float) -> None:
        """Ends the host and the thread; the host is given so long to end its jobs."""
        with self._lock:
            self._closing.set()
            host = self._host
            if host is not None and self._ready_since is not None:
                host.outbox.put(encode(do="stop"))
            elif host is not None:
                host.process.kill()  # it loads, and has no jobs yet
        self._thread.join(seconds)
        if self._thread.is_alive() and host is not None:
            host.process.kill()
            self._thread.join(KILLED_SECONDS)

    def _is_steady(self) -> bool:
        return self._ready_since is not None and time.monotonic() - self._ready_since >= STEADY_SECONDS

    def _keep(self) -> None:
        while not self._closing.is_set():
            try:
                host = self._start()
            except OSError:
                log.exception("The job host cannot be started.")
            else:
                if host is not None:
                    self._listen(host)
            with self._lock:
                self._ends = 1 if self._is_steady() else self._ends + 1
                self._host, self._ready_since = None, None
                pause = pause_after(self._ends)
            self._lost()
            self._closing.wait(pause)

    def _start(self) -> HostProcess | None:
        """A new host, or None where the keeper closes; OSError where the system starts none."""
        ours, theirs = multiprocessing.Pipe()
        with self._lock:
            if self._closing.is_set():
                ours.close()
                theirs.close()
                return None
            try:
                process = start_process(replace(self._settings, connection=theirs.fileno()))
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            self._host = HostProcess(process, ours)
            return self._host

    def _listen(self, host: HostProcess) -> None:
        """Hears one host out; when this returns, it is gone."""
        writer = threading.Thread(target=host.send_all, name="replora-writer", daemon=True)
        writer.start()
        try:
            if not host.connection.poll(READY_SECONDS):
                log.error("The job host was not ready after %g s and is ended.", READY_SECONDS)
                host.process.kill()
            while True:
                self._hear(decode(host.connection.recv_bytes()))
        except (EOFError, OSError):
            if not self._closing.is_set():
                log.error("The job host has ended.")
        except Exception:  # whatever a broken host or job says, the next host is started
            log.exception("The job host said what nobody understands and is ended.")
        finally:
            host.process.kill()
            host.process.wait()
            host.outbox.put(None)
            writer.join()
            host.connection.close()

    def _hear(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            if "ready" in message:
                self._ready_since = time.monotonic()
            elif "exit" in message:
                self._ends = 0
        self._heed(message)
