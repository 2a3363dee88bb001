"""Races in which one projection alone is adapted, or the MLP is deep, seen by the lens; and what no graft can make."""

from __future__ import annotations

import json

import numpy as np
import pytest
from present import present

from replora.adapters.factors import AttentionShape
from replora.adapters.reparameterized import ReparameterizedFactors
from replora.catalog import ASSETS, TASKS
from replora.config import Method, Race, RaceOptions, Run
from replora.lens.answers import HeadAnswer, InsideAnswer
from replora.lens.questions import Edit, Graft, HeadQuestion, InsideQuestion, LensError
from replora.lens.reparameterization.parameters import grafted
from replora.lens.service import answer
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter

METHODS = (
    Method(name="lora", rank=2, projections=("query",)),
    Method(name="lora", rank=2, projections=("value",)),
    Method(rank=3, mlp_width=8, mlp_depth=2, projections=("query",)),
    Method(rank=3, mlp_depth=0, projections=("value",)),
    Method(rank=3, mlp_width=8, projections=("query",), latent="diagonal"),
)
QUERY, VALUE, DEEP_QUERY, LINEAR_VALUE, DIAGONAL_QUERY = range(len(METHODS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Snapshots of a text race of these methods."""
    options = RaceOptions(
        task="wordnet_topics", steps=4, batch_size=8, test_examples=20, evaluate_every=4, device="cpu"
    )
    shared = {name: value for name, value in options.race().to_dict().items() if name != "runs"}
    runs = tuple(Run(method=method, seed=3, learning_rate=3e-3) for method in METHODS)
    spec = Race(**{**shared, "precision": "float32", "adapted_blocks": 2}, runs=runs)
    made = tmp_path_factory.mktemp("lens") / "projections"
    list(race(spec, snapshots=SnapshotWriter(made, spec)))
    return str(made)


def ask(question, kind):
    """Through JSON, as between processes."""
    return kind.from_dict(json.loads(json.dumps(answer(json.loads(json.dumps(question.to_dict()))))))


@pytest.mark.slow
def test_the_part_of_the_projection_that_is_not_adapted_is_exactly_zero(folder):
    found = ask(HeadQuestion(folder=folder, runs=(QUERY, VALUE, DEEP_QUERY, LINEAR_VALUE)), HeadAnswer)
    for told in found.runs:
        query_alone = told.run in (QUERY, DEEP_QUERY)
        parts = {"routing": (told.routing, told.routing_norms), "expert": (told.expert, told.expert_part_norms)}
        for values in parts["expert" if query_alone else "routing"]:
            assert not values.any()
        moved, norms = parts["routing" if query_alone else "expert"]
        assert moved.any()
        assert norms.any()
        assert bool(told.shifts.any()) != query_alone
        assert np.array_equal(told.gates, told.base_gates) != query_alone


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "beside", "projection"), [(DEEP_QUERY, QUERY, "query"), (LINEAR_VALUE, VALUE, "value")]
)
def test_the_inside_shows_the_adapted_projection_alone(folder, run, beside, projection):
    found = ask(InsideQuestion(folder=folder, run=run, layer=1, beside=beside), InsideAnswer)
    for update in (found.trained, found.now, found.beside):
        assert list(update.parts) == [projection]
        assert update.cosine is None
        assert update.parts[projection].norm > 0
    hidden = {each.name.split(".")[-1] for each in found.tensors if each.part == "hidden"}
    assert hidden == ({"first_weight", "hidden_weight_2"} if run == DEEP_QUERY else set())


def test_the_inside_of_a_diagonal_is_a_row_of_numbers_of_which_the_mlp_makes_all_of_a(folder):
    found = ask(InsideQuestion(folder=folder, run=DIAGONAL_QUERY, tensor="g_a.0.latent"), InsideAnswer)
    assert present(found.chosen).values.shape == (1, 3)
    edit = Edit(tensor="g_a.0.latent", row=0, column=0, factor=3.0)
    moved = ask(InsideQuestion(folder=folder, run=DIAGONAL_QUERY, edits=(edit,)), InsideAnswer)
    before, after = (each.parts["query"].a for each in (moved.trained, moved.now))
    assert (np.abs(after - before).max(axis=1) > 0).all()  # one entry moves every row
    tanh = InsideQuestion(folder=folder, run=DIAGONAL_QUERY, graft=Graft(activation="tanh"))
    assert np.abs(ask(tanh, InsideAnswer).now.parts["query"].a - before).max() > 0


SHAPE = AttentionShape(layers=2, in_features=8, out_features=(8, 4))


@pytest.mark.parametrize(
    ("method", "graft", "sentence"),
    [
        (Method(rank=2, mlp_width=5), Graft(mlp_depth=2), "it needs hidden_weight_2, which this run did not train."),
        (Method(rank=2, mlp_width=5, mlp_depth=2), Graft(mlp_depth=1), "it has no hidden_weight_2, which"),
        (Method(rank=2, mlp_width=5), Graft(mlp_depth=0), "it has no first_weight, which"),
        (Method(rank=2, mlp_depth=0), Graft(mlp_depth=1), "it needs first_weight, which this run did not train."),
        (Method(rank=2, mlp_width=5), Graft(latent="diagonal"), "its latent is (1, 2) a layer, this run's is (2, 8)."),
        (Method(rank=2, mlp_width=5), Graft(sharing="separate"), "its latent is (2, 4) a layer, this run's is (2, 8)."),
    ],
)
def test_a_structure_that_the_trained_parameters_cannot_fill_is_one_sentence(method, graft, sentence):
    with pytest.raises(LensError) as caught:
        grafted(ReparameterizedFactors(method, SHAPE, [0]), graft)
    assert str(caught.value).startswith("The structure cannot be read: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("task", TASKS)
def test_recorded_races_answer(task):
    folder = str(ASSETS / "recorded" / f"lens_{task}")
    found = ask(HeadQuestion(folder=folder, runs=(0, 1, 2)), HeadAnswer)
    assert found.steps == (0, 30, 100)
    assert [bool(each.change.any()) for each in found.runs] == [False, True, True]
    assert all(np.isfinite(each.gates).all() for each in found.runs)
