"""The gateway, `python -m replora.jobs.cluster.gateway`: what the web process has instead of a job host on a cluster.

It is the driver of Ray, so that neither the end of a cluster nor Ray's threads and signals touch the web process. It
keeps an agent on every node that is to run jobs, and ends with the web process, the agents with it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue
from typing import Any

from replora.jobs.cluster import ray_link
from replora.jobs.cluster.agent import code_digest
from replora.jobs.cluster.here import Here
from replora.jobs.cluster.node import Node
from replora.jobs.cluster.pieces.study import KINDS as PIECES
from replora.jobs.cluster.ray_link import AgentHandle, NodeFacts
from replora.jobs.cluster.router import Router
from replora.jobs.cluster.settings import ClusterError, ClusterSettings
from replora.jobs.messages import HostSettings, decode, encode
from replora.jobs.processes.job import LOG_FORMAT

LOOK_SECONDS = 1.0  # how often the nodes of the cluster are looked at
AGAIN_SECONDS = 10.0  # until a node whose agent did not come, or is lost, is given another
PATIENCE = 30.0  # for an agent, before it is said that its node has nothing free
AGENT_SECONDS = 5.0  # for an agent to end what it has
MOST_WAITING = 1000  # messages for the web process, before nodes wait
PASSED_ON = ("REPLORA_MAX_JOB_MB", "OMP_NUM_THREADS")  # of our environment, to the nodes'

log = logging.getLogger(__name__)


class Agents:
    """Keeps an agent on each node that is to run jobs: those with GPUs where some have any, else all with processors.

    make: a handle of an agent on a node, which is made in a blink and answers once it is there.
    """

    def __init__(
        self, router: Router, data: Path, cluster: ClusterSettings, make: Callable[[NodeFacts, float, int], AgentHandle]
    ) -> None:
        self._router, self._data, self._cluster, self._make = router, data, cluster, make
        self._code = code_digest()
        self._lock = threading.Lock()
        self._busy: set[str] = set()  # nodes that have an agent, or wait for one, or for the next one

    def look(self, found: list[NodeFacts]) -> None:
        """Agents for the nodes that have none; returns at once."""
        with_gpus = any(node.gpus for node in found)
        for node in found:
            cpus = self._cluster.ray_cpus or node.cpus
            gpus = self._cluster.ray_gpus or node.gpus
            with self._lock:
                if node.node in self._busy or not (node.gpus if with_gpus else node.cpus):
                    continue
                self._busy.add(node.node)
            threading.Thread(target=self._start, args=(node, cpus, gpus if with_gpus else 0), daemon=True).start()

    def _start(self, facts: NodeFacts, cpus: float, gpus: int) -> None:
        try:
            handle = self._make(facts, cpus, gpus)
            about = self._about(handle, facts, cpus, gpus)
        except Exception as error:  # an actor that cannot be made raises what it likes
            log.error("Node %s runs no jobs: %s", facts.address, " ".join(str(error).split())[:400])
            self._later(facts)
            return
        if about["code"] != self._code:
            log.error(
                "Node %s runs no jobs: it has other code than this machine. Install the same there.", facts.address
            )
            handle.end(AGENT_SECONDS)
            self._later(facts)
            return
        self._router.add(
            Node(facts.node, handle, about, self._data, self._router.heed, lambda node: self._lost(node, facts))
        )

    def _about(self, handle: AgentHandle, facts: NodeFacts, cpus: float, gpus: int) -> Mapping[str, Any]:
        while True:
            try:
                about: Mapping[str, Any] = handle.call("about", seconds=PATIENCE)
                return about
            except TimeoutError:
                log.warning("Node %s has not %g processors and %d GPUs free yet.", facts.address, cpus, gpus)

    def _lost(self, node: Node, facts: NodeFacts) -> None:
        self._router.lost(node)
        self._later(facts)

    def _later(self, facts: NodeFacts) -> None:
        time.sleep(AGAIN_SECONDS)
        with self._lock:
            self._busy.discard(facts.node)


class Web:
    """The connection to the web process: messages go out in order, by a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._outbox: Queue[bytes | None] = Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="replora-web", daemon=True)
        self._thread.start()
        self._ready = False

    def tell(self, message: Mapping[str, Any]) -> None:
        """One message; waits while there are too many. The first that names places says that all is ready."""
        if message.get("places") and not self._ready:
            self._ready = True
            message = {"ready": os.getpid(), **message}
        self._outbox.put(encode(**message))

    def close(self) -> None:
        """What was told is sent."""
        self._outbox.put(None)
        self._thread.join(AGENT_SECONDS)

    def _write(self) -> None:
        for message in iter(self._outbox.get, None):
            with suppress(OSError):  # it is gone, which who reads hears
                self._connection.send_bytes(message)


def serve(connection: Connection, settings: HostSettings) -> None:
    """Serves until the web process says stop or is gone; then no agent is left. `ClusterError` without a cluster."""
    cluster, web = ClusterSettings.from_dict(settings.cluster), Web(connection)
    try:
        ray_link.connect(cluster)
    except ClusterError as error:
        web.tell({"failed": str(error)})
        web.close()
        raise
    data = Path(settings.data)
    here = Here(settings, web.tell)
    router = Router(web.tell, data, here)
    told = replace(settings, module=HostSettings.module, data="", cluster={}, connection=-1)
    told = replace(told, kinds={**PIECES, **settings.kinds})
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def make(node: NodeFacts, cpus: float, gpus: int) -> AgentHandle:
        return AgentHandle(node.node, cpus, gpus, told.to_json(), environment)

    agents = Agents(router, data, cluster, make)
    closing = threading.Event()

    def look() -> None:
        while not closing.is_set():
            try:
                agents.look(list(ray_link.nodes()))
            except Exception:  # Ray raises what it likes while its head node is away
                log.exception("The nodes of the cluster cannot be listed.")
            closing.wait(LOOK_SECONDS)

    threading.Thread(target=look, name="replora-nodes", daemon=True).start()
    try:
        while (message := decode(connection.recv_bytes()))["do"] != "stop":
            router.obey(message)
    except (EOFError, OSError):
        log.info("The web process is gone; the gateway ends.")
    finally:
        closing.set()
        enders = [threading.Thread(target=node.close, args=(AGENT_SECONDS,)) for node in router.nodes]
        for each in enders:
            each.start()
        for each in enders:
            each.join()
        here.close()
        ray_link.disconnect()


def main(text: str) -> None:
    """Serves the web process at the other end of the inherited connection."""
    os.dup2(2, 1)  # what Ray prints belongs into the log
    logging.basicConfig(format=LOG_FORMAT)
    settings = HostSettings.from_json(text)
    if sys.platform == "win32":
        raise SystemExit("Ray has no clusters on Windows.")
    os.set_inheritable(settings.connection, False)
    try:
        serve(Connection(settings.connection), settings)
    except ClusterError:  # which was told
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
