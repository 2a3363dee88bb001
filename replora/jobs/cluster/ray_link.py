"""All that is said to Ray: connecting, which nodes there are, and agents on them. It is loaded when first used."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from replora.jobs.cluster.settings import ClusterError, ClusterSettings, require_ray
from replora.memory.machine import usable_cpus

NAMESPACE = "replora"
REACH_SECONDS = 5.0  # for a connection to the head node
STORE_BYTES = 100 * 2**20  # of a cluster of our own: what crosses it is small
LONG_CALL = 300.0
GROUPS = {"listen": 1, "speak": 1, "files": 1}  # threads of an agent, by what is asked of it
GROUP_OF = {"pull": "listen", "tell": "speak"}

log = logging.getLogger(__name__)


class AgentLost(ConnectionError):
    """The agent's process or node is gone."""


@dataclass(frozen=True)
class NodeFacts:
    """A node of the cluster that is alive: what it has in all."""

    node: str
    address: str
    cpus: float
    gpus: int


def connect(settings: ClusterSettings) -> None:
    """Connects this process to the cluster, or starts one on this machine; `ClusterError`, one sentence.

    Ray ends what it started when the thread that called this ends: it has to be the main one.
    """
    require_ray()
    address = settings.ray_address
    if not address or _is_loopback(address):  # before Ray is loaded, which reads it then: nothing listens to others
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    started: dict[str, Any] = {"address": address}
    if address:
        _reach(address)
    else:
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # a job's memory is confined by its host
        if os.environ["RAY_AUTH_MODE"] == "token" and not _has_token():
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        started = {
            "address": "local",
            "num_cpus": max(1, int(usable_cpus())),
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }
    import ray

    try:
        ray.init(**started, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # whatever Ray raises, it is why there is no cluster
        told = " ".join(str(error).split())[:300].rstrip(".")
        raise ClusterError(f"Ray could not be joined at {address or 'this machine'}: {told}.") from error


def disconnect() -> None:
    """Leaves the cluster, which ends a cluster of our own."""
    import ray

    ray.shutdown()


def nodes() -> Sequence[NodeFacts]:
    """The nodes that are alive."""
    import ray

    return [
        NodeFacts(
            node=node["NodeID"],
            address=node["NodeManagerAddress"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=int(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


class AgentHandle:
    """An agent on a node; its making returns at once, and its first call once the agent is there."""

    def __init__(self, node: str, cpus: float, gpus: int, settings: str, environment: Mapping[str, str]) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from replora.jobs.cluster.actor import AgentActor

        options = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=node, soft=False),
        }
        self._ray = ray
        remote: Any = ray.remote
        self._actor = remote(concurrency_groups=GROUPS)(AgentActor).options(**options).remote(settings, environment)

    def call(self, method: str, *args: Any, seconds: float | None = LONG_CALL) -> Any:
        """What a method of the agent returns; `AgentLost` where it is gone, TimeoutError, or what the method raises."""
        group = GROUP_OF.get(method, "files")
        reference = getattr(self._actor, method).options(concurrency_group=group).remote(*args)
        try:
            return self._ray.get(reference, timeout=seconds)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except self._ray.exceptions.GetTimeoutError as error:
            raise TimeoutError(f"the agent did not answer {method} within {seconds} s") from error
        except self._ray.exceptions.ActorUnavailableError as error:
            raise TimeoutError("the agent cannot be reached for a moment") from error
        except self._ray.exceptions.RayError as error:
            raise AgentLost(" ".join(str(error).split())[:300]) from error

    def end(self, seconds: float) -> None:
        """Asks the agent to end its jobs and remove its folder, then ends it."""
        with suppress(OSError):  # it is gone, or hangs
            self.call("close", seconds=seconds)
        with suppress(Exception):  # Ray raises what it likes where the cluster is gone too
            self._ray.kill(self._actor)


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ClusterError(f"No Ray cluster can be reached at {address} ({why}).") from error


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _has_token() -> bool:
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return True
    with suppress(RuntimeError):  # no home
        return (Path.home() / ".ray" / "auth_token").is_file()
    return False
