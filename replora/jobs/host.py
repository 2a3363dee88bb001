"""The job host, `python -m replora.jobs.host`: loads torch once, then forks a process a job and one that answers.

It computes nothing, starts no thread and never touches CUDA, since its forks would inherit a thread pool or a context
that does not work in them. It passes messages on unread, ends jobs on request or at their time limit, and ends with the
web process. Started by `replora.jobs.local`; `replora.jobs.messages` has the messages.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import math
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from replora.jobs.messages import HostSettings, decode, encode
from replora.jobs.processes.job import LOG_FORMAT, run_answerer, run_job
from replora.jobs.processes.shared import run_shared
from replora.memory.machine import usable_cpus

LOOK_SECONDS = 1.0  # how often the host looks whether a silent child still lives

log = logging.getLogger(__name__)


@dataclass
class Child:
    """A job's process. `deadline` is in seconds of the monotonic clock; `late` once it was killed for passing it."""

    process: BaseProcess
    connection: Connection
    deadline: float
    late: bool = False

    def kill(self) -> None:
        """Ends the process, and what it started, without asking."""
        if sys.platform != "win32" and self.process.pid is not None:
            with suppress(ProcessLookupError):  # the group is gone already
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()


class Host:
    """The jobs that run now and the connection to the web process; `serve` is its life."""

    def __init__(self, web: Connection, settings: HostSettings, threads: int | None) -> None:
        self._web = web
        self._settings = settings
        self._threads = threads
        self._children: dict[str, Child] = {}
        self._answerer: Child | None = None
        self._waiting: deque[Mapping[str, Any]] = deque()  # questions the answerer has not been given yet
        self._asked: int | None = None  # the number of the question it works on
        # Apple's frameworks do not survive a fork, Windows has none.
        method = settings.start_method or ("fork" if sys.platform == "linux" else "spawn")
        self._context: Any = multiprocessing.get_context(method)

    def serve(self) -> None:
        """Serves until the web process says stop or is gone; then no child is left."""
        try:
            self._web.send_bytes(encode(ready=os.getpid()))
            while self._turn():
                pass
        except (EOFError, OSError):
            log.info("The web process is gone; the job host ends.")
        finally:
            for child in self._all():
                child.kill()
                child.process.join()

    def _turn(self) -> bool:
        """Waits for something to do and does it; whether to go on. OSError or EOFError: the web process is gone."""
        sources: list[Any] = [self._web]
        for child in self._all():
            sources += [child.connection, child.process.sentinel]
        ready = wait(sources, self._patience())
        for job, child in list(self._children.items()):
            if child.connection in ready:
                self._relay(child)
            if child.process.exitcode is not None:
                self._bury(job, child)
            elif time.monotonic() >= child.deadline and not child.late:
                child.late = True
                child.kill()
        if self._answerer is not None:
            if self._answerer.connection in ready and self._relay(self._answerer):
                self._asked = None  # it has answered
            if self._answerer.process.exitcode is not None:
                self._bury_answerer(self._answerer)
            self._ask_next()
        return self._obey(decode(self._web.recv_bytes())) if self._web in ready else True

    def _patience(self) -> float | None:
        """Seconds until the next deadline. Never long: what a crashed child left behind may keep its sentinel open."""
        if not self._all():
            return None
        deadlines = [child.deadline for child in self._all() if not child.late]
        return max(0.0, min([LOOK_SECONDS, *(each - time.monotonic() for each in deadlines)]))

    def _relay(self, child: Child) -> bool:
        """Passes one message of a child on; False at the end of its connection."""
        try:
            message = child.connection.recv_bytes()
        except (EOFError, OSError):
            child.kill()  # it cannot be heard any more
            child.process.join()
            return False
        self._web.send_bytes(message)
        return True

    def _bury(self, job: str, child: Child) -> None:
        """Passes the last words of a dead child on and reports its end."""
        exit_code = self._closed(child)
        del self._children[job]
        self._web.send_bytes(encode(job=job, exit=exit_code, late=child.late))

    def _bury_answerer(self, answerer: Child, *, hung: bool = False) -> None:
        """Tells who asked last, if there is no answer, that there will be none; the others are asked anew."""
        self._answerer = None
        exit_code = self._closed(answerer)
        if self._asked is not None:
            self._web.send_bytes(encode(ask=self._asked, answerer_exit=exit_code, hung=hung))
        self._asked = None

    def _closed(self, child: Child) -> int | None:
        """Passes on what a dead process still told and lets go of it: its exit code."""
        exit_code = child.process.exitcode
        child.kill()  # its own children, if any, outlived it
        while child.connection.poll() and self._relay(child):
            pass
        child.connection.close()
        child.process.close()
        return exit_code

    def _obey(self, message: Mapping[str, Any]) -> bool:
        """Does what the web process asks; False for stop. A job that has just ended is asked in vain."""
        child = self._children.get(message.get("job", ""))
        match message["do"]:
            case "start":
                self._start(message)
            case "control" if child is not None:
                with suppress(OSError):  # it has just died, which its sentinel tells
                    child.connection.send_bytes(encode(**message["control"]))
            case "end" if child is not None:
                child.kill()
            case "ask":
                self._waiting.append(message)
                self._ask_next()
            case "forget":
                self._waiting = deque(each for each in self._waiting if each["ask"] != message["ask"])
            case "end_answerer" if self._answerer is not None:
                self._answerer.kill()
                self._answerer.process.join()
                self._bury_answerer(self._answerer, hung=True)
                self._ask_next()
            case "stop":
                return False
        return True

    def _start(self, message: Mapping[str, Any]) -> None:
        job, kind = message["job"], message["kind"]
        asked: tuple[Any, ...] = (run_shared, kind, self._settings.shared, message.get("jobs"))
        if "jobs" not in message:
            facts = (message["spec"], message["folder"], message["control"])
            asked = (run_job, job, kind, self._settings.kinds, *facts)
        try:
            with on_gpu(message.get("gpu", "")):
                process, connection = self._process(f"replora-job-{job}", *asked, sharing=message["sharing"])
        except OSError as error:
            log.exception("No process for job %s.", job)
            reason = f"The job could not start: {error.strerror or type(error).__name__}."
            if "jobs" not in message:
                self._web.send_bytes(encode(job=job, end="failed", message=reason))
            self._web.send_bytes(encode(job=job, exit=None, late=False))
            return
        self._children[job] = Child(process, connection, time.monotonic() + message["time_limit"])

    def _ask_next(self) -> None:
        """Gives the answerer, which is started if there is none, the next question once it has done with the last.

        An idle answerer reads, so the host never waits for it here.
        """
        if self._asked is not None or not self._waiting:
            return
        message = self._waiting.popleft()
        try:
            if self._answerer is None:
                started = self._process("replora-answerer", run_answerer, self._settings.answerer)
                self._answerer = Child(*started, deadline=math.inf)
            self._asked = message["ask"]
            self._answerer.connection.send_bytes(encode(ask=message["ask"], question=message["question"]))
        except OSError as error:
            self._asked = None
            log.exception("No question could be asked.")
            reason = f"There is no answer: {error.strerror or type(error).__name__}."
            self._web.send_bytes(encode(ask=message["ask"], problem=reason))

    def _process(
        self, name: str, target: Callable[..., Any], *args: Any, sharing: int = 1
    ) -> tuple[BaseProcess, Connection]:
        """A new process that runs `target(its connection, *args, threads, host, inherited)`, and our end of the line.

        sharing: how many such processes have the machine's threads together. OSError where the system starts none.
        """
        threads = self._threads and max(1, self._threads // sharing)
        ours, theirs = self._context.Pipe()
        forked = self._context.get_start_method() == "fork"
        inherited = [self._web, ours, *(child.connection for child in self._all())] if forked else []
        process = self._context.Process(target=target, name=name, args=(theirs, *args, threads, os.getpid(), inherited))
        try:
            process.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        if forked:
            with suppress(OSError):  # the child does the same; who comes first matters not
                os.setpgid(process.pid, process.pid)
        return process, ours

    def _all(self) -> list[Child]:
        return [*self._children.values(), *([self._answerer] if self._answerer else [])]


@contextmanager
def on_gpu(gpu: str) -> Iterator[None]:
    """A process that begins meanwhile sees one GPU alone, as CUDA_VISIBLE_DEVICES names it; '' for all there are."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        yield
    finally:
        if gpu and before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        elif gpu:
            del os.environ["CUDA_VISIBLE_DEVICES"]


def preload(names: Sequence[str]) -> int | None:
    """Imports the modules and calls the functions; torch is held to one thread. How many it would use, if it is there.

    What cannot be loaded is logged and left: the jobs that need it will fail with a sentence, the others run.
    """
    threads = None
    for name in names:
        module_name, _, function = name.partition(":")
        try:
            module: Any = import_module(module_name)
            if module_name == "torch":
                threads = module.get_num_threads()
                module.set_num_threads(1)
            elif hasattr(module, function):
                getattr(module, function)()
        except Exception:  # a foreign module may raise anything while it loads
            log.exception("%s could not be preloaded.", name)
    return threads


def main(text: str) -> None:
    """Loads what jobs need and serves the web process at the other end of the inherited connection."""
    os.dup2(2, 1)  # what jobs print belongs into the log
    faulthandler.enable()
    logging.basicConfig(format=LOG_FORMAT)
    settings = HostSettings.from_json(text)
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        web: Any = PipeConnection(settings.connection)
    else:
        os.set_inheritable(settings.connection, False)
        web = Connection(settings.connection)
    machine = preload(settings.preload)
    threads = settings.threads
    if threads is None and machine is not None:
        threads = max(1, int(min(machine, usable_cpus())))
    if sys.platform == "linux":
        running = len(os.listdir("/proc/self/task"))
        if running > 1:
            log.warning("The job host has %d threads after preloading; a forked job may hang.", running)
    gc.collect()
    gc.freeze()  # the collector of a forked job leaves the shared pages of what is loaded here alone
    Host(web, settings, threads).serve()


if __name__ == "__main__":
    main(sys.argv[1])
