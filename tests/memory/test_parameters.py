"""Parameters counted from knobs are those of the factors themselves, and the rank of LoRA that trains as many."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from present import present

from replora.adapters.factors import AttentionShape
from replora.adapters.kinds import make_factors
from replora.catalog import ASSETS
from replora.config import Method, RaceOptions
from replora.config.method import LayerSharing, method_of
from replora.memory.parameters import equal_rank, rank_for, trained_parameters
from replora.methods import PROJECTIONS
from replora.studies.base import of_kind
from replora.studies.events import started_of
from replora.studies.lines import read_study_events
from replora.studies.spec import DataStudy

LAYERS, WIDTH = 3, 8
VALUES = 4
GROUPED = AttentionShape(layers=LAYERS, in_features=WIDTH, out_features=(WIDTH, VALUES))
SHAPE = AttentionShape(layers=LAYERS, in_features=WIDTH, out_features=(WIDTH, WIDTH))


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("latent", ["rows", "diagonal"])
@pytest.mark.parametrize("sharing", ["trunk", "tied", "separate"])
def test_the_count_is_that_of_the_factors(depth, latent, sharing):
    for layer_sharing, projections in itertools.product(get_args(LayerSharing), (PROJECTIONS, PROJECTIONS[1:])):
        method = Method(
            rank=3,
            mlp_width=5,
            mlp_depth=depth,
            latent=latent,
            sharing=sharing,
            layer_sharing=layer_sharing,
            projections=projections,
        )
        made = make_factors(method, SHAPE, [0, 1])
        assert trained_parameters(method, WIDTH, LAYERS) == made.trained_parameters(), method
        if sharing != "tied":
            made = make_factors(method, GROUPED, [0])
            assert trained_parameters(method, WIDTH, LAYERS, VALUES) == made.trained_parameters(), method


@pytest.mark.parametrize("sharing", ["trunk", "tied"])
@pytest.mark.parametrize("projections", [("query", "value"), ("query",)])
def test_the_count_is_that_of_lora_and_of_no_adapter(sharing, projections):
    lora = Method(name="lora", rank=3, sharing=sharing, projections=projections)
    assert trained_parameters(lora, WIDTH, LAYERS) == make_factors(lora, SHAPE, [0]).trained_parameters()
    assert trained_parameters(Method(name="head"), WIDTH, LAYERS) == 0
    if sharing == "trunk":
        made = make_factors(lora, GROUPED, [0])
        assert trained_parameters(lora, WIDTH, LAYERS, VALUES) == made.trained_parameters()


@pytest.mark.parametrize(
    "knobs",
    [
        {}, {"mlp_width": 16}, {"rank": 8}, {"sharing": "tied"}, {"layer_sharing": "one"}, {"lora_rank": 7},
        {"mlp_depth": 3}, {"projections": ("value",)},
    ],
    ids=str,
)  # fmt: skip
def test_no_other_rank_of_lora_trains_more_nearly_as_many(knobs):
    form = RaceOptions(**knobs)
    lora, ours = (method_of(form, name) for name in ("lora", "replora"))
    counts = {rank: trained_parameters(lora.of_rank(rank), 384, 3) for rank in range(1, 400)}
    wanted = trained_parameters(ours, 384, 3)
    assert equal_rank(form) == min(counts, key=lambda rank: abs(counts[rank] - wanted))


def test_the_defaults_are_as_the_recorded_study_had_it():
    recording = ASSETS / "recorded" / "study_wordnet_topics_parameters.jsonl.gz"
    started = present(started_of(read_study_events(recording)))
    spec = of_kind(started.spec, DataStudy)
    assert equal_rank(RaceOptions()) == equal_rank(DataStudy()) == equal_rank(spec) == spec.lora_rank == 99
    counts = {name: trained_parameters(method_of(spec, name), 384, spec.adapted_blocks) for name in spec.methods}
    assert counts == {sizes.method: sizes.trained_parameters for sizes in started.methods}


def test_a_rank_that_no_form_has_is_none():
    assert rank_for(2048, 4, 8) == 1024
    assert rank_for(2052, 4, 8) == rank_for(1, 4, 400) == 0
