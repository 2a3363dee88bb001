"""A Ray cluster of two nodes on this machine, which leaves nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_kinds import KINDS
from processes import wait_for

from benchmarks.two_nodes import TwoNodes
from replora.jobs.cluster.settings import ClusterSettings
from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store


@pytest.fixture(scope="session")
def gate() -> Iterator[Path]:
    """What is held waits while this file is there, see `job_kinds.wait_at_gate`."""
    with tempfile.TemporaryDirectory(prefix="replora-") as folder:
        yield Path(folder) / "gate"


@pytest.fixture(scope="session")
def two_nodes(gate: Path) -> Iterator[TwoNodes]:
    nodes = TwoNodes(JOB_KINDS_GATE=str(gate))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in nodes.environment.items():
            patch.setenv(name, value)
        yield nodes
    nodes.close()


@pytest.fixture(scope="session")
def cluster(two_nodes: TwoNodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """An engine on the two nodes, which load torch; it knows the kinds of `job_kinds`."""
    engine = LocalEngine(
        kinds={**KINDS, "piece": "job_kinds:gated_piece"},
        answerer="job_kinds:answer_lens",
        threads=1,
        store=Store(tmp_path_factory.mktemp("cluster")),
        cluster=ClusterSettings(ray_address=two_nodes.address),
    )
    wait_for(lambda: engine.ready, 120)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """The local engine, for the same numbers."""
    engine = LocalEngine(store=Store(tmp_path_factory.mktemp("local")), threads=1)
    yield engine
    engine.close()
