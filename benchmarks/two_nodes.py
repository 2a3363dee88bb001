"""A Ray cluster of two nodes on this machine, in a process of its own, one of which can be killed.

Ray reads the environment as it is loaded, and where it is loaded it has threads: neither is for who asks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
CODE = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
TOKEN = "0123456789abcdef" * 4
STORE_BYTES = 80 * 2**20
# A node whose end is to be noticed is asked twice a second how it is.
HEALTH = {"health_check_period_ms": 500, "health_check_timeout_ms": 500, "health_check_failure_threshold": 3}
ADDRESS_FILE = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"  # which Ray writes of any cluster


class TwoNodes:
    """The head and one more node, each of one processor; `environment` is for whoever joins."""

    def __init__(self, **variables: str) -> None:
        self._was_there = ADDRESS_FILE.exists()
        ADDRESS_FILE.parent.mkdir(exist_ok=True)
        self._place = Path(tempfile.mkdtemp(prefix="ray-"))  # short, as the paths of sockets have to be
        self.environment = {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all on loopback
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
        }
        own = {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_memory_monitor_refresh_ms": "0",
            "REPLORA_NODE_DATA": str(self._place / "nodes"),
            "PYTHONPATH": CODE,
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._place)],
            env={**os.environ, **self.environment, **own, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = self._hear()
        self.address: str = told["address"]
        self._second: int = told["second"]
        self._daemons = [psutil.Process(pid) for pid in told["daemons"]]

    def second_processes(self) -> list[int]:
        """What runs on the second node below its raylet: the agent, its host, the host's jobs, and Ray's own."""
        with suppress(psutil.NoSuchProcess):
            return [each.pid for each in psutil.Process(self._second).children(recursive=True)]
        return []

    def kill_second(self) -> None:
        """The second node is gone from one moment to the next."""
        self._say("kill")

    def add_second(self) -> None:
        """Another takes its place."""
        self._second = self._say("add")["second"]

    def close(self) -> None:
        """Ends the cluster; nothing is left of it."""
        started = [*self._daemons, *psutil.Process(self._process.pid).children(recursive=True)]
        self._say("close")
        self._process.wait(60)
        _, left = psutil.wait_procs(started, 60)
        if left:
            raise RuntimeError(f"Of the cluster {len(left)} processes are left: {left}.")
        shutil.rmtree(self._place)
        if not self._was_there:
            ADDRESS_FILE.unlink(missing_ok=True)
            with suppress(OSError):  # others use it
                ADDRESS_FILE.parent.rmdir()

    def _say(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told


def main(place: str) -> None:
    """The process: does what it is told on its standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray prints
    from ray.cluster_utils import Cluster

    facts: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "node_ip_address": "127.0.0.1"}
    head = {**facts, "include_dashboard": False, "temp_dir": place, "_system_config": HEALTH}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**facts)

    def pids(node: Any) -> dict[str, int]:
        return {kind: infos[0].process.pid for kind, infos in node.all_processes.items()}

    daemons = [*pids(cluster.head_node).values(), *pids(second).values()]
    print(json.dumps({"address": cluster.address, "second": pids(second)["raylet"], "daemons": daemons}), file=answers)
    for line in sys.stdin:
        match line.strip():
            case "kill":
                cluster.remove_node(second, allow_graceful=False)
            case "add":
                second = cluster.add_node(**facts)
            case _:
                break
        print(json.dumps({"second": pids(second).get("raylet")}), file=answers)
    cluster.shutdown()
    print("{}", file=answers)


if __name__ == "__main__":
    main(sys.argv[1])
