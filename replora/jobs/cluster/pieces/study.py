"""A study in pieces: the batches of its grid, each a process on some node, their lines told as one study's.

It stands where the process of a job does: it hears what that would hear and tells what that would tell. A thread of its
own does all that; whoever has something to say to it leaves a message and goes.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from replora.config import MAX_RUNS
from replora.jobs.cluster.pieces.kept import KeptPieces
from replora.jobs.cluster.pieces.merge import OPENING, RESULTS, Merge
from replora.jobs.engine import Action
from replora.jobs.host_process import why
from replora.options import UserError
from replora.studies.base import Study
from replora.studies.batch_room import runs_on_cpu, runs_on_gpu
from replora.studies.kinds import study_from_dict
from replora.studies.spec import study_to_dict

KIND = "piece"  # of job
KINDS = {KIND: "replora.studies.study:piece_lines"}
ENDED = -9  # the exit code of what was ended on request
AGAIN = 1  # times that a piece which was lost with its node is run again

Message = Mapping[str, Any]
log = logging.getLogger(__name__)


class Places(Protocol):
    """Where pieces run, as `replora.jobs.cluster.router.Router`."""

    def start_piece(self, message: Message, study: StudyInPieces, *, needed: bool) -> bool: ...

    def tell_piece(self, job: str, message: Message) -> None: ...

    def ready_nodes(self) -> Sequence[Mapping[str, Any]]: ...

    def over(self, study: StudyInPieces) -> None: ...


class StudyInPieces:
    """`message`: as a host is told to start the study's job. tell: takes what the job tells. data: our data folder."""

    def __init__(self, message: Message, places: Places, data: Path, tell: Callable[[Message], None]) -> None:
        self.job: str = message["job"]
        self._folder = Path(message["folder"])
        self._limit = message["time_limit"]
        self._snapshots = message.get("snapshots", True)
        self._values, self._places, self._data, self._to = message["spec"], places, data, tell
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._deadline = time.monotonic() + self._limit
        self._paused, self._told_paused = message["control"]["mode"] == Action.PAUSE, False
        self._on: dict[str, int] = {}  # pieces by the id of their process
        self._resting: set[str] = set()  # those of them that are paused
        self._lines: dict[int, list[str]] = {}
        self._runs_of: dict[int, int] = {}  # how often a piece has been begun
        self._pending: deque[int] = deque()
        self._clock = _Clock()
        self._exit: int | None = None  # once it ends
        self._late = False

    def begin(self) -> None:
        """From now on it runs."""
        threading.Thread(target=self._run, name=f"replora-study-{self.job}", daemon=True).start()

    def hear(self, message: Message) -> None:
        """Something that is asked of the study, or told by a piece or of places; returns at once."""
        self._inbox.put(message)

    # Below, the study's own thread.

    def _run(self) -> None:
        try:
            spec = study_from_dict(self._values)
            nodes = self._wait_for_nodes()
            if nodes:
                self._serve(spec, nodes)
        except UserError as error:
            self._tell(end="failed", message=str(error))
        except OSError as error:
            why_not = error.strerror or type(error).__name__
            self._tell(end="failed", message=f"The pieces of this study cannot be kept: {why_not}.")
        except Exception as error:  # whatever it is, it is the end of this study and no other
            log.exception("Study %s failed.", self.job)
            self._tell(end="failed", message=f"The study failed: {type(error).__name__}.")
        finally:
            for piece in self._on:
                self._places.tell_piece(piece, {"do": "end", "job": piece})
            self._places.over(self)
            self._tell(exit=self._exit, late=self._late)

    def _wait_for_nodes(self) -> Sequence[Mapping[str, Any]]:
        """What the nodes are that are ready, once there are some; none where the study is ended before."""
        while not (nodes := self._places.ready_nodes()):
            self._heed(self._next(), None, None)
            if self._exit is not None:
                return ()
        return nodes

    def _serve(self, spec: Study, nodes: Sequence[Mapping[str, Any]]) -> None:
        at_once = runs_at_once(spec, nodes)
        merge = Merge(spec, at_once)
        facts = {"study": study_to_dict(spec), "at_once": at_once, "snapshots": self._snapshots}
        kept = KeptPieces(
            self._data, {**facts, **{name: nodes[0][name] for name in ("code", "versions", "kind", "cpus")}}
        )
        try:
            self._pending.extend(self._take_up(merge, kept))
            self._clock.run(not self._paused)
            while merge.done < merge.pieces and self._exit is None:
                self._start(facts, kept)
                self._tell_pause()
                self._tell(pieces=[merge.done, len(self._on), merge.pieces])
                self._heed(self._next(), merge, kept)
            self._end(merge, kept)
        finally:
            kept.close()

    def _take_up(self, merge: Merge, kept: KeptPieces) -> Iterable[int]:
        """Tells what is kept of an earlier start; the pieces that are still to be trained."""
        missing = []
        for piece in range(merge.pieces):
            lines = kept.lines(piece)
            if lines is None:
                missing.append(piece)
                continue
            for line in lines:
                self._tell_lines(merge.take(piece, line, 0.0))
            self._tell_lines(merge.finish(piece, 0.0, kept=True))
        if merge.done:
            self._tell(notice=f"{merge.done} of {merge.pieces} pieces were done before, and are not trained again.")
        return missing

    def _start(self, facts: Message, kept: KeptPieces) -> None:
        while self._pending and not self._paused:
            piece = self._pending[0]
            begun = self._runs_of.get(piece, 0)
            job = f"{self.job}.{piece}.{begun}"
            message = {
                "do": "start",
                "job": job,
                "kind": KIND,
                "spec": {**facts, "piece": piece},
                "folder": str(kept.place(piece)),
                "time_limit": max(0.0, self._deadline - time.monotonic()),
                "control": {"mode": "", "steps": 0, "rate": None},
            }
            self._on[job], self._lines[piece] = piece, []
            if not self._places.start_piece(message, self, needed=len(self._on) == 1):
                del self._on[job]
                return
            self._runs_of[piece] = begun + 1
            self._pending.popleft()

    def _next(self) -> Message:
        try:
            return self._inbox.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except Empty:
            return {"late": True}

    def _heed(self, message: Message, merge: Merge | None, kept: KeptPieces | None) -> None:
        piece = self._on.get(message.get("job", ""))
        if "late" in message and "job" not in message:
            self._exit, self._late = ENDED, True
        elif message.get("do") == "end":
            self._exit = ENDED
        elif message.get("do") == "control":
            self._control(message["control"])
        elif piece is not None and merge is not None and kept is not None:
            self._heed_piece(message, piece, merge, kept)

    def _heed_piece(self, message: Message, piece: int, merge: Merge, kept: KeptPieces) -> None:
        job = message["job"]
        if "line" in message:
            devices = len(merge.devices)
            self._keep_line(piece, message["line"])
            self._tell_lines(merge.take(piece, message["line"], self._clock.seconds()))
            if len(merge.devices) > max(devices, 1):
                self._tell(notice=f"Pieces of this study ran on unlike devices: {'; '.join(merge.devices)}.")
        elif message.get("end") == "finished":
            kept.keep(piece, self._lines[piece])
            self._tell_lines(merge.finish(piece, self._clock.seconds()))
        elif "end" in message:
            self._fail(message["message"])
        elif "exit" in message or "lost" in message:
            self._bury(job, message, merge, kept)
        elif "paused" in message:
            (self._resting.add if message["paused"] else self._resting.discard)(job)
        elif "notice" in message:
            self._tell(notice=message["notice"])

    def _bury(self, job: str, message: Message, merge: Merge, kept: KeptPieces) -> None:
        """The process of a piece is gone; one that was lost with its node runs again."""
        piece = self._on.pop(job)
        self._resting.discard(job)
        if kept.lines(piece) is not None:
            return
        name = f"Piece {piece + 1} of {merge.pieces}"
        if "exit" in message:
            self._fail(why(message["exit"], message["late"], self._limit, name))
        elif self._runs_of[piece] > AGAIN:
            self._fail(f"{name} was lost with its node, and so was its repetition.")
        else:
            merge.again(piece)
            self._pending.appendleft(piece)
            self._tell(notice=f"{name} was lost with its node and ran again.")

    def _keep_line(self, piece: int, line: str) -> None:
        if json.loads(line)["event"] in (*OPENING, *RESULTS):
            self._lines[piece].append(line)

    def _control(self, control: Message) -> None:
        """A study's rates are its grid's, and it tells no steps: what can be asked of it is to pause and to go on."""
        if control["mode"]:
            self._paused = control["mode"] == Action.PAUSE
            self._clock.run(not self._paused)
            for job in self._on:
                self._places.tell_piece(job, {"do": "control", "job": job, "control": dict(control, rate=None)})
            if not self._paused:
                self._resting.clear()
        self._tell(heard=True)
        self._tell_pause()

    def _tell_pause(self) -> None:
        paused = self._paused and self._resting.issuperset(self._on)
        if paused != self._told_paused:
            self._told_paused = paused
            self._tell(paused=paused)

    def _fail(self, sentence: str) -> None:
        if self._exit is None:
            self._exit = ENDED
            self._tell(end="failed", message=sentence)

    def _end(self, merge: Merge, kept: KeptPieces) -> None:
        if merge.done < merge.pieces:
            return
        kept.move_to(self._folder, merge.pieces)
        self._exit = 0
        self._tell(end="finished", message="")

    def _tell(self, **message: Any) -> None:
        self._to({"job": self.job, **message})

    def _tell_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._tell(line=line)


class _Clock:
    """Seconds of a study, its pauses left out."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._since: float | None = None

    def run(self, on: bool) -> None:
        self._spent, self._since = self.seconds(), time.monotonic() if on else None

    def seconds(self) -> float:
        return self._spent + (0.0 if self._since is None else time.monotonic() - self._since)


def runs_at_once(spec: Study, nodes: Sequence[Mapping[str, Any]]) -> int:
    """Runs of a piece: on CPUs those of a batch on one machine, on GPUs as many as keep all busy; see `Agent.about`."""
    gpus = sum(len(node["gpus"]) for node in nodes)
    if not gpus or spec.device == "cpu":
        return min(runs_on_cpu(spec, node["free_bytes"], node["job_bytes"]) for node in nodes)
    fitting = min(runs_on_gpu(spec, node["gpu_bytes"]) for node in nodes if node["gpus"])
    return min(MAX_RUNS, fitting, -(-spec.count() // gpus))
