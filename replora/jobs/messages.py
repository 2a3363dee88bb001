"""The messages between the web process, the job host and its processes: one JSON object each, never a pickle.

web to host   {"do": "start", "job", "kind", "spec", "folder", "time_limit", "sharing", "control"}   run a job in a
                                                    process of its own, one of so many that share the machine's threads
              {"do": "start", "job", "kind", "jobs", "time_limit", "sharing"}   run several, each with spec, folder and
                                                    rate, in one process, which has an id of its own, not a job's
              {"do": "control", "job", "control"}   passed on to the job's process
              {"do": "end", "job"}                  kill it
              {"do": "ask", "ask", "question"}      for the answerer, which is given one at a time
              {"do": "forget", "ask"}               nobody waits for this answer any more
              {"do": "end_answerer"}                kill it: it hangs
              {"do": "stop"}                        kill all of them and end
host to web   {"ready": process id}
gateway to    {"ready", "places"}                   a node is ready, and so many jobs may be on
 web          {"places": count}                     from now on
 (of a        {"lost": [job]}                       the processes of these are gone with their node
 cluster)     {"job", "pieces": [done, on, all]}    how far a study in pieces is
              {"failed": sentence}                  there is no cluster, and the gateway ends
host to web   (and gateway)
              {"job", "exit", "late"}               its process is gone; late: killed at its time limit
              {"ask", "answerer_exit", "hung"}      the answerer is gone, and with it the answer to this question
job to web    {"job", "line"}                       an event
              {"job", "paused"}                     true: it waits; false: it goes on
              {"job", "heard": true}                it has read the last control
              {"job", "off": step, "rate"}          it has left the process it shared after this step, and its seat;
                                                    rate: one it has heard of and not trained at yet, or none
              {"job", "stays": why}                 it was told to leave and could not: its seat was not written
              {"job", "end", "message"}             "finished", or "failed" and why
answerer      {"ask", "answer"}                     the answer to a question
 to web       {"ask", "problem"}                    why there is none
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

from replora.jobs.engine import Action


def encode(**message: Any) -> bytes:
    """A message as bytes; ValueError or TypeError where it holds more than plain finite JSON values."""
    return json.dumps(message, allow_nan=False).encode("ascii")


def decode(data: bytes) -> dict[str, Any]:
    """The message of `encode`."""
    return cast(dict[str, Any], json.loads(data))


def goes(mode: str) -> bool:
    """Whether a control of this mode asks for a step or more."""
    return mode in (Action.RESUME, Action.STEP)


@dataclass
class Control:
    """What was asked of a job and is not yet passed on: of bounded size, however much is clicked.

    `mode` is the last of pause, resume and step ("" for none), `steps` how many steps, `rate` the last learning rate.
    """

    mode: str = ""
    steps: int = 0
    rate: float | None = None

    def add(self, action: Action, value: float | None = None) -> None:
        """Merges one more wish: a pause or resume drops the steps before it, a step counts up, a rate replaces."""
        if action is Action.LEARNING_RATE:
            self.rate = value
            return
        again = action is Action.STEP and self.mode == Action.STEP
        self.steps = (self.steps if again else 0) + (action is Action.STEP)
        self.mode = action.value

    def take(self) -> dict[str, Any]:
        """The plain values for a message; nothing is asked any more."""
        values = dataclasses.asdict(self)
        self.mode, self.steps, self.rate = "", 0, None
        return values

    def __bool__(self) -> bool:
        return bool(self.mode) or self.rate is not None


@dataclass(frozen=True)
class HostSettings:
    """What the web process tells a new host.

    `kinds`, `shared` and `answerer` name functions as module:function; `preload` names modules, or module:function to
    call the function where the module has it; `threads` the intra-op threads of jobs that run side by side (None: the
    machine's); `start_method` that of `multiprocessing` (None: fork on Linux, spawn elsewhere); `connection` is the
    inherited file descriptor (a handle on Windows), -1 as long as there is none. `module` is what runs as a host; of a
    cluster's gateway, `data` is the web process's data folder and `cluster` its `ClusterSettings`.
    """

    kinds: Mapping[str, str]
    answerer: str
    preload: tuple[str, ...]
    threads: int | None
    start_method: str | None
    connection: int = -1
    shared: Mapping[str, str] = field(default_factory=dict)
    module: str = "replora.jobs.host"
    data: str = ""
    cluster: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text for the host's command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings of `to_json`."""
        return cls(**json.loads(text))
