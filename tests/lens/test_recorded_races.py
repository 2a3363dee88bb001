"""The recorded races to look into: what is kept of each, and that thinning keeps what a whole recording holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from replora.adapters.factors import AttentionShape
from replora.adapters.kinds import make_factors
from replora.adapters.stacked import MixedFactors
from replora.catalog import ASSETS, TASKS
from replora.config import RaceOptions
from replora.lens.reparameterization.parameters import trained_factors
from replora.lens.subject import Subject
from replora.methods import PROJECTIONS
from replora.training.head import Heads
from replora.training.snapshots import Snapshots, SnapshotWriter
from scripts.record_runs import LENS_STEPS, thin

SHAPE = AttentionShape(layers=2, in_features=8, out_features=(8, 4))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A whole recording as the writer makes it, of factors that never saw a model."""
    spec = RaceOptions(methods=("head", "lora", "replora")).race()
    made = [(make_factors(run.method, SHAPE, [0]), [place]) for place, run in enumerate(spec.runs) if place]
    factors, heads = MixedFactors(len(spec.runs), made), Heads(range(len(spec.runs)), 8, 3)
    writer = SnapshotWriter(tmp_path / "lens", spec, torch.float16)
    for step in range(0, spec.steps + 1, spec.evaluate_every):
        for parameter in factors.parameters():
            torch.nn.init.normal_(parameter)
        writer.offer(step, factors, heads)
    return tmp_path / "lens"


def test_thinning_keeps_some_steps_and_what_generates_and_changes_no_number(recording: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(recording, whole)
    thin(recording)
    thin(recording)  # again: nothing more goes
    before, after = Snapshots(whole), Snapshots(recording)
    assert after.steps() == list(LENS_STEPS)
    assert set(LENS_STEPS) < set(before.steps())
    for step in LENS_STEPS:
        for name, values in before.at(step).items():
            assert torch.equal(after.at(step)[name], values)
    (kept_step, kept), (held_step, held) = after.parameters(), before.parameters()
    assert kept_step == held_step == 100
    assert {name.split(".")[0] for name in held} == {"0", "1"}
    assert {name for name in held if name.startswith("1.")} == set(kept)
    assert all(torch.equal(kept[name], held[name]) for name in kept)


@pytest.mark.parametrize("task", TASKS)
def test_a_recorded_race_is_the_default_one_and_its_factors_arise_from_its_parameters(task: str) -> None:
    folder = ASSETS / "recorded" / f"lens_{task}"
    found = Subject(folder)
    assert found.spec == RaceOptions(task=task, methods=("head", "lora", "replora")).race()
    assert found.snapshots.steps() == list(LENS_STEPS)
    replora = next(place for place, run in enumerate(found.spec.runs) if run.method.name == "replora")
    step, factors = trained_factors(found, replora)
    assert step == found.spec.steps
    kept, made = found.taken(step, [replora]).pairs, factors.generate()
    assert set(kept) == set(made) == set(PROJECTIONS)
    for projection, pair in made.items():
        for generated, stored in zip(pair, kept[projection], strict=True):
            # Parameters and factors are both rounded to half precision: 2^-11 of each, summed over a hidden layer.
            assert (generated - stored).abs().max() <= 2e-3 * stored.abs().max()
