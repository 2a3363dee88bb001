"""Which node has which job: what the engine says goes to the node that it is for, what nodes say comes back in order.

The lock is held for bookkeeping alone, never while anybody is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replora.jobs.cluster.here import Here
from replora.jobs.cluster.node import Node, job_of
from replora.jobs.cluster.pieces.study import StudyInPieces

Message = Mapping[str, Any]

NO_NODE = "There is no answer: no node of the cluster is there."
NODE_LOST = "The node that was asked is lost, and this question with it; ask again."


@dataclass
class _Placed:
    """A job or piece on a node; `gpu`: which of the node's, '' where it has none."""

    node: Node
    gpu: str
    study: StudyInPieces | None
    on: bool = True  # not paused


class Router:
    """tell: takes messages for the engine, in order; called by several threads. data: the web process's data folder.
    here: runs what does not run on nodes.
    """

    def __init__(self, tell: Callable[[Message], None], data: Path, here: Here) -> None:
        self._tell, self._data, self._here = tell, data, here
        self._lock = threading.Lock()  # guards all below
        self._nodes: list[Node] = []
        self._placed: dict[str, _Placed] = {}
        self._studies: dict[str, StudyInPieces] = {}
        self._asked: dict[int, Node] = {}
        self._forgotten: Node | None = None  # the node of the question that was given up last

    @property
    def nodes(self) -> list[Node]:
        """The nodes that there are."""
        with self._lock:
            return list(self._nodes)

    def add(self, node: Node) -> None:
        """One more node, which counts once its host is ready."""
        with self._lock:
            self._nodes.append(node)

    # What the engine says.

    def obey(self, message: Message) -> None:
        """One message of the engine; returns at once."""
        job = message.get("job", "")
        match message["do"]:
            case "start" | "control" | "end" if self._here.send(message):
                pass
            case "start" if message["kind"] == "study":
                self._start_study(message)
            case "start":
                self._start(message, None)
            case "control" | "end" if job in self._studies:
                self._studies[job].hear(message)
            case "control" | "end":
                with self._lock:
                    placed = self._placed.get(job)
                if placed is not None:
                    placed.node.send(message)
            case "ask":
                self._ask(message)
            case "forget":
                with self._lock:
                    node = self._forgotten = self._asked.pop(message["ask"], None)
                if node is not None:
                    node.send(message)
            case "end_answerer" if self._forgotten is not None:
                self._forgotten.send(message)

    def start_piece(self, message: Message, study: StudyInPieces, *, needed: bool) -> bool:
        """Starts a piece of a study where a place is free, or where it is `needed` wherever is least to do."""
        return self._start(message, study, needed=needed)

    def tell_piece(self, job: str, message: Message) -> None:
        """Passes something on to a piece, if it is on."""
        with self._lock:
            placed = self._placed.get(job)
        if placed is not None:
            placed.node.send(message)

    def ready_nodes(self) -> list[Mapping[str, Any]]:
        """What is known of the nodes that are ready, see `Agent.about`."""
        with self._lock:
            return [node.about for node in self._ready()]

    # What nodes say; called by their threads.

    def heed(self, node: Node, message: Message) -> None:
        """One message of a node."""
        if "host_lost" in message:
            self._lose(node)
        elif "ready" in message:
            self._count()
        elif "ask" in message:
            with self._lock:
                self._asked.pop(message["ask"], None)
            self._tell(message)
        else:
            self._heed_job(node, message)

    def lost(self, node: Node) -> None:
        """A node is gone."""
        with self._lock:
            self._nodes = [each for each in self._nodes if each is not node]
        self._lose(node)

    def over(self, study: StudyInPieces) -> None:
        """A study is done with."""
        with self._lock:
            self._studies.pop(study.job, None)

    def _heed_job(self, node: Node, message: Message) -> None:
        job = message["job"]
        with self._lock:
            placed = self._placed.get(job)
            if placed is not None and placed.node is not node:
                return  # the last words of a run that was given to another node
            if placed is not None and "paused" in message:
                placed.on = not message["paused"]
            if "exit" in message:
                self._placed.pop(job, None)
            study = placed.study if placed is not None else None
            studies = list(self._studies.values()) if "exit" in message else []
        if study is not None:
            study.hear(message)
        else:
            self._tell(message)
        for each in studies:
            each.hear({"room": True})

    def _start_study(self, message: Message) -> None:
        study = StudyInPieces(message, self, self._data, self._tell)
        with self._lock:
            self._studies[study.job] = study
        study.begin()

    def _start(self, message: Message, study: StudyInPieces | None, *, needed: bool = True) -> bool:
        """Whether there was a node for it; one that is busy takes it where that is needed."""
        job = message["job"]
        with self._lock:
            node = max(self._ready(), key=self._free, default=None)
            if node is None or not (needed or self._free(node) >= 1):
                found = False
            else:
                gpu = min(node.gpus, key=lambda each: self._on(node, each), default="")
                self._placed[job] = _Placed(node, gpu, study)
                found = True
        if node is not None and found:
            node.send({**message, "sharing": node.places, "gpu": gpu})
        elif study is None:
            self._tell({"lost": [job]})
        return found

    def _ask(self, message: Message) -> None:
        job = job_of(self._data, Path(str(message["question"].get("folder", ""))))
        with self._lock:
            placed = self._placed.get(job)
            node = placed.node if placed is not None else max(self._ready(), key=self._free, default=None)
            if node is not None:
                self._asked[message["ask"]] = node
        if node is None:
            self._tell({"ask": message["ask"], "problem": NO_NODE})
        else:
            node.send(message)

    def _lose(self, node: Node) -> None:
        """What was on a node is lost: the engine and studies are told which jobs those were."""
        with self._lock:
            gone = {job: placed for job, placed in self._placed.items() if placed.node is node}
            for job in gone:
                del self._placed[job]
            asked = [number for number, there in self._asked.items() if there is node]
            for number in asked:
                del self._asked[number]
            studies = list(self._studies.values())
        for number in asked:
            self._tell({"ask": number, "problem": NODE_LOST})
        jobs = [job for job, placed in gone.items() if placed.study is None]
        if jobs:
            self._tell({"lost": jobs})
        for job, placed in gone.items():
            if placed.study is not None:
                placed.study.hear({"job": job, "lost": True})
        self._count()
        for study in studies:
            study.hear({"room": True})

    def _count(self) -> None:
        """The engine is told how many places there are."""
        with self._lock:
            places = sum(node.places for node in self._ready())
            studies = list(self._studies.values())
        self._tell({"places": places})
        for study in studies:
            study.hear({"room": True})

    # Below, the caller holds the lock.

    def _ready(self) -> list[Node]:
        return [node for node in self._nodes if node.ready]

    def _on(self, node: Node, gpu: str | None = None) -> int:
        """How many jobs and pieces are on there, or on one GPU there; one that is paused counts nothing."""
        there = [each for each in self._placed.values() if each.node is node and each.on]
        return sum(gpu is None or each.gpu == gpu for each in there)

    def _free(self, node: Node) -> int:
        return node.places - self._on(node)
