"""The one sentence on paired runs: who is ahead, by how much, and whether that can be told. No torch.

Differences are as measured, accuracies as shares in [0, 1]; sentences speak as the metric does, of points, hundredths.
"""

from __future__ import annotations

from collections.abc import Sequence

from replora.methods import METHOD_TITLES, OURS, REFERENCE
from replora.statistics.intervals import COARSE, Interval, geometric_interval, t_interval
from replora.statistics.metrics import ACCURACY, Metric
from replora.wording import fixed, signed

SEEDS_FOR_A_VERDICT = 3
MOST_DECIMALS = 6


def verdict(
    differences: Sequence[float],
    method: str = OURS,
    reference: str = REFERENCE,
    *,
    when: str = "",
    lost: str = "",
    metric: Metric = ACCURACY,
) -> str:
    """The sentence on paired differences of a metric, `method` minus `reference`, of races and studies alike.

    Somebody is ahead only where Student's interval at 95 % over three seeds or more excludes zero; fewer seeds are an
    anecdote. when: ' after 10 of 100 steps'. lost: a sentence on diverged runs, put after it.
    """
    ours, theirs = METHOD_TITLES.get(method, method), METHOD_TITLES.get(reference, reference)
    note = f" {lost}" if lost else ""
    found = t_interval(differences)
    if found is None:
        return f"There is no pair of runs of {ours} and {theirs} to compare.{note}"
    if found.n < SEEDS_FOR_A_VERDICT:
        lead = _lead(found.mean, ours, theirs, metric)
        return f"{lead}{when}, with {seeds_in_words(found.n)}: an anecdote, not a finding.{note}"
    assert found.half_width is not None  # two values or more
    scale, unit = metric.scale, metric.difference_unit
    shown = fixed(scale * found.mean, metric.decimals)
    lead, over = f"{ours} minus {theirs}: {shown}", f"{unit} over {found.n} paired seeds{when}"
    if found.is_coarse:
        what = "level" if abs(found.mean) < COARSE else "the same on every seed, too coarse a measure for an interval"
        return f"{lead} {over}: {what}.{note}"
    ahead = ours if metric.lead(found.mean) > 0 else theirs
    what = f"{ahead} is ahead" if found.excludes_zero else "not distinguishable"
    decimals = _decimals(abs(scale * found.mean), scale * found.half_width, least=metric.decimals)
    lead = f"{ours} minus {theirs}: {fixed(scale * found.mean, decimals)}"
    return f"{lead} ± {scale * found.half_width:.{decimals}f} {over}: {what}.{note}"


def ratio_verdict(ratios: Sequence[float], ours: str, theirs: str) -> str:
    """The sentence on paired ratios of error, `ours` over `theirs` (titles); their geometric mean is what is judged."""
    found = geometric_interval(ratios)
    if found is None:
        return f"There is no pair of runs of {ours} and {theirs} to compare."
    lead = f"The error of {ours} is {found.mean:.2f} times that of {theirs}"
    if found.n < SEEDS_FOR_A_VERDICT:
        return f"{lead} over {seeds_in_words(found.n)}: an anecdote, not a finding."
    assert found.low is not None  # two values or more
    assert found.high is not None
    interval = f"{ratio_ends(found.low, found.high)} over {found.n} paired seeds"
    if found.is_coarse:
        return f"{lead} on each of {found.n} paired seeds."
    what = f"{ours if found.mean < 1 else theirs} is ahead" if found.excludes(1.0) else "not distinguishable"
    return f"{lead} {interval}: {what}."


def in_times(found: Interval | None) -> str:
    """'0.61 [0.57, 0.65]', a ratio; without an interval the mean."""
    if found is None:
        return "no pair"
    ends = "" if found.low is None or found.high is None or found.is_coarse else f" {ratio_ends(found.low, found.high)}"
    return f"{found.mean:.2f}{ends}"


def ratio_ends(low: float, high: float) -> str:
    """'[0.57, 0.65]', with as many decimals as show on which side of one the interval lies."""
    decimals = _decimals(low if low > 1 else high, 1.0, least=2)
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]"


def lost_count(lost: int, runs: int) -> str:
    """'1 of 6 runs diverged and is not counted'."""
    return f"{lost} of {runs} runs diverged and {'is' if lost == 1 else 'are'} not counted"


def lost_sentence(lost: Sequence[tuple[str, float, int]], runs: int) -> str:
    """Diverged runs, counted and named by method, rate and seeds; '' where none did. lost: (method, rate, seed)."""
    if not lost:
        return ""
    seeds: dict[tuple[str, float], set[int]] = {}
    for method, rate, seed in lost:
        seeds.setdefault((method, rate), set()).add(seed)
    named = [
        f"{METHOD_TITLES.get(method, method)} at rate {rate:g} (seed{'s' if len(hit) > 1 else ''} "
        f"{', '.join(map(str, sorted(hit)))})"
        for (method, rate), hit in sorted(seeds.items())
    ]
    return f"{lost_count(len(lost), runs)}: {'; '.join(named)}."


def seeds_in_words(count: int) -> str:
    """'one seed', '2 seeds'."""
    return "one seed" if count == 1 else f"{count} seeds"


def points(share: float, decimals: int = 1) -> str:
    """Points with so many decimals; no minus before zero."""
    return fixed(100 * share, decimals)


def in_points(found: Interval | None) -> str:
    """'\u22123.3 \u00b1 4.1 points', see `in_units`."""
    return in_units(found, ACCURACY)


def in_units(found: Interval | None, metric: Metric) -> str:
    """A difference as the metric shows it, with a sign and as many decimals as its interval needs; without one the
    mean. Equal values have none that says anything.
    """
    if found is None:
        return "no pair"
    decimals, half = metric.decimals, ""
    if found.half_width is not None and not found.is_coarse:
        mean, width = metric.scale * found.mean, metric.scale * found.half_width
        decimals = _decimals(abs(mean), width, least=metric.decimals)
        half = f" \u00b1 {width:.{decimals}f}"
    return f"{signed(metric.scale * found.mean, decimals)}{half} {metric.difference_unit}"


def _decimals(value: float, limit: float, least: int) -> int:
    """How many decimals show that a value is not its limit: a verdict must not seem to come out of rounding."""
    decimals = least
    while decimals < MOST_DECIMALS and value != limit and f"{value:.{decimals}f}" == f"{limit:.{decimals}f}":
        decimals += 1
    return decimals


def _lead(difference: float, ours: str, theirs: str, metric: Metric) -> str:
    lead = metric.lead(difference)
    if abs(lead) < 0.5 * 10**-metric.decimals:
        return f"{ours} and {theirs} are level"
    return f"{ours if lead > 0 else theirs} is {abs(lead):.{metric.decimals}f} {metric.difference_unit} ahead"
