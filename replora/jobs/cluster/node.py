"""A node as the gateway sees it: an agent to speak to, its places and GPUs, and which jobs are there.

A thread hears the agent and another one speaks to it, so that no caller waits for either.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from replora.catalog import OWN_PREFIX
from replora.jobs.cluster.files import NodeFiles
from replora.jobs.messages import decode, encode

PULL_SECONDS = 10.0  # that the agent waits for something to tell
AGAIN_SECONDS = 0.2  # until an agent is called again that could not be reached
UNREACHED_SECONDS = 60.0  # after which an agent counts as lost
MOST_KEPT = 16  # folders of ended jobs that a node keeps, for what is asked of them

log = logging.getLogger(__name__)


class Handle(Protocol):
    """An agent that can be called, as `replora.jobs.cluster.ray_link.AgentHandle`."""

    def call(self, method: str, *args: Any, seconds: float | None = ...) -> Any: ...

    def end(self, seconds: float) -> None: ...


class Node:
    """places: how many jobs run there at a time, one a GPU, else one.

    heed: is given what the node tells; lost: is called once, at its end.

    Both are called by threads of this node. `about`: see `Agent.about`. `data`: our data folder.
    """

    def __init__(
        self,
        name: str,
        handle: Handle,
        about: Mapping[str, Any],
        data: Path,
        heed: Callable[[Node, Mapping[str, Any]], None],
        lost: Callable[[Node], None],
    ) -> None:
        self.name, self.about = name, about
        self.gpus: Sequence[str] = about["gpus"]
        self.places = max(1, len(self.gpus))
        self.files = NodeFiles(data, self._call)
        self.ready = False
        self._handle, self._data, self._heed, self._lost = handle, data, heed, lost
        self._targets: dict[str, Path] = {}  # where a job's files go, of those that have begun
        self._kept: OrderedDict[str, str] = OrderedDict()  # folders that are there, and the own data they are on
        self._outbox: SimpleQueue[tuple[int, Mapping[str, Any]] | None] = SimpleQueue()
        self._host = 0  # which host there, by number: what is for one that has ended is not told to the next
        self._told = 0
        self._gone = threading.Event()
        for target, what in ((self._listen, "hear"), (self._speak, "speak")):
            threading.Thread(target=target, name=f"replora-{what}-{name[:8]}", daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """A message for the host there; returns at once."""
        self._outbox.put((self._host, message))

    def there(self, path: str) -> str:
        """A path below our data folder or our package, as the node has it."""
        from replora.jobs.cluster.agent import PACKAGE

        for ours, theirs in (
            (self._data, Path(self.about["root"])),
            (PACKAGE.parent, Path(self.about["package"]).parent),
        ):
            if Path(path).is_relative_to(ours):
                return str(theirs / Path(path).relative_to(ours))
        return path

    def runs(self, job: str) -> bool:
        """Whether a job has begun there, and has not ended."""
        return job in self._targets

    def close(self, seconds: float) -> None:
        """Ends the agent and all that is there."""
        self._gone.set()
        self._outbox.put(None)
        self._handle.end(seconds)

    # Below, the node's two threads.

    def _listen(self) -> None:
        heard, reached = 0, time.monotonic()
        while not self._gone.is_set():
            try:
                first, messages = self._handle.call("pull", heard, PULL_SECONDS)
                reached = time.monotonic()
                for message in messages:
                    self._take(decode(message))
                heard = first + len(messages) - 1
            except TimeoutError:
                if time.monotonic() - reached > UNREACHED_SECONDS:
                    log.error("Node %s could not be reached for %g s.", self.name[:8], UNREACHED_SECONDS)
                    break
                time.sleep(AGAIN_SECONDS)
            except ConnectionError as error:
                if not self._gone.is_set():
                    log.error("Node %s is lost: %s", self.name[:8], error)
                break
            except Exception:  # whatever a broken agent says, its jobs are given to others
                log.exception("Node %s said what nobody understands.", self.name[:8])
                break
        self.ready = False
        self._outbox.put(None)
        if not self._gone.is_set():
            self._gone.set()
            self._lost(self)

    def _take(self, message: Mapping[str, Any]) -> None:
        job = message.get("job", "")
        if job in self._targets and ("end" in message or "off" in message):
            self._fetch(job)
        if "host_lost" in message:
            self._host += 1
            self._targets.clear()
        self.ready = "ready" in message or (self.ready and "host_lost" not in message)
        self._heed(self, message)
        if "exit" in message:
            self._let_go(self._targets.pop(job, None))

    def _let_go(self, folder: Path | None) -> None:
        """What an ended job left may be removed there; of runs the latest stay, for what is asked of them."""
        if folder is None:
            return
        name = self._name(folder)
        if not name.startswith("jobs/"):
            self._forget(name)
        on = {self._name(each) for each in self._targets.values()}
        ended = [each for each in self._kept if each not in on]
        for each in ended[: max(0, len(ended) - MOST_KEPT)]:
            self._forget(each)

    def _speak(self) -> None:
        for host, message in iter(self._outbox.get, None):
            if host != self._host:
                continue
            try:
                self._pass_on(message)
            except ConnectionError:
                return  # which the other thread hears too
            except Exception as error:  # a job whose files cannot be brought has failed, and no other
                log.exception("Node %s could not be told something.", self.name[:8])
                self._excuse(message, type(error).__name__)

    def _excuse(self, message: Mapping[str, Any], why: str) -> None:
        if message["do"] == "start":
            for job in [each["job"] for each in message.get("jobs") or [message]]:
                told = f"The job could not be brought to its node ({why})."
                self._heed(self, {"job": job, "end": "failed", "message": told})
            self._heed(self, {"job": message["job"], "exit": None, "late": False})
        elif message["do"] == "ask":
            told = f"There is no answer: the files of this run could not be brought to a node ({why})."
            self._heed(self, {"ask": message["ask"], "problem": told})

    def _pass_on(self, message: Mapping[str, Any]) -> None:
        if message["do"] == "start":
            started = message.get("jobs") or [message]
            for each in started:
                self._prepare(each)
            moved = [{**each, "folder": self.there(each["folder"])} for each in started]
            message = {**message, "jobs": moved} if "jobs" in message else moved[0]
        elif message["do"] == "ask":
            message = self._with_files(message)
        self._told += 1
        self._call("tell", self._told, [encode(**message)])

    def _prepare(self, job: Mapping[str, Any]) -> None:
        """The node has what a job needs; from now on it is there."""
        folder = Path(job["folder"])
        self._bring(folder, job["spec"])
        self.files.changes(self._name(folder))
        self._targets[job["job"]] = folder

    def _bring(self, folder: Path, spec: Mapping[str, Any]) -> None:
        spec = spec.get("study", spec) if isinstance(spec.get("study"), Mapping) else spec  # of a piece
        task = str(spec.get("task", ""))
        own = f"tasks/{task.removeprefix(OWN_PREFIX)}.parquet" if task.startswith(OWN_PREFIX) else ""
        if own:
            self.files.bring(own)
        self.files.bring(self._name(folder))
        self._kept[self._name(folder)] = own

    def _with_files(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """A question with its folder as the node has it, and what is asked of brought there."""
        question = message["question"]
        folder = Path(str(question.get("folder", "")))
        if not folder.parts:
            return message
        if folder.is_relative_to(self._data / "jobs") and not self.runs(job_of(self._data, folder)):
            facts = folder / "race.json"
            self._bring(folder, json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {})
        return {**message, "question": {**question, "folder": self.there(str(folder))}}

    def _fetch(self, job: str) -> None:
        folder = self._targets[job]
        try:
            self.files.fetch(self._name(folder), folder)
        except ConnectionError:
            raise
        except OSError as error:
            why = error.strerror or type(error).__name__
            self._heed(self, {"job": job, "notice": f"What this run left on its node could not be fetched: {why}."})

    def _forget(self, name: str) -> None:
        own = self._kept.pop(name, "")
        self.files.remove(name)
        if own and own not in self._kept.values():
            self.files.remove(own)

    def _name(self, folder: Path) -> str:
        return folder.relative_to(self._data).as_posix()

    def _call(self, method: str, *args: Any) -> Any:
        """Calls the agent, again and again where it cannot be reached for a moment; `AgentLost`."""
        until = time.monotonic() + UNREACHED_SECONDS
        while True:
            try:
                return self._handle.call(method, *args)
            except TimeoutError:
                if self._gone.is_set() or time.monotonic() > until:
                    raise ConnectionError(f"the node does not answer {method}") from None
                time.sleep(AGAIN_SECONDS)


def job_of(data: Path, folder: Path) -> str:
    """The job that left a folder, or what is in it; '' for a folder elsewhere."""
    jobs = data / "jobs"
    return folder.relative_to(jobs).parts[0] if folder != jobs and folder.is_relative_to(jobs) else ""
