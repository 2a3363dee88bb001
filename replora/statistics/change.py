"""The sentence on one method before and after a change, seed by seed: what it made, and whether that can be told."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from replora.statistics.intervals import COARSE, p_value, paired, t_interval
from replora.statistics.metrics import ACCURACY, Metric
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT, in_units, seeds_in_words
from replora.wording import fixed

Scores = Mapping[int, float | None]  # by seed, as measured by a metric, None where the run diverged


def change_verdict(title: str, now: Scores, before: Scores, metric: Metric = ACCURACY) -> str:
    """'RepLoRA 71.2 instead of 72.0 %, with one seed: an anecdote, not a finding.'

    Runs of one seed are a pair. As in `verdict` it takes three pairs or more and an interval that excludes zero to say
    higher or lower; the means are those of the pairs. Where no pair is left, what became of all runs.
    """
    pairs = paired(*map(_known, (now, before)))
    found = t_interval(list(pairs.values()))
    if found is None:
        apart = _known(now) and _known(before)
        why = ", of no seed that ended in both: nothing can be told" if apart else ""
        return f"{_ends(title, now, before, metric)}{why}."
    both = [{seed: scores[seed] for seed in pairs} for scores in (now, before)]
    lead = _ends(title, both[0], both[1], metric)
    lost = len(now.keys() & before.keys()) - len(pairs)
    note = f" {lost} of {lost + len(pairs)} pairs diverged and {'is' if lost == 1 else 'are'} not counted."
    note = note if lost else ""
    if found.n < SEEDS_FOR_A_VERDICT:
        return f"{lead}, with {seeds_in_words(found.n)}: an anecdote, not a finding.{note}"
    assert found.half_width is not None  # two values or more
    over = f"over {found.n} paired seeds"
    if found.is_coarse:
        what = "level" if abs(found.mean) < COARSE else "the same on every seed, too coarse a measure for an interval"
        return f"{lead} {over}: {what}.{note}"
    what = ("higher" if found.mean > 0 else "lower") if found.excludes_zero else "not distinguishable"
    return f"{lead}, {in_units(found, metric)} {over}: {what}.{note}"


def change_p_value(now: Scores, before: Scores) -> float | None:
    """Of the test that `change_verdict` judges by; None where it does not judge."""
    values = list(paired(*map(_known, (now, before))).values())
    return p_value(values) if len(values) >= SEEDS_FOR_A_VERDICT else None


def unpaired_verdict(scores: Mapping[str, tuple[Scores, Scores]], why: str, metric: Metric = ACCURACY) -> str:
    """The means of methods, by title, now and before, whose runs are no pairs, and `why`; '' without methods."""
    told = [_ends(title, *both, metric) for title, both in scores.items()]
    return f"{', '.join(told)}; {why}, so nothing can be told of the difference." if told else ""


def _ends(title: str, now: Scores, before: Scores, metric: Metric) -> str:
    """'RepLoRA 71.2 instead of 72.0 %'."""
    ends, units = [], []
    for scores in (now, before):
        known = _known(scores).values()
        ends.append(fixed(metric.scale * fmean(known), metric.decimals) if known else "diverged")
        units.append(f" {metric.unit}" if known else "")
    first = ends[0] if units[0] == units[1] else ends[0] + units[0]
    return f"{title} {first} instead of {ends[1]}{units[1]}"


def _known(scores: Scores) -> dict[int, float]:
    return {seed: score for seed, score in scores.items() if score is not None}
