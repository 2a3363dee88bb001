"""The adapters that a race and a study offer are the ones they trained: they answer the test examples alike."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_engine import FakeEngine
from safetensors.torch import load

from replora.adapters.peft import load_peft
from replora.backbones import load_backbone
from replora.catalog import TASKS
from replora.config import RaceOptions
from replora.events import Evaluated
from replora.lens.service import answer
from replora.studies.events import CellFinished
from replora.studies.spec import DataStudy
from replora.studies.study import study
from replora.tasks import load_task, nested_subset
from replora.training.batch import TEST_SEED
from replora.training.race import race
from replora.training.snapshots import Snapshots, SnapshotWriter
from replora.ui.parts.adapters import adapter_downloads, study_adapters

TASK = "wordnet_topics"
TESTED = 40
SHARED: dict[str, Any] = {"steps": 4, "batch_size": 4, "test_examples": TESTED, "adapted_blocks": 1}


@torch.no_grad()
def accuracy(data: bytes, folder: Path) -> float:
    """Share of the tested examples that a zipped adapter has right, on a fresh model."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
    head = load((folder / "head.safetensors").read_bytes())
    backbone = load_backbone(TASKS[TASK].backbone)
    backbone = backbone.with_model(load_peft(backbone.model, folder))
    task = load_task(TASK)
    tested = task.test.take(nested_subset(task.test.labels, TESTED, TEST_SEED))
    features = backbone.features(backbone.prefix(backbone.encode(tested.examples), 0), 0)
    right = (features @ head["weight"].T + head["bias"]).argmax(-1).numpy() == tested.labels
    return float(right.mean())


@pytest.mark.slow
def test_a_race_offers_an_adapter_a_run(tmp_path):
    spec = RaceOptions(task=TASK, methods=("head", "lora", "replora"), precision="float32", **SHARED).race()
    events = list(race(spec, snapshots=SnapshotWriter(tmp_path / "job", spec)))
    last = [each for each in events if isinstance(each, Evaluated)][-1]
    offered = adapter_downloads(FakeEngine(answer, place=tmp_path), "job", spec)
    assert [each.label for each in offered] == ["Adapter of LoRA (PEFT)", "Adapter of RepLoRA (PEFT)"]
    for place, each in zip((1, 2), offered, strict=True):
        made = each.make()
        assert isinstance(made, bytes)
        assert accuracy(made, tmp_path / each.label) == pytest.approx(last.accuracies[place], abs=1e-6)


@pytest.mark.slow
def test_a_study_offers_the_adapter_of_each_methods_best_run_by_validation(tmp_path):
    spec = DataStudy(task=TASK, fractions=(0.1, 0.3), seeds=(0, 1), precision="float32", **SHARED)
    events = list(study(spec, at_once=3, folder=tmp_path / "job"))
    cells = [each for each in events if isinstance(each, CellFinished)]
    assert len(list((tmp_path / "job").glob("batch_*"))) > 1
    offered = study_adapters(FakeEngine(answer, place=tmp_path), "job", events)
    assert len(offered) == 2
    for method, each in zip(("lora", "replora"), offered, strict=True):
        runs = [cell for cell in cells if cell.method == method and cell.accuracy is not None]
        best = max(runs, key=lambda cell: (cell.validation_accuracy or 0.0, cell.fraction)).accuracy
        made = each.make()
        assert isinstance(made, bytes)
        assert accuracy(made, tmp_path / method) == pytest.approx(best, abs=1e-6)
    assert Snapshots(tmp_path / "job" / "batch_0").steps() == [4]


def test_a_study_without_a_folder_leaves_nothing_and_offers_nothing(tmp_path):
    spec = DataStudy(task=TASK, fractions=(0.1, 0.3), seeds=(0,), **{**SHARED, "steps": 1})
    events = list(study(spec))
    assert study_adapters(FakeEngine(answer, place=tmp_path), "job", events) == []
