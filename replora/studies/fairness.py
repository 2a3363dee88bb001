"""Whether a study compares fairly: a list of conditions, each with the change of the spec that would meet it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from replora.memory.parameters import rank_for
from replora.methods import METHOD_TITLES, OURS, REFERENCE, has_adapter
from replora.options import options
from replora.statistics.metrics import Metric, metric_of
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT
from replora.statistics.width import MOST_SEEDS, NARROW, NARROW_RATIO, Width
from replora.studies.base import RATES, Study
from replora.studies.events import MethodSizes
from replora.wording import count, listing

ALIKE = 0.05  # by which share numbers of parameters may differ and still be called equal

AnyStudy = TypeVar("AnyStudy", bound=Study)


@dataclass(frozen=True)
class FairnessItem:
    """One condition: whether it is met, what was found, and the spec's fields that would meet it (empty: none need).

    offer: of one that is met, the fields that would meet it in another fair way.
    """

    name: str
    met: bool
    text: str
    change: Mapping[str, Any] = field(default_factory=dict)
    offer: Mapping[str, Any] = field(default_factory=dict)


def fix(spec: AnyStudy, item: FairnessItem) -> AnyStudy:
    """The study with the change that an item asks for."""
    return dataclasses.replace(spec, **item.change)


def fairness(
    spec: Study,
    chosen: Mapping[tuple[str, float], float],
    trials: Mapping[str, Sequence[tuple[float, float, int]]],
    sizes: Sequence[MethodSizes] = (),
    widths: Sequence[Width] = (),
) -> tuple[FairnessItem, ...]:
    """The fairness list of a study.

    chosen: rate by method and amount of data. trials: (amount, rate, seed) of all runs done, by method. sizes: from the
    study's start. widths: of the intervals that the verdict is made of. Methods without an adapter (the head alone)
    have no rate and are left out of what concerns rates.
    """
    return (
        _tuned(spec),
        _equal_trials(spec, trials),
        _inside(spec, chosen),
        _equal_training(spec),
        _equal_size(spec, sizes),
        _enough_seeds(spec),
        _narrow(spec, widths),
    )


def _equal_training(spec: Study) -> FairnessItem:
    shortest, longest = spec.step_range
    order = "runs of a seed see the same examples in the same order."
    if shortest == longest:
        return FairnessItem(
            "equal steps", True, f"Every run takes {count(longest)} steps of {spec.batch_size} examples; {order}"
        )
    steps = listing(
        [f"{count(spec.steps_with(amount))} with {spec.amount_in_words(amount)}" for amount in spec.all_amounts]
    )
    return FairnessItem(
        "equal epochs",
        True,
        f"At one amount of data every run takes equally many steps of {spec.batch_size} examples, {steps}; {order}",
    )


def _tuned(spec: Study) -> FairnessItem:
    name = "rates tuned per method"
    if spec.is_tuned:
        text = (
            f"Each method's rate is the best of {len(spec.all_rates)} on {count(spec.validation_examples)} examples "
            "that no run trains on and that are not tested on."
        )
        return FairnessItem(name, True, text)
    return FairnessItem(name, False, "All methods have one rate, which may suit one of them better.", _tuning(spec))


def _equal_trials(spec: Study, trials: Mapping[str, Sequence[tuple[float, float, int]]]) -> FairnessItem:
    name = "equal grid and trials"
    adapted = [method for method in spec.titles if has_adapter(method)]
    grids = [set(trials.get(method, ())) for method in adapted]
    if not any(grids):
        return FairnessItem(name, False, "No trial is done yet.")
    if all(grid == grids[0] for grid in grids):
        same = count(len(grids[0]) if grids else 0)
        return FairnessItem(name, True, f"Every method has the same {same} trials of data, rate and seed.")
    counts = ", ".join(f"{spec.titles[method]} {len(grid)}" for method, grid in zip(adapted, grids, strict=True))
    return FairnessItem(name, False, f"The study is not finished; trials so far: {counts}.")


def _inside(spec: Study, chosen: Mapping[tuple[str, float], float]) -> FairnessItem:
    name = "best rate inside the grid"
    if not spec.is_tuned:
        return FairnessItem(name, False, "There is no grid: one rate for all.", _tuning(spec))
    rates = spec.all_rates
    rest = {key: rate for key, rate in chosen.items() if has_adapter(key[0])}
    edges = [(method, amount, rate) for (method, amount), rate in sorted(rest.items()) if rate in (rates[0], rates[-1])]
    if not rest:
        return FairnessItem(name, False, "No rate is chosen yet.")
    if not edges:
        return FairnessItem(name, True, f"No chosen rate is at an end of the grid, {rates[0]:g} to {rates[-1]:g}.")
    named = ", ".join(
        f"{spec.titles[method]} {rate:g}"
        + ("" if len(spec.all_amounts) == 1 else f" with {spec.amount_in_words(amount)}")
        for method, amount, rate in edges
    )
    text = f"At an end of the grid, so a better rate may lie beyond: {named}."
    ends = {rate for _, _, rate in edges}
    return FairnessItem(name, False, text, _widened(spec, rates[0] in ends, rates[-1] in ends))


def _widened(spec: Study, down: bool, up: bool) -> dict[str, Any]:
    """The grid with one rate more at each end that needs it, as far off as the end's neighbour; bounds permitting."""
    rates, facts = spec.all_rates, options(spec)["rates"]
    low, high = facts.low or 0.0, facts.high or 1.0
    wider = list(rates)
    if down:
        wider.insert(0, max(low, float(f"{rates[0] ** 2 / rates[1]:.1g}")))
    if up:
        wider.append(min(high, float(f"{rates[-1] ** 2 / rates[-2]:.1g}")))
    found = tuple(sorted(set(wider)))
    return {} if found == rates else {"rates": found}


def _equal_size(spec: Study, sizes: Sequence[MethodSizes]) -> FairnessItem:
    """Equal ranks cost the same once deployed; equal numbers of trained parameters are the other fair way."""
    name = "equal rank or parameters"
    trained = {size.method: size.trained_parameters for size in sizes if size.trained_parameters > 0}
    named = " and ".join(f"{spec.titles.get(who, who)} {count(number)}" for who, number in trained.items())
    reference = METHOD_TITLES[REFERENCE]
    lora_rank = getattr(spec, "lora_rank", 0) or spec.rank
    if lora_rank == spec.rank or REFERENCE not in spec.titles:
        text = f"Every adapter has rank {spec.rank}, so all cost the same once deployed"
        more = f"; while training they have {named} parameters" if len(trained) > 1 else ""
        rank = _as_many(spec, trained)
        if not rank:
            return FairnessItem(name, True, f"{text}{more}.")
        many = f"{text}{more} ({METHOD_TITLES[REFERENCE]} of rank {rank} would train as many)."
        return FairnessItem(name, True, many, offer={"lora_rank": rank})
    if len(trained) > 1 and max(trained.values()) <= (1 + ALIKE) * min(trained.values()):
        kept = " and ".join(
            f"{spec.titles.get(size.method, size.method)} {count(size.deployed_parameters)}"
            for size in sizes
            if size.method in trained
        )
        return FairnessItem(
            name,
            True,
            f"{reference} has rank {lora_rank} to train as many parameters: {named}; deployed they have {kept}.",
        )
    what = f": {named}" if len(trained) > 1 else ""
    text = f"{reference} has rank {lora_rank}, the others {spec.rank}, and the parameters they train differ too{what}."
    return FairnessItem(name, False, text, {"lora_rank": 0})


def _as_many(spec: Study, trained: Mapping[str, int]) -> int:
    """The rank with which LoRA would train as many parameters as RepLoRA; 0 where a study cannot have it."""
    if not hasattr(spec, "lora_rank") or not {OURS, REFERENCE} <= set(trained):
        return 0
    return rank_for(trained[OURS], spec.rank, trained[REFERENCE])


def _enough_seeds(spec: Study) -> FairnessItem:
    name = f"at least {SEEDS_FOR_A_VERDICT} seeds"
    paired = len(spec.seeds)
    if paired >= SEEDS_FOR_A_VERDICT:
        return FairnessItem(name, True, f"{paired} paired seeds.")
    more = [seed for seed in range(SEEDS_FOR_A_VERDICT + paired) if seed not in spec.seeds]
    seeds = (*spec.seeds, *more[: SEEDS_FOR_A_VERDICT - paired])
    words = "One seed is" if paired == 1 else f"{paired} seeds are"
    return FairnessItem(name, False, f"{words} an anecdote, not a finding.", {"seeds": seeds})


def _narrow(spec: Study, widths: Sequence[Width]) -> FairnessItem:
    """A wide interval that holds 'no difference' decides nothing, however fair all else is."""
    name = "interval narrow enough to decide"
    if not widths:
        return FairnessItem(name, False, "Nothing is compared yet.")
    wide = [each for each in widths if not each.decides]
    if not wide:
        return FairnessItem(
            name, True, f"Each excludes that both are equal, or lies within {_narrow_in_words(spec)} of it."
        )
    said = "; ".join(f"{each.place} {each.text}" for each in wide)
    what = "Too wide, or the same on all seeds," if any(each.is_coarse for each in wide) else "Too wide"
    text = f"{what} to tell who is ahead, or that neither is by more than {_narrow_in_words(spec)}: {said}."
    needed = [each.seeds_needed() for each in wide if each.half is not None]
    most = max((seeds for seeds in needed if seeds is not None), default=None)
    if most is None or None in needed:
        more = f" More than {MOST_SEEDS} seeds like these would be needed; take more steps." if needed else ""
        return FairnessItem(name, False, text + more)
    free = [seed for seed in range(most + len(spec.seeds)) if seed not in spec.seeds]
    seeds = (*spec.seeds, *free[: most - len(spec.seeds)])
    more = (
        f"With this middle and spread {most} seeds would do; seeds added after a look make the next interval err a "
        "little more often than the 5 % that it says."
    )
    return FairnessItem(name, False, f"{text} {more}", {"seeds": seeds})


def _narrow_in_words(spec: Study) -> str:
    return f"a factor of {NARROW_RATIO:g}" if spec.compares == "students" else _narrow_of(metric_of(spec.task))


def _narrow_of(metric: Metric) -> str:
    return f"{metric.scale * NARROW:g} {metric.difference_unit}"


def _tuning(spec: Study) -> dict[str, Any]:
    """The change that turns tuning on: the switch where there is one, else the default grid."""
    default = type(spec).unasked({"task": spec.task})
    fields = options(spec)
    change: dict[str, Any] = {"tuned": True} if "tuned" in fields else {}
    if len(getattr(spec, "rates", ())) < 2:
        change["rates"] = RATES
    if not spec.validation_examples:
        change["validation_examples"] = default.validation_examples
    return change
