"""The agent as Ray makes it: it asks Ray which GPUs it was given."""

from __future__ import annotations

import os
from collections.abc import Mapping

import ray

from replora.jobs.cluster.agent import Agent


class AgentActor(Agent):
    """See `Agent`."""

    def __init__(self, settings: str, environment: Mapping[str, str]) -> None:
        given = [str(each) for each in ray.get_runtime_context().get_accelerator_ids()["GPU"]]
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        super().__init__(settings, environment, visible.split(",") if given and visible else given)
