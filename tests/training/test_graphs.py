"""What a GPU does, on the CPU: steps in blocks, packed texts, replays that read the same tensors again.

A stand-in for capture calls the work again, which reads the tensors it was captured with, as a graph does.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from present import of_type
from torch import Tensor

from replora.backbones import load_backbone
from replora.backbones.packs import Sequences, fit
from replora.config import Method, Race, Run
from replora.events import Diverged, Evaluated, Event, Finished, RateChanged, Step
from replora.tasks import load_task
from replora.training.cache import PrefixCache
from replora.training.device import choose_device
from replora.training.graphs import Graphs, Pace, cuda_graphs
from replora.training.race import race

DEVICE = choose_device("auto")
CLOSE = 1e-3 if DEVICE.type == "cuda" else 1e-4  # a GPU's convolutions differ with the size of the batch
WILD = Run(method=Method(name="replora", activation="identity", rank=8, alpha=4096), learning_rate=1.0)
SMALL = Race(
    runs=(Run(method=Method(name="lora", rank=2)), Run(method=Method(name="replora", mlp_width=8)), WILD),
    steps=9,
    batch_size=4,
    adapted_blocks=1,
    evaluate_every=7,
    test_examples=20,
    validation_examples=12,
    tell_answers=True,
    warmup_fraction=0.0,
    device=cast(Any, DEVICE.type),
    precision="float32",
)


class Replays:
    """Captures by calling again; counts captures and replays. On a GPU the real thing."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0
        self.real = cuda_graphs() if DEVICE.type == "cuda" else None

    def __call__(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.captured += 1
        real = self.real(work) if self.real else work

        def replay() -> Tensor:
            self.replayed += 1
            return real()

        return replay


def told(spec: Race, pace: Pace, **options: Any) -> list[Event]:
    """Events without their seconds."""
    events = race(spec, pace=pace, **options)
    timed = (Step, Evaluated, Finished)
    return [dataclasses.replace(each, seconds=0) if isinstance(each, timed) else each for each in events]


def close(ours: list[Event], theirs: list[Event]) -> None:
    """Same kinds of events, and losses of the runs that both know the same up to rounding."""
    assert [type(each) for each in ours] == [type(each) for each in theirs]
    for a, b in zip(of_type(Step, ours), of_type(Step, theirs), strict=True):
        assert a.losses[:2] == pytest.approx(b.losses[:2], abs=CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["digits", "wordnet_topics"])
def test_a_replayed_race_is_the_plain_one_bit_for_bit(task):
    spec, replays = dataclasses.replace(SMALL, task=task), Replays()
    plain = told(spec, Pace(10, packed=True))
    assert told(spec, Pace(10, packed=True, captures=lambda: replays)) == plain
    assert replays.captured
    assert replays.replayed > replays.captured
    assert [each.run for each in of_type(Diverged, plain)] == [2]
    assert [each.step for each in of_type(Evaluated, plain)] == [7, 9]
    close(plain, told(spec, Pace()))


@pytest.mark.slow
def test_a_rate_that_changes_within_a_block_applies_from_the_next_step_on():
    def rates() -> Callable[[], float | None]:
        asked = iter([None, None, 1e-4, None, None, None, 3e-3, None, None])
        return lambda: next(asked)

    replays = Replays()
    plain = told(SMALL, Pace(), new_rate=rates())
    blocks = told(SMALL, Pace(5, packed=True, captures=lambda: replays), new_rate=rates())
    assert replays.replayed
    assert [each.step for each in of_type(RateChanged, blocks)] == [2, 6]
    assert [each.learning_rates for each in of_type(Step, blocks)] == [
        each.learning_rates for each in of_type(Step, plain)
    ]
    close(blocks, plain)


@pytest.mark.slow
def test_a_race_that_cannot_be_captured_goes_on_step_by_step_and_says_so(caplog):
    def fails(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing.\nmore")

    plain = told(SMALL, Pace(10, packed=True))
    with caplog.at_level(logging.WARNING, logger="replora"):
        assert told(SMALL, Pace(10, packed=True, captures=lambda: fails)) == plain
    own = [each for each in caplog.records if each.name.startswith("replora.")]  # threads of other tests may speak too
    assert [each.getMessage() for each in own] == [
        "Each step of this run is launched by itself: it could not be captured "
        "(operation not permitted when stream is capturing)."
    ]


def test_too_little_memory_for_a_graph_is_too_little_memory():
    def fails(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        told(SMALL, Pace(10, packed=True, captures=lambda: fails))


def test_work_that_is_seldom_asked_for_is_not_captured():
    replays = Replays()
    graphs = Graphs(replays)
    doubled = [graphs.run("few", lambda x: 2 * x, torch.tensor(value, device=DEVICE), times=3) for value in (1.0, 2.0)]
    assert [each.item() for each in doubled] == [2.0, 4.0]
    assert not replays.captured
    doubled = [
        graphs.run("many", lambda x: 2 * x, torch.tensor(value, device=DEVICE), times=9) + 0
        for value in (1.0, 2.0, 3.0)
    ]
    assert [each.item() for each in doubled] == [2.0, 4.0, 6.0]
    assert (replays.captured, replays.replayed) == (1, 2)


def test_texts_fit_into_sequences_without_touching():
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 60, (7, 16))
    starts, count = fit(lengths, 64)
    for row, begins in zip(lengths, starts, strict=True):
        taken = np.concatenate([np.arange(begin, begin + length) for begin, length in zip(begins, row, strict=True)])
        assert len(np.unique(taken)) == row.sum()
        assert taken.max() < count * 64
        assert (begins // 64 == (begins + row - 1) // 64).all()
    assert fit(np.array([[64, 1, 63]]), 64)[1] == 2


@pytest.mark.parametrize("first", [0, 1])
def test_packed_texts_have_the_features_they_have_alone(first):
    backbone = load_backbone("minilm_l3")
    split = load_task("movie_sentiment").test.take(np.arange(24))
    caches = [PrefixCache(backbone, split, first, torch.float32, packed=packed) for packed in (True, False)]
    places = np.array([[5, 3, 3, 20], [0, 23, 7, 11]])
    features = []
    with torch.no_grad():
        for cache in caches:
            cache.fill(places)
            starts, sequences = cache.plan(places)
            rows = cache.at(torch.from_numpy(places), torch.from_numpy(starts), sequences)
            features.append(backbone.features(rows, first))
    torch.testing.assert_close(*features, atol=1e-5, rtol=1e-5)
    assert caches[0].plan(places)[1].width % 64 == 0
    assert caches[1].plan(places)[1] == Sequences(1, int(caches[1].lengths[places].max()))


@pytest.mark.parametrize("packed", [True, False])
def test_portions_hold_every_example_where_they_say(packed):
    split = load_task("wordnet_topics").test.take(np.arange(50))
    cache = PrefixCache(load_backbone("minilm_l3"), split, 0, torch.float32, packed=packed)
    portions, found = cache.portions(3)
    assert np.concatenate([each.ravel() for each in portions])[found].tolist() == list(range(50))
