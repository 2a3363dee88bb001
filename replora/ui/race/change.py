"""What has changed from one race to the next, and what it made: pure functions of their events."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.config import Race
from replora.config.training import Training
from replora.events import Diverged, Evaluated, Event, PerRun, RateChanged, Started, started_of
from replora.statistics.change import change_p_value, change_verdict, unpaired_verdict
from replora.statistics.metrics import Metric, metric_of, title_on
from replora.ui.parts.settings import instead_of
from replora.wording import listing

LATER, LAST = "What it makes is told from the first evaluation on.", "What it makes is told at the end."
MOVED = "The learning rate was moved on the way."
ROUNDING = "rounding, which differs between machines and between batches of runs"
NO_SEED = "no seed in common"
LOOKS = ("device", "evaluate_every")  # where and how often, not what
DRAWN = 1e-9  # results that differ by more are not the same
Scores = dict[str, dict[int, float | None]]  # by method and seed
Pair = tuple[dict[int, float | None], dict[int, float | None]]  # by seed, now and before


@dataclass(frozen=True)
class _Beside:
    """Two races set beside each other after `step` of the later one, method by method.

    apart: why runs of one seed are no pairs, '' where they are. changed, alike: methods that have changed, and not.
    """

    step: int
    apart: str
    changed: Mapping[str, Pair]
    alike: Mapping[str, Pair]


def change_told(now: Sequence[Event], before: Sequence[Event], spec: Race) -> tuple[str, str]:
    """What `spec`, of which `now` is told so far, has otherwise than the race before it, and what that made.

    Compared at the last step that both have evaluated; where they have not the same number of steps, at their ends.
    """
    earlier = started_of(before)
    if earlier is None:
        return "", ""
    told = listing(instead_of(spec, earlier.spec, without=LOOKS)) or "the same settings"
    found = _set_beside(now, before)
    started = started_of(now)
    if found is None or started is None:
        return told, LATER if spec.steps == earlier.spec.steps else LAST
    said = [] if found.step == spec.steps else [f"After {found.step} of {spec.steps} steps:"]
    moved = any(isinstance(each, RateChanged) for each in [*now, *before])
    metric = metric_of(started.spec.task)
    both = {title_on(name, metric): pair for name, pair in found.changed.items()}
    if found.apart:
        said.append(unpaired_verdict(both, found.apart, metric))
    else:
        said += [change_verdict(title, *pair, metric) for title, pair in both.items()]
    if (ours := (started.device, started.precision)) != (others_on := (earlier.device, earlier.precision)):
        said.append(
            f"It ran on {' in '.join(ours)}, the one before on {' in '.join(others_on)}: that moves {metric.nouns} too."
        )
    if moved:
        said.append(MOVED)
    elif not found.apart:
        said += filter(None, (_drift(name, *pair, metric) for name, pair in found.alike.items()))
    return told, " ".join(said)


def change_p_values(now: Sequence[Event], before: Sequence[Event]) -> list[float]:
    """Of the tests that `change_told` judges by: of each method that has changed, with three paired seeds or more."""
    found = _set_beside(now, before)
    if found is None or found.apart:
        return []
    return [p for pair in found.changed.values() if (p := change_p_value(*pair)) is not None]


def _set_beside(now: Sequence[Event], before: Sequence[Event]) -> _Beside | None:
    """Both races where they can be compared; None where they cannot yet."""
    step, started, earlier = _step(now, before), started_of(now), started_of(before)
    if step is None or started is None or earlier is None:
        return None
    scores, others = _scores(now, started.spec, step[0]), _scores(before, earlier.spec, step[1])
    apart, changed = _apart(started, earlier), _changed(started.spec, earlier.spec)
    if not {run.seed for run in started.spec.runs} & {run.seed for run in earlier.spec.runs}:
        apart, changed = apart or NO_SEED, changed | scores.keys()
    both = {name: (scores[name], others[name]) for name in scores if name in others}
    return _Beside(
        step[0],
        apart,
        changed={name: pair for name, pair in both.items() if name in changed},
        alike={name: pair for name, pair in both.items() if name not in changed},
    )


def unlike_recorded(events: Sequence[Event], recorded: Sequence[Event]) -> str:
    """Why a race has not the result of the recorded one of the same settings and seeds; '' where nothing is to be said.

    Of one that is over, at the rates it began with.
    """
    now, before = started_of(events), started_of(recorded)
    moved = any(isinstance(event, RateChanged) for event in events)
    step = _step(events, recorded)
    if now is None or before is None or moved or step is None or step[0] != now.spec.steps:
        return ""
    scores, others = _scores(events, now.spec, step[0]), _scores(recorded, before.spec, step[1])
    if instead_of(now.spec, before.spec) or scores == others:
        return ""
    metric = metric_of(now.spec.task)
    told = [
        f"{title_on(name, metric)} {metric.value(score)}"
        for name, by_seed in others.items()
        for score in by_seed.values()
    ]
    return f"Recorded with the same settings and seeds, on {before.device}: {listing(told)}. It is {ROUNDING}."


def _step(now: Sequence[Event], before: Sequence[Event]) -> tuple[int, int] | None:
    """Where each of them is looked at; None where there is no such place yet."""
    specs = [started.spec for events in (now, before) if (started := started_of(events))]
    steps = [{each.step for each in events if isinstance(each, Evaluated)} for events in (now, before)]
    if len(specs) < 2:
        return None
    if specs[0].steps == specs[1].steps:
        common = steps[0] & steps[1]
        return (max(common), max(common)) if common else None
    ends = (specs[0].steps, specs[1].steps)
    return ends if ends[0] in steps[0] and ends[1] in steps[1] else None


def _scores(events: Sequence[Event], spec: Race, step: int) -> Scores:
    lost = {each.run for each in events if isinstance(each, Diverged) and each.step <= step}
    told = next(each for each in events if isinstance(each, Evaluated) and each.step == step)
    values: PerRun = getattr(told, metric_of(spec.task).field)
    found: Scores = {}
    for place, run in enumerate(spec.runs):
        found.setdefault(run.method.name, {})[run.seed] = None if place in lost else values[place]
    return found


def _apart(now: Started, before: Started) -> str:
    """Why runs of one seed are no pairs: they had not the same data."""
    facts = [
        (
            started.backbone,
            started.test_examples or started.spec.test_examples,
            started.spec.batch_size,
            {run.data_fraction for run in started.spec.runs},
        )
        for started in (now, before)
    ]
    names = ("backbone", "test examples", "batches", "training data")
    other = [name for name, ours, theirs in zip(names, *facts, strict=True) if ours != theirs]
    return f"not the same {listing(other)}" if other else ""


def _changed(now: Race, before: Race) -> set[str]:
    """The methods whose runs are others; all, where the training is another."""
    runs = [{(run.method, run.learning_rate, run.data_fraction) for run in race.runs} for race in (now, before)]
    fields = [field.name for field in dataclasses.fields(Training)]
    everywhere = any(getattr(now, name) != getattr(before, name) for name in fields if name not in LOOKS)
    return {run.method.name for run in now.runs if everywhere} | {method.name for method, *_ in runs[0] ^ runs[1]}


def _drift(name: str, now: Mapping[int, float | None], before: Mapping[int, float | None], metric: Metric) -> str:
    """That a method which has not changed has another result nevertheless; '' where it has not."""
    found = [(one, other) for seed in now.keys() & before.keys() if (one := now[seed]) != (other := before[seed])]
    far = [(one, other) for one, other in found if one is None or other is None or abs(one - other) > DRAWN]
    if not far:
        return ""
    one, other = far[0]
    ends = [metric.value(score) for score in (one, other)]
    of_seeds = f" on {len(far)} of {len(now.keys() & before.keys())} seeds" if len(now) > 1 else ""
    title = title_on(name, metric)
    return f"{title} is as it was and has {ends[0]} instead of {ends[1]}{of_seeds}: {ROUNDING}."
