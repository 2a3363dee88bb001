"""What the environment says of the engine: which one; of a cluster where it is, and how much of each node is ours."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from replora.jobs.messages import HostSettings
from replora.options import SpecError, UserError, option
from replora.settings import Settings

RAY_MISSING = "The engine ray needs the package Ray, which is not installed here: pip install -r requirements-ray.txt."
ADDRESS = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")


class ClusterError(UserError):
    """There is no cluster to run on; the message says why."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings(Settings):
    """Which engine runs jobs; set by REPLORA_ENGINE."""

    engine: Literal["local", "ray"] = option("local", "Engine", "local: on this machine. ray: on a Ray cluster.")


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(Settings):
    """Where the cluster is, and what of each of its nodes is reserved; set by REPLORA_RAY_ADDRESS and the like."""

    ray_address: str = option("", "Address", "HOST:PORT of the head node; none: a cluster of its own on this machine.")
    ray_cpus: int = option(0, "Processors", "That are reserved on each node; 0: all.", low=0, high=1024)
    ray_gpus: int = option(0, "GPUs", "That are reserved on each node; 0: all.", low=0, high=64)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ray_address and not ADDRESS.fullmatch(self.ray_address):
            raise SpecError(
                f"A cluster's address must be HOST:PORT of its head node, as 10.0.0.1:6379, got {self.ray_address!r}."
            )


def require_ray() -> None:
    """`ClusterError` where Ray is not installed; does not load it."""
    if importlib.util.find_spec("ray") is None:
        raise ClusterError(RAY_MISSING)


def of_cluster(settings: HostSettings, cluster: ClusterSettings, data: Path) -> HostSettings:
    """Of a gateway that stands where a host of these settings would: `data` is our data folder."""
    return replace(settings, module="replora.jobs.cluster.gateway", data=str(data), cluster=cluster.to_dict())
