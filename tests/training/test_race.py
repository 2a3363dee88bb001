"""The engine on the embedded models: pairing, batching, divergence, pausing, repeatability.

REPLORA_TEST_DEVICE=cuda runs the same tests on a GPU.
"""

from __future__ import annotations

import dataclasses
import os
import time
import types
from typing import Any, cast

import pytest
import torch
from present import of_type, present

import replora.training.batch as module
from replora.config import Method, Race, Run
from replora.events import Diverged, Evaluated, Event, Finished, RateChanged, Started, Step, from_line, to_line
from replora.options import SpecError
from replora.training.head import Heads
from replora.training.race import race, race_lines

LORA, REPLORA = Method(name="lora"), Method(name="replora", mlp_width=16)
SMALL = Race(
    runs=(Run(method=LORA), Run(method=REPLORA)),
    steps=3,
    batch_size=4,
    adapted_blocks=1,
    evaluate_every=3,
    test_examples=20,
    device=cast(Any, os.environ.get("REPLORA_TEST_DEVICE", "cpu")),
    precision="float32",
)
TASKS = ["digits", "wordnet_topics"]


def small(**changes: Any) -> Race:
    return dataclasses.replace(SMALL, **changes)


def losses(events: list[Event]) -> torch.Tensor:
    """(steps, runs)"""
    return torch.tensor([event.losses for event in events if isinstance(event, Step)])


@pytest.mark.parametrize("task", TASKS)
def test_paired_runs_start_at_the_same_loss_with_no_update(task):
    variants = [
        Method(name="replora", sharing="tied", activation="tanh"),
        Method(name="replora", sharing="separate", residual=True, layer_sharing="one", rank=2),
    ]
    runs = tuple(Run(method=method, seed=3) for method in [Method(name="head"), LORA, REPLORA, *variants])
    events = list(race(small(task=task, runs=runs, steps=1)))
    first = next(event for event in events if isinstance(event, Step))
    assert first.delta_norms == (0.0,) * 5
    torch.testing.assert_close(
        torch.tensor(first.losses), torch.full((5,), present(first.losses[0])), atol=1e-5, rtol=0
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_batch_of_mixed_runs_equals_each_run_alone(task):
    runs = (
        Run(method=LORA, seed=0, learning_rate=1e-3),
        Run(method=REPLORA, seed=0, learning_rate=1e-3),
        Run(method=Method(name="lora", rank=8, alpha=16), seed=1, learning_rate=3e-3, data_fraction=0.3),
        Run(method=Method(name="replora", mlp_width=8, sharing="tied", rank=2), seed=1, data_fraction=0.03),
        Run(method=Method(name="head"), seed=2),
        Run(method=REPLORA, seed=2, learning_rate=3e-4),
    )
    spec = small(task=task, runs=runs, steps=8, evaluate_every=8)
    together = losses(list(race(spec)))
    alone = torch.cat([losses(list(race(dataclasses.replace(spec, runs=(run,))))) for run in runs], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    assert together.shape == (8, 6)
    assert (together[0] - together[-1]).abs().min() > 1e-3


@pytest.mark.slow
def test_runs_of_different_projections_and_depths_equal_each_alone():
    methods = [
        Method(name="lora", projections=("query",)),
        Method(name="lora", rank=2, projections=("value",)),
        Method(name="replora", mlp_width=16, projections=("value",), mlp_depth=0),
        Method(name="replora", mlp_width=8, mlp_depth=2),
        Method(name="head"),
    ]
    runs = tuple(Run(method=method, seed=3, learning_rate=1e-2) for method in methods)
    spec = small(task="wordnet_topics", runs=runs, steps=4, evaluate_every=4)
    together = list(race(spec))
    alone = torch.cat([losses(list(race(dataclasses.replace(spec, runs=(run,))))) for run in runs], dim=1)
    torch.testing.assert_close(losses(together), alone, atol=1e-4, rtol=0)
    assert len({round(loss, 5) for loss in losses(together)[-1].tolist()}) == len(runs)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_spec_same_events_bit_for_bit(precision):
    def told() -> list[Event]:
        events = list(race(small(precision=precision, head_start="probe")))
        return [
            dataclasses.replace(each, seconds=0) if isinstance(each, Step | Evaluated | Finished) else each
            for each in events
        ]

    assert told() == told()


def test_a_diverged_run_is_told_and_frozen_while_the_others_go_on():
    wild = Run(method=Method(name="replora", activation="identity", rank=8, alpha=4096), learning_rate=1.0)
    calm = Run(method=REPLORA)
    spec = small(runs=(wild, calm), steps=8, evaluate_every=8, warmup_fraction=0.0)
    events = list(race(spec))
    lost = [event for event in events if isinstance(event, Diverged)]
    assert [event.run for event in lost] == [0]
    assert lost[0].reason == "The update has grown to over 1,000 times the frozen weights."
    after = [event for event in events if isinstance(event, Step) and event.step >= lost[0].step]
    assert len(after) > 1
    assert all(event.losses[0] is None and event.delta_norms[0] is None for event in after)
    evaluated = next(event for event in events if isinstance(event, Evaluated))
    assert evaluated.accuracies[0] is None
    assert evaluated.accuracies[1] is not None
    assert isinstance(events[-1], Finished)
    alone = losses(list(race(dataclasses.replace(spec, runs=(calm,)))))[:, 0]
    paired = torch.tensor([event.losses[1] for event in events if isinstance(event, Step)])
    torch.testing.assert_close(paired, alone, atol=1e-4, rtol=0)
    assert all(from_line(to_line(event)) == event for event in events)


def test_a_loss_that_is_not_a_number_is_divergence(monkeypatch):
    clean = Heads.forward

    def broken(self: Heads, features: torch.Tensor) -> torch.Tensor:
        return clean(self, features) * features.new_tensor([float("nan"), 1.0]).view(2, 1, 1)

    monkeypatch.setattr(Heads, "forward", broken)
    events = list(race(SMALL))
    lost = [event for event in events if isinstance(event, Diverged)]
    assert lost == [Diverged(1, 0, "The loss is no longer a finite number.")]
    assert all(event.losses[1] is not None for event in events if isinstance(event, Step))


def test_a_new_rate_applies_from_the_next_step_and_is_told():
    asked = iter([None, 1e-4, None])
    events = list(race(small(warmup_fraction=0.0), new_rate=lambda: next(asked)))
    (changed,) = of_type(RateChanged, events)
    assert changed.step == 1
    assert changed.learning_rates == pytest.approx((1e-4, 1e-4))
    rates = [event.learning_rates for event in events if isinstance(event, Step)]
    assert rates[0] == pytest.approx((3e-4, 3e-4))
    assert rates[1][0] < 1e-4


def test_the_clock_stands_while_nobody_asks(monkeypatch):
    hours = 0.0
    clock = types.SimpleNamespace(perf_counter=lambda: time.perf_counter() + 3600 * hours)
    monkeypatch.setattr(module, "time", clock)
    told = race(SMALL)
    first = next(event for event in told if isinstance(event, Step))
    hours = 1.0
    second = next(event for event in told if isinstance(event, Step))
    assert 0 < second.seconds - first.seconds < 3600


@pytest.mark.slow
def test_a_probe_start_is_shared_by_paired_runs_and_beats_chance():
    events = list(race(small(head_start="probe")))
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert evaluated[0].step == 0
    assert evaluated[0].accuracies[0] == evaluated[0].accuracies[1]
    assert present(evaluated[0].accuracies[0]) > 0.5


def test_started_says_what_ran():
    started = next(iter(race(SMALL)))
    assert isinstance(started, Started)
    assert started.spec == SMALL
    lora, replora = started.facts
    assert lora.trained_parameters == lora.deployed_parameters == replora.deployed_parameters == 4 * 4 * 384
    assert replora.trained_parameters == 2 * (4 * 384 + 384 * 16 + 16 + 2 * (16 * 384 + 384))
    assert lora.head_parameters == 10 * 384 + 10
    assert lora.examples == 400
    assert (started.backbone, started.precision, len(started.classes)) == ("dinov2_small_6", "float32", 10)


def test_race_lines_are_the_events_of_race(tmp_path):
    lines = list(race_lines(SMALL.to_dict(), lambda: None, tmp_path))
    assert [type(from_line(line)) for line in lines] == [Started, Step, Step, Step, Evaluated, Finished]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"adapted_blocks": 7},
            "adapted_blocks must be a whole number from 1 to 6, the blocks of dinov2_small_6, got 7",
        ),
        ({"backbone": "minilm_l3"}, "backbone must read images for the task digits, got minilm_l3, which reads texts"),
        ({"backbone": "nothing"}, "backbone must be one of auto, .* got 'nothing'"),
        ({"device": "mps"}, r"device must be one of those of this machine \(.*cpu.*\) or auto, got mps"),
        ({"runs": (Run(method=Method(rank=500)),)}, "rank must be a whole number from 1 to 384, .* got 500"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_event(changes, message):
    with pytest.raises(ValueError, match=message):
        next(race(small(**changes)))


def test_all_heads_train_without_any_adapter():
    events = list(race(small(runs=(Run(method=Method(name="head")),))))
    facts = of_type(Started, events)[0].facts[0]
    assert (facts.trained_parameters, facts.deployed_parameters) == (0, 0)
    assert losses(events).shape == (3, 1)


def test_gradient_clipping_limits_each_run_by_itself():
    free = losses(list(race(small(steps=5))))
    tight = losses(list(race(small(steps=5, clip_norm=1e-9, weight_decay=0.0))))
    assert torch.equal(free[0], tight[0])
    assert not torch.equal(free[-1], tight[-1])


def test_spec_errors_name_field_value_and_range():
    with pytest.raises(SpecError, match=r"runs must hold from 1 to 1024 runs, got 0\."):
        Race(runs=())


def test_lora_plus_moves_b_further_and_another_optimizer_moves_all():
    def norms(optimizer: str, ratio: float) -> tuple[float | None, ...]:
        methods = (Method(name="lora", b_rate_ratio=ratio), REPLORA)
        runs = tuple(Run(method=method, learning_rate=1e-3) for method in methods)
        events = list(race(small(runs=runs, optimizer=cast(Any, optimizer), warmup_fraction=0.0)))
        return [event.delta_norms for event in events if isinstance(event, Step)][1]  # after one step

    plain, plus, descent = norms("adamw", 1.0), norms("adamw", 4.0), norms("sgd", 1.0)
    assert present(plus[0]) == pytest.approx(4 * present(plain[0]), rel=0.05)
    assert plus[1] == pytest.approx(plain[1])
    assert 0 < present(descent[0]) < present(plain[0])
