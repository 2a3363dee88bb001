"""The numbers of a race at a glance, as HTML: a card a method, the difference, the pace, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean

from replora.config import Race
from replora.events import Diverged, Event, Step, started_of, untouched_loss
from replora.methods import METHOD_TITLES, OURS, REFERENCE, has_adapter
from replora.result_card.card import shared_with
from replora.statistics.intervals import sampling_half_width
from replora.statistics.metrics import Metric, metric_of, perplexity, title_on
from replora.summary import RaceSummary, RunSummary, paired_differences, race_verdict, summarize
from replora.ui.parts.cards import BLANK, card, row_of
from replora.wording import MINUS, count, counted, signed

RIGHT = "The share of the test examples that are right, of runs that did not diverge."
LOSS = (
    "The mean of \u2212log p of each next token of the test pieces, of runs that did not diverge: lower is better. "
    "Perplexity is e to that: among so many tokens a guess at random would be as good."
)
PARAMETERS = "Parameters: those that train, and those that are left when A and B are made and kept; without the head."
NORM = "Norm: how far the weights have moved, the Frobenius norm of delta_weight of all adapted matrices."
NO_ADAPTER = "Only the classification head trains."
FROZEN = "The model before the first step, without any adapter: what both begin with. Nothing of it trains."
DIFFERENCE = (
    f"{METHOD_TITLES[OURS]}\u2019s {{}} minus {METHOD_TITLES[REFERENCE]}\u2019s, seed by seed: runs of a seed see "
    "the same examples in the same order. A larger update is a step further along, not by itself a better one."
)


def race_cards(spec: Race, events: Sequence[Event]) -> str:
    """The cards, with dashes where nothing is known yet, so that nothing moves when it is."""
    summary = summarize(events)
    methods = list(dict.fromkeys(run.method.name for run in spec.runs))
    tested = summary.test_examples if summary else 0
    norms, metric = _norms(events), metric_of(spec.task)
    by_method = {name: [run for run in _runs(summary) if run.method == name] for name in methods}
    frozen = untouched_loss(events)
    cards = [_method_card(name, runs, tested, norms.get(name), metric, frozen) for name, runs in by_method.items()]
    if {OURS, REFERENCE} <= set(methods):
        cards.append(_difference_card(summary, norms, metric))
    return row_of(cards)


def verdict_line(events: Sequence[Event]) -> str:
    """The verdict sentence, or what is still missing for one."""
    summary = summarize(events)
    if summary is None or all(getattr(run, metric_of(summary.task).final) is None for run in summary.runs):
        return "No verdict before the first evaluation."
    methods = {run.method for run in summary.runs}
    if not {OURS, REFERENCE} <= methods:
        return "One method alone has nothing to be compared with; choose Both for a race."
    return race_verdict(summary)


def change_line(told: str, made: str) -> str:
    """What has changed since the race in grey, and what it made, as HTML."""
    return (
        f'<p class="change"><i class="swatch"></i><b>{escape(told[:1].upper() + told[1:])}.</b> '
        f"<span>{escape(made)}</span></p>"
    )


def machine_line(events: Sequence[Event]) -> str:
    """What the race ran on and how fast: device, precision, threads, backbone, examples, versions."""
    started = started_of(events)
    if started is None:
        return ""
    examples = sorted({facts.examples for facts in started.facts})
    versions = [f"{name} {version}" for name, version in started.versions.items() if name not in ("python", "replora")]
    summary = summarize(events)
    pace = summary.steps_per_second if summary else None
    parts = [
        started.device,
        started.precision,
        counted(started.threads, "thread") + shared_with(started.shared_runs),
        started.backbone,
        f"{' or '.join(count(each) for each in examples)} training examples",
        *versions,
        *([f"{pace:.1f} steps/s, tests included"] if pace else []),
    ]
    return " · ".join(parts)


def _runs(summary: RaceSummary | None) -> Sequence[RunSummary]:
    return summary.runs if summary else ()


def _method_card(
    name: str, runs: Sequence[RunSummary], tested: int, norm: float | None, metric: Metric, frozen: float | None
) -> str:
    """tested: on how many examples; frozen: the loss of the untouched model."""
    every: list[float | None] = [getattr(run, metric.final) for run in runs if not run.diverged]
    finals = [final for final in every if final is not None]
    lost = sum(run.diverged for run in runs)
    value = _shown(fmean(finals), metric) if finals else BLANK
    notes = [] if metric.is_share else [_perplexity(fmean(finals) if finals else None, frozen)]
    if not has_adapter(name):
        notes.append("no adapter")
    elif runs:
        notes.append(f"{count(runs[0].trained_parameters)} parameters, {count(runs[0].deployed_parameters)} deployed")
    else:
        notes.append("&nbsp;")
    if has_adapter(name):
        notes.append("&nbsp;" if norm is None else f"norm of the update {norm:.2f}")
    if lost:
        notes.append(f"<b>{lost} of {len(runs)} diverged</b>" if len(runs) > 1 else "<b>diverged</b>")
    caption = f"mean of {len(finals)} seeds" if len(finals) > 1 else metric.caption
    alone = NO_ADAPTER if metric.is_share else FROZEN
    about = [RIGHT if metric.is_share else LOSS, f"{PARAMETERS} {NORM}" if has_adapter(name) else alone]
    if finals and tested and metric.is_share:
        moved = 100 * sampling_half_width(fmean(finals), tested)
        about.insert(1, f"Other test examples would move it by {moved:.1f} points at most, at 95 %.")
    title = f'<i class="swatch"></i>{title_on(name, metric)}'
    return card(name, title, value, caption, notes, about=" ".join(about))


def _shown(measured: float, metric: Metric) -> str:
    """A value and, small, its unit, as HTML."""
    return f"{metric.scale * measured:.{metric.decimals}f}<small> {metric.short_unit}</small>"


def _perplexity(loss: float | None, frozen: float | None) -> str:
    if loss is None:
        return "&nbsp;"
    return f"perplexity {perplexity(loss):.1f}" + ("" if frozen is None else f", untouched {perplexity(frozen):.1f}")


def _difference_card(summary: RaceSummary | None, norms: Mapping[str, float], metric: Metric) -> str:
    found = [metric.scale * each for each in paired_differences(summary)] if summary else []
    places = metric.decimals
    unit = metric.difference_unit if metric.is_share else metric.short_unit
    value = f"{signed(fmean(found), places)}<small> {unit}</small>" if found else BLANK
    if len(found) > 1:
        note = f"{len(found)} seeds: {signed(min(found), places)} to {signed(max(found), places)}"
    else:
        note = "one seed" if found else "seed by seed"
    notes = [f"{METHOD_TITLES[OURS]} {MINUS} {METHOD_TITLES[REFERENCE]}, {note}"]
    ours, theirs = norms.get(OURS), norms.get(REFERENCE)
    notes.append(f"its update {ours / theirs:.1f} times as large" if ours and theirs else "&nbsp;")
    if metric.lower_is_better:
        notes.append("below zero " + METHOD_TITLES[OURS] + " is ahead")
    return card("difference", "Difference", value, "", notes, about=DIFFERENCE.format(metric.noun))


def _norms(events: Sequence[Event]) -> dict[str, float]:
    """The mean norm of delta_weight after the last step, by method; of runs with an adapter that did not diverge."""
    started = started_of(events)
    last = next((event for event in reversed(events) if isinstance(event, Step)), None)
    if started is None or last is None:
        return {}
    lost = {event.run for event in events if isinstance(event, Diverged)}
    found: dict[str, list[float]] = {}
    for place, run in enumerate(started.spec.runs):
        norm = last.delta_norms[place]
        if has_adapter(run.method.name) and place not in lost and norm is not None:
            found.setdefault(run.method.name, []).append(norm)
    return {name: fmean(norms) for name, norms in found.items()}
