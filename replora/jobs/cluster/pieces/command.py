"""A study on a cluster without an engine: its events one after another, for a command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from replora.jobs.cluster.settings import ClusterError, ClusterSettings, of_cluster, require_ray
from replora.jobs.host_keeper import HostKeeper
from replora.jobs.kinds import ANSWERER, KINDS
from replora.jobs.local import CLUSTER_CLOSE_SECONDS, PRELOAD
from replora.jobs.messages import HostSettings, encode
from replora.studies.base import Study
from replora.studies.events import StudyEvent
from replora.studies.lines import from_line
from replora.studies.spec import study_to_dict

JOB = "command"
NO_LIMIT = 1e9  # seconds
GONE = "The gateway to the cluster ended unexpectedly. The pieces that are done are kept: the same command goes on."


def study_on_cluster(
    spec: Study,
    cluster: ClusterSettings,
    data: Path,
    *,
    pieces: Callable[[int, int, int], None],
    say: Callable[[str], None],
) -> Iterator[StudyEvent]:
    """Trains the grid of `spec` in pieces; closed before its end, or by Ctrl-C, it ends all that is on.

    data: where pieces that are done are kept until the study ends. pieces: is told how many are done, are on, and are
    there. say: takes sentences about what was lost or kept. `UserError`: there is no cluster, or the study failed.
    """
    require_ray()
    logging.getLogger("replora").addHandler(logging.NullHandler())  # the gateway says on stderr what there is to say
    heard: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
    settings = of_cluster(HostSettings(KINDS, ANSWERER, PRELOAD, None, None), cluster, data)
    keeper = HostKeeper(settings, heard.put, lambda: heard.put({"gone": True}))
    try:
        for message in iter(heard.get, {}):
            if "failed" in message:
                raise ClusterError(message["failed"])
            if "gone" in message or message.get("lost"):
                raise ClusterError(GONE)
            if "ready" in message:
                keeper.send(_start(spec, data))
            elif "line" in message:
                yield from_line(message["line"])
            elif "pieces" in message:
                pieces(*message["pieces"])
            elif "notice" in message:
                say(message["notice"])
            elif message.get("end") == "finished":
                return
            elif "end" in message:
                raise ClusterError(message["message"])
    finally:
        keeper.close(CLUSTER_CLOSE_SECONDS)


def _start(spec: Study, data: Path) -> bytes:
    return encode(
        do="start",
        job=JOB,
        kind="study",
        spec=study_to_dict(spec),
        folder=str(data / "jobs" / JOB),
        time_limit=NO_LIMIT,
        snapshots=False,
        control={"mode": "", "steps": 0, "rate": None},
    )
