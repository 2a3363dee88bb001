"""The processes of the host: a job's runs one job function and between two of its lines hears what is asked of it; the
answerer takes one question after another."""

from __future__ import annotations

import ctypes
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from replora.jobs.engine import Action
from replora.jobs.kinds import answerer, job_function
from replora.jobs.messages import decode, encode
from replora.memory.confine import confine, memory_sentence, unconfine

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NICENESS = 10  # of a job
LOG_FORMAT = "%(asctime)s %(name)s %(levelname)s: %(message)s"
LONGEST_MESSAGE = 400  # characters of a foreign exception that a user gets to read

log = logging.getLogger(__name__)


def leave(code: int) -> NoReturn:
    """End this process at once: no exit handler or thread that the job left behind can hold it up."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):  # nobody reads it any more, or the job has closed it
                stream.flush()
    os._exit(code)


class Link:
    """A job's link to the web process: sends messages and hears controls; where the host is gone, the process ends."""

    def __init__(self, connection: Connection, job: str, control: Mapping[str, Any]) -> None:
        self._connection = connection
        self._job = job
        self._paused = False
        self._steps = 0  # steps still to take before waiting again
        self._rate: float | None = None
        self._told_paused = False
        self._obey(control)

    def send(self, **message: Any) -> None:
        """One message; waits while the host is busy."""
        try:
            self._connection.send_bytes(encode(job=self._job, **message))
        except OSError:
            os._exit(1)  # the host is gone, and nobody is left to tell

    def hear(self, wait: bool = False) -> None:
        """Reads what has been asked; with `wait`, waits for one more message first."""
        try:
            while wait or self._connection.poll():
                control = decode(self._connection.recv_bytes())
                self._obey(control)
                self.send(heard=True)
                wait = False
        except (EOFError, OSError):
            os._exit(1)  # as in send

    def new_rate(self) -> float | None:
        """The learning rate asked for since the last call, or None."""
        self.hear()
        rate, self._rate = self._rate, None
        return rate

    def paced(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines, asked for only while the job is not paused; a step ends with a line whose event is "step"."""
        iterator = iter(lines)
        while True:
            self._wait()
            line = next(iterator, None)
            if line is None:
                return
            yield line
            if self._steps and json.loads(line).get("event") == "step":
                self._steps -= 1

    def _wait(self) -> None:
        self.hear()
        while self._paused and not self._steps:
            self._tell(True)
            self.hear(wait=True)
        self._tell(False)

    def _tell(self, paused: bool) -> None:
        if paused != self._told_paused:
            self._told_paused = paused
            self.send(paused=paused)

    def _obey(self, control: Mapping[str, Any]) -> None:
        if control["mode"]:
            self._paused = control["mode"] != Action.RESUME
            self._steps = self._steps + control["steps"] if control["mode"] == Action.STEP else 0
        if control["rate"] is not None:
            self._rate = control["rate"]


class Notices(logging.Handler):
    """What a job warns of while it runs on becomes a notice of the job."""

    def __init__(self, tell: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            self._tell(record)


def end_with(host: int) -> None:
    """From now on this process ends when the process `host`, its parent, does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != host:
            os._exit(1)
    else:
        threading.Thread(target=_follow_parent, name="replora-host-watch", daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def use_threads(count: int) -> None:
    """Lets the job's matrix products use `count` threads. The host itself kept to one: a forked pool would hang."""
    torch = sys.modules.get("torch")
    if torch is None:
        os.environ["OMP_NUM_THREADS"] = str(count)  # read when torch is imported
    else:
        torch.set_num_threads(count)


def own_sentence(error: BaseException) -> str | None:
    """The message of an exception of this package, which is a sentence for users; None for any other exception."""
    own = any(each.__module__.partition(".")[0] == "replora" for each in type(error).__mro__)
    return str(error) or None if own else None


def report(error: BaseException, what: str = "The job failed") -> str:
    """One sentence that names type and message of any exception."""
    text = " ".join(str(error).split())
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE].rstrip() + "…"
    detail = f": {text.rstrip('.')}" if text else ""
    return f"{what}: {type(error).__name__}{detail}."


def checked(line: object) -> str:
    """`line`, which must be one line of text; TypeError or ValueError otherwise."""
    if not isinstance(line, str):
        raise TypeError(f"a job must yield lines of text, got {type(line).__name__}")
    if "\n" in line or "\r" in line:
        raise ValueError("a job must yield one line at a time, got a line break within one")
    return line


def run_answerer(
    connection: Connection, function: str, threads: int | None, host: int, inherited: Sequence[Connection] = ()
) -> NoReturn:
    """The whole life of the answerer's process: one question after another, until the host ends it."""
    begin(host, inherited)
    confine()
    if threads is not None:
        use_threads(threads)
    while True:
        try:
            asked = decode(connection.recv_bytes())
        except (EOFError, OSError):
            leave(1)  # the host is gone
        try:
            told = encode(ask=asked["ask"], answer=dict(answerer(function)(asked["question"])))
        except Exception as error:  # whatever a question leads to is told to who asked, and the next one is heard
            message = own_sentence(error) or memory_sentence(error, "The answer")
            if message is None:
                log.error("A question could not be answered.", exc_info=True)
                message = report(error, "There is no answer")
            told = encode(ask=asked["ask"], problem=message)
        try:
            connection.send_bytes(told)
        except OSError:
            leave(1)


def begin(host: int, inherited: Sequence[Connection]) -> None:
    """What each process does first. `inherited` are the host's own connections that a fork copied."""
    for each in inherited:
        each.close()
    if sys.platform != "win32":
        os.setpgid(0, 0)  # so that the host can end what it starts together with it
    end_with(host)
    logging.basicConfig(format=LOG_FORMAT)


def make_way() -> None:
    """Where a core is wanted, pages and the host come first."""
    if sys.platform != "win32":
        os.nice(NICENESS)


def reserved(spec: Mapping[str, Any]) -> int:
    """Addresses beside what a job uses; `UserError` where its task is not here."""
    backbone, task = spec.get("backbone"), spec.get("task")
    if not isinstance(backbone, str) or not isinstance(task, str):
        return 0
    from replora.memory.estimate import reserved_bytes  # which loads what a host without races has no need of

    return reserved_bytes(backbone, task)


def run_job(
    connection: Connection,
    job: str,
    kind: str,
    kinds: Mapping[str, str],
    spec: Mapping[str, Any],
    folder: str,
    control: Mapping[str, Any],
    threads: int | None,
    host: int,
    inherited: Sequence[Connection] = (),
) -> NoReturn:
    """The whole life of a job's process."""
    begin(host, inherited)
    make_way()
    link = Link(connection, job, control)
    logging.getLogger("replora").addHandler(Notices(lambda record: link.send(notice=record.getMessage())))
    try:
        confine(reserved(spec))
        if threads is not None:
            use_threads(threads)
        for line in link.paced(job_function(kind, kinds)(spec, link.new_rate, Path(folder))):
            link.send(line=checked(line))
    except BaseException as error:  # whatever a job raises, SystemExit included, is its end and must be told
        unconfine()
        message = own_sentence(error) or memory_sentence(error)
        if message is None:
            log.error("Job %s (%s) failed.", job, kind, exc_info=True)
            message = report(error)
        link.send(end="failed", message=message)
        leave(1)
    link.send(end="finished", message="")
    leave(0)
