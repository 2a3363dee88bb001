"""A small race on a corpus by the twin of the language model, as a server's data folder keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from twin import NAME, write_twin

from replora.config import Method, Race, Run
from replora.events import to_line
from replora.hub.packaged import kept_folder
from replora.jobs.engine import JobState, JobStatus
from replora.jobs.storage.store import Store
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter

METHODS = (Method(name="lora", rank=3, alpha=6), Method(name="replora", rank=2, mlp_width=16))
SPEC = Race(
    runs=tuple(Run(method=method, learning_rate=0.03) for method in METHODS),
    task="plays",
    steps=4,
    batch_size=4,
    adapted_blocks=3,
    evaluate_every=2,
    test_examples=4,
    device="cpu",
    precision="float32",
)


def keep_twin(data: Path, patch: pytest.MonkeyPatch) -> None:
    """The twin stands for the language model in this data folder, on a machine that has no package of it."""
    patch.setenv("REPLORA_DATA", str(data))
    patch.setattr("replora.hub.packaged.find_spec", lambda name: None)
    write_twin(kept_folder(NAME))


def store_race(data: Path, job: str, spec: Race = SPEC) -> None:
    """Run a race and keep it as a job that has finished."""
    store = Store(data)
    lines = [to_line(event) for event in race(spec, snapshots=SnapshotWriter(store.files.folder(job), spec))]
    for line in lines:
        store.files.append(job, line)
    store.save(JobStatus(job, "race", JobState.FINISHED, spec.to_dict(), events=len(lines)), lines)
