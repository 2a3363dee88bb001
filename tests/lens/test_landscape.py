"""The landscape against the race's own evaluations, merged models one by one, and least squares on dense matrices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from present import of_type, present

from replora.adapters.attach import attach_factors, merge
from replora.adapters.direct import DirectFactors
from replora.adapters.factors import AttentionShape
from replora.backbones import load_backbone
from replora.catalog import TASKS
from replora.config import Method, Race, RaceOptions, Run
from replora.events import Evaluated, Event
from replora.lens.answers import LandscapeAnswer
from replora.lens.landscape import answer as landscape
from replora.lens.landscape.answer import answer_landscape
from replora.lens.landscape.plane import NO_PLANE
from replora.lens.questions import LandscapeQuestion
from replora.lens.service import answer
from replora.lens.subject import RunsSnapshot, Subject
from replora.methods import PROJECTIONS
from replora.options import UserError
from replora.tasks import load_task, nested_subset
from replora.training.race import race
from replora.training.snapshots import Snapshots, SnapshotWriter

TASK, EXAMPLES = "wordnet_topics", 20
LORA, REPLORA = 1, 2
METHODS = (Method(name="head"), Method(name="lora", rank=2), Method(name="replora", rank=4, mlp_width=16))
CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Event]]:
    """A small race whose heads start at a probe, so that the frozen model is evaluated too."""
    shared = RaceOptions(
        task=TASK, steps=4, evaluate_every=2, batch_size=8, test_examples=EXAMPLES, adapted_blocks=1,
        head_start="probe", device="cpu", precision="float32",
    ).race().to_dict()  # fmt: skip
    runs = tuple(Run(method=method, learning_rate=0.02, data_fraction=0.01) for method in METHODS)
    spec = Race(**{**{name: value for name, value in shared.items() if name != "runs"}, "runs": runs})
    folder = tmp_path_factory.mktemp("landscape") / "race"
    return str(folder), list(race(spec, snapshots=SnapshotWriter(folder, spec)))


def ask(folder: str, **facts: Any) -> LandscapeAnswer:
    """Through JSON, as between processes, until all points are known."""
    question = LandscapeQuestion(folder=folder, runs=(LORA, REPLORA), examples=EXAMPLES, **facts)
    for _ in range(1 + len(question.points)):
        told = answer(json.loads(json.dumps(question.to_dict())))
        found = LandscapeAnswer.from_dict(json.loads(json.dumps(told)))
        if not np.isnan(found.losses).any():
            break
    return found


def test_at_its_corners_it_is_what_the_race_itself_evaluated(raced: tuple[str, list[Event]]) -> None:
    folder, events = raced
    evaluated = {each.step: each.losses for each in of_type(Evaluated, events)}
    found = ask(folder, points=CORNERS)
    assert (found.step, found.steps, found.examples) == (4, (0, 2, 4), EXAMPLES)
    assert len({*evaluated[0]}) == 1  # no update yet, and one probe
    own = [present(evaluated[0][LORA]), present(evaluated[4][LORA]), present(evaluated[4][REPLORA])]
    assert found.losses.tolist() == pytest.approx(own, abs=2e-5)
    norms = of_type(Evaluated, events)[-1].delta_norms[1:]
    assert found.norms == pytest.approx([present(each) for each in norms], rel=1e-4)


def merged(folder: str, run: int, step: int = 4) -> dict[str, torch.Tensor]:
    """All weights of the merged model of a run, and those of its head."""
    found = Snapshots(Path(folder))
    tensors, backbone = found.at(step), load_backbone(TASKS[TASK].backbone)
    own = {f"{side}_{name}": tensors[f"{side}_{name}"][run : run + 1] for name in PROJECTIONS for side in "ab"}
    shape = AttentionShape(1, own["a_query"].shape[-1], tuple(own[f"b_{each}"].shape[2] for each in PROJECTIONS))
    factors = DirectFactors(Method(name="lora", rank=4), shape, [0])
    factors.scaling.copy_(tensors["scaling"][run : run + 1])
    factors.load_state_dict(own)
    model = merge(attach_factors(backbone.model, factors, [backbone.blocks - 1]))
    return {**model.state_dict(), "head weight": tensors["head_weight"][run], "head bias": tensors["head_bias"][run, 0]}


@pytest.mark.slow
@torch.no_grad()
def test_between_them_it_is_a_loop_over_merged_models(raced: tuple[str, list[Event]]) -> None:
    folder, _ = raced
    points = ((0.5, 0.5), (-0.5, 1.5), (1.25, 0.75))
    task, backbone = load_task(TASK), load_backbone(TASKS[TASK].backbone)
    tested = task.test.take(nested_subset(task.test.labels, EXAMPLES, 0))
    ends = [merged(folder, LORA), merged(folder, REPLORA)]
    start = merged(folder, LORA, step=0)
    expected = []
    for point in points:
        model = {}
        for name, base in start.items():
            moves = [share * (end[name] - base) for share, end in zip(point, ends, strict=True)]
            model[name] = base + sum(moves) if base.is_floating_point() else base
        weight, bias = model.pop("head weight"), model.pop("head bias")
        backbone.model.load_state_dict(model)
        features = backbone.features(backbone.prefix(backbone.encode(tested.examples), 0), 0)
        expected.append(float(F.cross_entropy(features @ weight.T + bias, torch.from_numpy(tested.labels))))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(ask(folder, points=points).losses, expected, atol=2e-5)


def test_snapshots_are_where_least_squares_on_the_whole_matrices_puts_them(raced: tuple[str, list[Event]]) -> None:
    folder, _ = raced
    found = ask(folder)
    snapshots = Snapshots(Path(folder))

    def dense(run: int, step: int) -> np.ndarray:
        tensors = snapshots.at(step)
        parts = [
            tensors["scaling"][run] * tensors[f"b_{name}"][run] @ tensors[f"a_{name}"][run] for name in PROJECTIONS
        ]
        return torch.stack(parts).double().numpy().ravel()

    plane = np.stack([dense(LORA, 4), dense(REPLORA, 4)], axis=1)
    assert found.places.shape == (2, 3, 3)
    np.testing.assert_allclose(found.places[:, 0], 0)
    for place, run in enumerate((LORA, REPLORA)):
        for when, step in enumerate((2, 4), start=1):
            point, left, *_ = np.linalg.lstsq(plane, dense(run, step))
            off = np.sqrt(left[0]) / np.linalg.norm(dense(run, step))
            np.testing.assert_allclose(found.places[place, when], [*point, off], atol=1e-4)
    assert 0.01 < found.places[0, 1, 2] < 1
    cosine = plane[:, 0] @ plane[:, 1] / np.prod(np.linalg.norm(plane, axis=0))
    assert found.cosine == pytest.approx(cosine, abs=1e-5)


def test_an_answer_takes_its_time_only_and_the_next_one_goes_on(
    raced: tuple[str, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[RunsSnapshot] = []

    def mean_loss(subject: Subject, model: RunsSnapshot, examples: int) -> float:
        measured.append(model)
        return float(len(measured))

    monkeypatch.setattr(landscape, "mean_loss", mean_loss)
    about, points = Subject(Path(raced[0])), tuple((0.1 * place, 0.0) for place in range(4))
    question = LandscapeQuestion(folder=raced[0], runs=(LORA, REPLORA), examples=EXAMPLES, points=points)
    for known in (1, 2, 3, 4, 4):
        found = answer_landscape(about, question, seconds=-1)  # no time at all: one point each time
        assert np.isnan(found.losses).tolist() == [False] * known + [True] * (4 - known)
    assert len(measured) == 4
    other = LandscapeQuestion(folder=raced[0], runs=(LORA, REPLORA), examples=EXAMPLES, points=points[2:])
    np.testing.assert_array_equal(answer_landscape(about, other).losses, [3, 4])  # known from before


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"runs": (1, 1)}, "runs must be two different runs, got [1, 1]."),
        ({"runs": (0, 1)}, "runs must have an adapter, got run 0, which trains its head alone."),
        ({"runs": (1, 7)}, "run must be a whole number from 0 to 2, got 7."),
        ({"examples": 0}, "examples must be a whole number from 1 to 300, got 0."),
        ({"points": ((float("nan"), 0.0),)}, "points must be numbers from -10 to 10."),
        ({"points": ((0.0, 0.0),) * 513}, "points must be at most 512, got 513."),
        ({"step": 3}, "step must be one of the snapshots (0, 2, 4), got 3."),
        ({"step": 0}, NO_PLANE),
    ],
)
def test_what_cannot_be_had_is_a_sentence(raced: tuple[str, list[Event]], facts: dict[str, Any], sentence: str) -> None:
    question = LandscapeQuestion(**{"folder": raced[0], "runs": (LORA, REPLORA), "examples": EXAMPLES, **facts})
    with pytest.raises(UserError) as caught:
        answer(question.to_dict())
    assert str(caught.value) == sentence
