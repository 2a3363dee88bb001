"""Snapshots of a race: what they hold, how many are kept, and that the race does not notice."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from replora.adapters.factors import AttentionShape
from replora.adapters.kinds import make_factors
from replora.adapters.stacked import MixedFactors
from replora.config import Method, Race, RaceOptions
from replora.events import Event, to_line
from replora.recorded.half_floats import pack, unpack
from replora.training.head import Heads
from replora.training.race import race, race_lines
from replora.training.snapshots import MOST_SNAPSHOTS, SnapshotError, Snapshots, SnapshotWriter

SPEC = RaceOptions(
    task="wordnet_topics",
    methods=("head", "lora", "replora"),
    steps=4,
    evaluate_every=2,
    batch_size=4,
    test_examples=20,
    adapted_blocks=1,
    device="cpu",
    precision="float32",
).race()
SHAPE = AttentionShape(layers=2, in_features=8, out_features=(8, 4))


def untimed(event: Event) -> dict[str, Any]:
    return {name: value for name, value in json.loads(to_line(event)).items() if name != "seconds"}


def small_stack(runs: int = 2) -> tuple[MixedFactors, Heads]:
    factors = make_factors(Method(name="lora", rank=2), SHAPE, range(runs))
    for parameter in factors.parameters():
        torch.nn.init.normal_(parameter)
    return MixedFactors(runs, [(factors, range(runs))]), Heads(range(runs), 8, 3)


def writer(folder: Path, **changes) -> SnapshotWriter:
    spec = RaceOptions(**{"steps": 10, "evaluate_every": 1, **changes}).race()
    return SnapshotWriter(folder, spec)


@pytest.mark.slow
def test_the_race_is_the_same_bit_for_bit_with_and_without_snapshots(tmp_path):
    plain = [untimed(each) for each in race(SPEC)]
    watched = [untimed(each) for each in race(SPEC, snapshots=SnapshotWriter(tmp_path / "run", SPEC))]
    assert watched == plain
    assert Snapshots(tmp_path / "run").steps() == [0, 2, 4]


def test_a_job_leaves_snapshots_in_its_folder_whose_norms_are_those_it_told(tmp_path):
    lines = [json.loads(line) for line in race_lines(SPEC.to_dict(), lambda: None, tmp_path / "job")]
    snapshots = Snapshots(tmp_path / "job")
    assert snapshots.spec == SPEC
    told = {line["step"] - 1: line["delta_norms"] for line in lines if line["event"] == "step"}  # the norm before it
    evaluated = {line["step"]: line["delta_norms"] for line in lines if line["event"] == "evaluated"}
    assert evaluated[2] == told[2]
    for step in (0, 2, 4):
        found = snapshots.at(step)
        for run in range(3):
            squares = 0.0
            for side in ("query", "value"):
                delta = found["scaling"][run] * found[f"b_{side}"][run] @ found[f"a_{side}"][run]
                squares += delta.square().sum().item()
            assert squares**0.5 == pytest.approx({**told, **evaluated}[step][run], abs=1e-6)
    assert not found["b_query"][0].any()  # the head-only run


def test_the_parameters_make_the_factors_of_the_latest_snapshot(tmp_path):
    list(race(SPEC, snapshots=SnapshotWriter(tmp_path / "run", SPEC)))
    snapshots = Snapshots(tmp_path / "run")
    step, parameters = snapshots.parameters()
    assert snapshots.parameters_step() == step == 4
    method = SPEC.runs[2].method
    shape = AttentionShape(1, 384, (384, 384))
    factors = make_factors(method, shape, [9])
    factors.load_state_dict({name[2:]: value for name, value in parameters.items() if name.startswith("1.")})
    for projection, pair in factors.generate().items():
        for side, made in zip("ab", pair, strict=True):
            torch.testing.assert_close(made[0], snapshots.at(4)[f"{side}_{projection}"][2], rtol=0, atol=1e-7)


def test_half_precision_halves_the_size_and_keeps_three_digits(tmp_path):
    factors, heads = small_stack()
    spec = RaceOptions(steps=1).race()
    for number_type in (torch.float32, torch.float16):
        SnapshotWriter(tmp_path / str(number_type), spec, number_type).offer(0, factors, heads)
    exact, short = (Snapshots(tmp_path / str(each)).at(0) for each in (torch.float32, torch.float16))
    assert torch.equal(exact["a_query"], factors.generate()["query"].a)
    torch.testing.assert_close(short["a_query"], exact["a_query"], rtol=1e-3, atol=1e-6)
    kinds = {each.dtype for each in load_file(tmp_path / "torch.float16" / "step_000000.safetensors").values()}
    assert kinds == {torch.float16}


def test_a_long_race_keeps_a_bounded_number_and_always_the_last(tmp_path):
    keeper = writer(tmp_path / "run", steps=203)
    factors, heads = small_stack()
    for step in range(204):
        keeper.offer(step, factors, heads)
    steps = Snapshots(tmp_path / "run").steps()
    assert 2 < len(steps) <= MOST_SNAPSHOTS + 1
    assert (steps[0], steps[-1]) == (0, 203)


def test_a_race_of_many_runs_keeps_fewer(tmp_path, monkeypatch):
    monkeypatch.setattr("replora.training.snapshots.MOST_BYTES", 4_000)
    keeper = writer(tmp_path / "run")
    factors, heads = small_stack()
    for step in range(11):
        keeper.offer(step, factors, heads)
    assert Snapshots(tmp_path / "run").steps() == [0, 4, 8, 10]  # three of 1,120 bytes each, and the last


def test_a_full_disk_ends_the_snapshots_and_not_the_race(tmp_path, monkeypatch, caplog):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("replora.training.snapshots.save_file", full)
    events = list(race(SPEC, snapshots=SnapshotWriter(tmp_path / "run", SPEC)))
    assert untimed(events[-1])["event"] == "finished"
    assert caplog.text.count("No space left on device") == 1


def test_a_race_of_heads_alone_has_snapshots_too(tmp_path):
    spec = Race.from_dict({**SPEC.to_dict(), "runs": [SPEC.runs[0].to_dict()]})
    list(race(spec, snapshots=SnapshotWriter(tmp_path / "run", spec)))
    assert set(Snapshots(tmp_path / "run").at(4)) == {"head_weight", "head_bias"}


def test_a_packed_snapshot_is_the_same(tmp_path):
    factors, heads = small_stack()
    writer(tmp_path / "run").offer(0, factors, heads)
    snapshots = Snapshots(tmp_path / "run")
    plain = snapshots.at(0)
    path = tmp_path / "run" / "step_000000.safetensors"
    path.with_name(f"{path.name}.xz").write_bytes(pack(path.read_bytes()))
    path.unlink()
    assert snapshots.steps() == [0]
    packed = snapshots.at(0)
    assert packed.keys() == plain.keys()
    assert all(torch.equal(packed[name], plain[name]) for name in plain)


def test_what_is_missing_or_broken_is_a_sentence(tmp_path):
    with pytest.raises(SnapshotError, match="no snapshots of its factors"):
        Snapshots(tmp_path / "nothing")
    young = tmp_path / "young"
    young.mkdir()
    (young / "race.json").write_text(json.dumps(SPEC.to_dict()), encoding="utf-8")
    with pytest.raises(SnapshotError, match="only just begun"):
        Snapshots(young).latest()
    begun = Snapshots(young)
    shutil.rmtree(young)
    with pytest.raises(SnapshotError, match="of older runs they are not kept"):
        begun.latest()
    factors, heads = small_stack()
    keeper = writer(tmp_path / "run")
    keeper.offer(0, factors, heads)
    snapshots = Snapshots(tmp_path / "run")
    with pytest.raises(SnapshotError, match=r"step must be one of the snapshots \(0\), got 7\."):
        snapshots.at(7)
    (tmp_path / "run" / "step_000000.safetensors").write_bytes(b"not tensors")
    with pytest.raises(SnapshotError, match=r"step_000000\.safetensors cannot be read"):
        snapshots.at(0)
    (tmp_path / "run" / "step_000000.safetensors.xz").write_bytes(lzma.compress(b"not tensors")[:-9])
    with pytest.raises(SnapshotError, match=r"step_000000\.safetensors cannot be read"):
        snapshots.at(0)
    (tmp_path / "run" / "parameters.safetensors").write_bytes(b"")
    with pytest.raises(SnapshotError, match="parameters of this run cannot be read"):
        snapshots.parameters_step()
    (tmp_path / "run" / "race.json").write_text("{", encoding="utf-8")
    with pytest.raises(SnapshotError, match="cannot be read"):
        Snapshots(tmp_path / "run")


def test_parameters_that_are_shipped_packed_are_the_same(tmp_path: Path) -> None:
    factors, heads = small_stack()
    writer(tmp_path / "run").offer(0, factors, heads)
    plain = Snapshots(tmp_path / "run").parameters()
    file = tmp_path / "run" / "parameters.safetensors"
    file.with_name(f"{file.name}.xz").write_bytes(pack(file.read_bytes()))
    file.unlink()
    step, packed = Snapshots(tmp_path / "run").parameters()
    assert (step, Snapshots(tmp_path / "run").parameters_step()) == (plain[0], plain[0])
    assert packed.keys() == plain[1].keys()
    assert all(torch.equal(packed[name], plain[1][name]) for name in packed)
    file.with_name(f"{file.name}.xz").write_bytes(lzma.compress(b"not tensors"))
    with pytest.raises(SnapshotError, match="parameters of this run cannot be read"):
        Snapshots(tmp_path / "run").parameters()


@pytest.mark.parametrize("length", [0, 1, 2, 7, 4096])
def test_what_is_packed_comes_back_bit_for_bit_whatever_its_length(tmp_path: Path, length: int) -> None:
    data = (3).to_bytes(8, "little") + b"{ }" + bytes(place * place % 251 for place in range(length))
    path = tmp_path / "file.xz"
    path.write_bytes(pack(data))
    assert unpack(path) == data
