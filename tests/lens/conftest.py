"""Two small races with snapshots, an image and a text one, trained once for all tests of the lens."""

from __future__ import annotations

from pathlib import Path

import pytest

from replora.config import Method, Race, RaceOptions, Run
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter

LENS_RUNS = tuple(
    Run(method=method, seed=3, learning_rate=3e-3)
    for method in (Method(name="head"), Method(name="lora", rank=2), Method(name="replora", rank=4, mlp_width=16))
)


def small(task: str) -> Race:
    """A race of few steps: head only, LoRA of rank 2, RepLoRA of rank 4."""
    options = RaceOptions(task=task, steps=6, batch_size=8, test_examples=20, evaluate_every=3, device="cpu")
    shared = {name: value for name, value in options.race().to_dict().items() if name != "runs"}
    return Race(**{**shared, "precision": "float32", "adapted_blocks": 2}, runs=LENS_RUNS)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of snapshots by modality."""
    made = {}
    for modality, task in (("image", "digits"), ("text", "wordnet_topics")):
        spec = small(task)
        made[modality] = tmp_path_factory.mktemp("lens") / modality
        list(race(spec, snapshots=SnapshotWriter(made[modality], spec)))
    return made
