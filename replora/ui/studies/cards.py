"""The numbers of a study at a glance, as HTML: a card a method, the difference, and what is read off."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from replora.methods import METHOD_TITLES, has_adapter
from replora.statistics.data_needed import DataNeeded, percent
from replora.statistics.intervals import Interval
from replora.statistics.metrics import Metric
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT
from replora.studies.races.cells import Cell, Comparison
from replora.studies.races.summary import StudySummary, compared
from replora.studies.spec import RaceStudy
from replora.ui.parts.cards import BLANK, card, row_of
from replora.ui.studies.pictures import (
    at_shared_rates,
    shared_rate,
)
from replora.wording import MINUS, signed

NOTHING = "&nbsp;"
METHOD = (
    "Mean {} on the test examples over the seeds. A tuned rate is the one that does best on validation examples. "
    "Good: rates at which the mean is at most {}, or a standard deviation over seeds, behind the best."
)
PAIRED = (
    "Runs of one seed see the same examples in the same order, so their difference is taken seed by seed. After "
    "\u00b1: half of the 95 % interval of the mean, from three seeds on; where it excludes zero, somebody is ahead."
)
NEEDED = "Read off the curve: the share of the data with which one method does as well as the other with all of it."
APART = "How many times larger one method's best rate is: one rate for both then favours one of them."


def data_cards(spec: RaceStudy, summary: StudySummary | None) -> str:
    """Results with the most and the least data, the difference at both, and the data needed."""
    least, most, metric = spec.all_fractions[0], spec.all_fractions[-1], spec.metric
    cards = []
    for method in spec.methods:
        top, bottom = _chosen(summary, method, most), _chosen(summary, method, least)
        notes = [
            f"{_result(bottom, metric)} with {percent(least)} %" if least != most else NOTHING,
            _rates(summary, method) or NOTHING,
        ]
        cards.append(_method(summary, method, top, f"with {percent(most)} %", notes, metric))
    pair = compared(spec)
    if pair:
        by_fraction = {each.fraction: each for each in summary.main_comparisons} if summary else {}
        first, last = by_fraction.get(least), by_fraction.get(most)
        notes = [
            f"with {percent(most)} %: {_difference(last, metric)} {metric.difference_unit}"
            if least != most
            else NOTHING,
            _names(pair),
        ]
        cards.append(
            card("difference", "Difference", _points(first, metric), f"with {percent(least)} %", notes, about=PAIRED)
        )
        if len(spec.all_fractions) > 1:
            cards.append(_needed(pair, summary.data_needed if summary else ()))
    return row_of(cards, "study")


def rate_cards(spec: RaceStudy, summary: StudySummary | None, race_rate: float) -> str:
    """Each method at its tuned rate, the difference there and at the race's rate, and how far the rates lie apart."""
    fraction, metric = spec.all_fractions[0], spec.metric
    cards = []
    for method in spec.methods:
        best = _chosen(summary, method, fraction)
        good = summary.good_regions.get(method) if summary else None
        notes = [good.width(), good.text()] if good else [NOTHING, NOTHING]
        caption = "no adapter" if not has_adapter(method) else f"at {best.rate:g}" if best else "at its tuned rate"
        cards.append(_method(summary, method, best, caption, notes, metric))
    pair = compared(spec)
    if pair:
        tuned = next(iter(summary.main_comparisons), None) if summary else None
        at_race = (
            next((each for each in at_shared_rates(summary) if shared_rate(each) == race_rate), None)
            if summary
            else None
        )
        notes = [
            f"at the race's rate {race_rate:g}: {_difference(at_race, metric)}" if at_race else NOTHING,
            _names(pair),
        ]
        cards.append(card("difference", "Difference", _points(tuned, metric), "tuned", notes, about=PAIRED))
        if all(map(has_adapter, pair)):
            cards.append(_apart(pair, tuned))
    return row_of(cards, "study")


def single_rate_cards(spec: RaceStudy, summary: StudySummary, rate: float) -> str:
    """What a sweep shows at one rate, as if there were no other."""
    pair, metric = compared(spec), spec.metric
    cards = []
    for method in spec.methods:
        own = [each for each in summary.cells if each.method == method]
        cell = next((each for each in own if each.rate == rate or not has_adapter(method)), None)
        caption = "no adapter" if not has_adapter(method) else f"at {rate:g}"
        note = (
            f"<b>{cell.diverged} of {cell.n + cell.diverged} runs diverged</b>" if cell and cell.diverged else NOTHING
        )
        cards.append(_method(None, method, cell, caption, [NOTHING, note], metric))
    here = next((each for each in at_shared_rates(summary) if shared_rate(each) == rate), None)
    if pair:
        cards.append(
            card("difference", "Difference", _points(here, metric), "one rate for both", [_names(pair)], about=PAIRED)
        )
    return row_of(cards, "study")


def _chosen(summary: StudySummary | None, method: str, fraction: float) -> Cell | None:
    cells = summary.cells if summary else ()
    return next((each for each in cells if each.chosen and each.method == method and each.fraction == fraction), None)


def _method(
    summary: StudySummary | None,
    method: str,
    cell: Cell | None,
    caption: str,
    notes: Sequence[str],
    metric: Metric,
) -> str:
    mean = None if cell is None else cell.mean
    shown = "" if mean is None else f"{metric.scale * mean:.{metric.decimals}f}"
    value = f"{shown}<small> {metric.short_unit}</small>" if shown else BLANK
    lost = sum(each.diverged for each in summary.cells if each.method == method) if summary else 0
    runs = sum(each.n + each.diverged for each in summary.cells if each.method == method) if summary else 0
    more = [f"<b>{lost} of {runs} runs diverged</b>"] if lost else []
    title = f'<i class="swatch"></i>{METHOD_TITLES[method]}'
    return card(
        method,
        title,
        value,
        caption,
        [*notes, *more],
        about=METHOD.format(metric.noun, "a point" if metric.is_share else "0.01 nats"),
    )


def _needed(pair: tuple[str, str], found: Sequence[DataNeeded]) -> str:
    ours, theirs = (METHOD_TITLES[name] for name in pair)
    if not found or found[0].target is None:
        return card("needed", "Data needed", BLANK, "", [f"{ours} to reach {theirs}", NOTHING], about=NEEDED)
    here, back = found
    if not here.is_told:
        return card(
            "needed", "Data needed", "<em>not told</em>", "", [f"{ours} to reach {theirs}", "no clear effect of data"]
        )
    value = f"{percent(here.value)}<small> %</small>" if here.value is not None else "<em>not reached</em>"
    if not here.excludes_some:
        value = "<em>not told</em>"
    elif here.at_most:
        value = f"<small>at most </small>{value}"
    return card(
        "needed",
        "Data needed",
        value,
        here.bracket(),
        [f"{ours} to reach {theirs}'s {here.metric.value(here.target)}", f"the other way: {escape(back.text())}"],
        about=NEEDED,
    )


def _apart(pair: tuple[str, str], tuned: Comparison | None) -> str:
    ours, theirs = pair
    if tuned is None or not tuned.rates[ours]:
        return card("apart", "Best rates", BLANK, "", ["apart by this factor"], about=APART)
    ratio = tuned.rates[theirs] / tuned.rates[ours]
    larger, smaller = (theirs, ours) if ratio >= 1 else (ours, theirs)
    factor = f"{max(ratio, 1 / ratio):.0f}"
    if factor == "1":
        return card("apart", "Best rates", "equal", "", [f"{tuned.rates[ours]:g} for both"], about=APART)
    note = f"{METHOD_TITLES[larger]}'s is {factor} times {METHOD_TITLES[smaller]}'s"
    return card("apart", "Best rates", f"{factor}<small> times apart</small>", "", [note], about=APART)


def _rates(summary: StudySummary | None, method: str) -> str:
    """'rates 0.0003 to 0.003 chosen', 'rate 0.0003'."""
    if summary is None or not has_adapter(method):
        return ""
    rates = sorted({each.rate for each in summary.cells if each.chosen and each.method == method})
    if not rates:
        return ""
    if not summary.spec.is_tuned:
        return f"rate {rates[0]:g}"
    named = f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"
    return f"rate{'s' if len(rates) > 1 else ''} chosen: {named}"


def _result(cell: Cell | None, metric: Metric) -> str:
    return "\u2013" if cell is None or cell.mean is None else metric.number(cell.mean)


def _points(comparison: Comparison | None, metric: Metric) -> str:
    if comparison is None or comparison.interval is None:
        return BLANK
    found = comparison.interval
    unit = metric.difference_unit if metric.is_share else metric.short_unit
    return f"{signed(metric.scale * found.mean, metric.decimals)}<small>{_half(found, metric)} {unit}</small>"


def _difference(comparison: Comparison | None, metric: Metric) -> str:
    if comparison is None or comparison.interval is None:
        return "\u2013"
    found = comparison.interval
    return f"{signed(metric.scale * found.mean, metric.decimals)}{_half(found, metric)}"


def _half(found: Interval, metric: Metric) -> str:
    """' ± 1.7' from three seeds on; nothing where they are all equal, which is no interval."""
    half = found.half_width
    if half is None or found.is_coarse or found.n < SEEDS_FOR_A_VERDICT:
        return ""
    return f" \u00b1 {metric.scale * half:.{metric.decimals}f}"


def _names(pair: tuple[str, str]) -> str:
    return f"{METHOD_TITLES[pair[0]]} {MINUS} {METHOD_TITLES[pair[1]]}, paired by seed"
