"""The numbers of a race at a glance, as HTML: a card a method, the difference, the pace, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from replora.config import Race
from replora.events import Event, started_of
from replora.methods import METHOD_TITLES, OURS, REFERENCE, has_adapter
from replora.statistics.intervals import sampling_half_width
from replora.summary import RaceSummary, RunSummary, paired_differences, race_verdict, summarize
from replora.ui.parts.cards import BLANK, card, row_of
from replora.wording import MINUS, count, counted, duration, signed


def race_cards(spec: Race, events: Sequence[Event]) -> str:
    """The cards, with dashes where nothing is known yet, so that nothing moves when it is."""
    summary = summarize(events)
    methods = list(dict.fromkeys(run.method.name for run in spec.runs))
    tested = summary.test_examples if summary else 0
    cards = [_method_card(name, [run for run in _runs(summary) if run.method == name], tested) for name in methods]
    if {OURS, REFERENCE} <= set(methods):
        cards.append(_difference_card(summary))
    cards.append(_pace_card(summary))
    return row_of(cards)


def verdict_line(events: Sequence[Event]) -> str:
    """The verdict sentence, or what is still missing for one."""
    summary = summarize(events)
    if summary is None or all(run.final_accuracy is None for run in summary.runs):
        return "No verdict before the first evaluation."
    methods = {run.method for run in summary.runs}
    if not {OURS, REFERENCE} <= methods:
        return "One method alone has nothing to be compared with; choose Both for a race."
    return race_verdict(summary)


def machine_line(events: Sequence[Event]) -> str:
    """What the race ran on: device, precision, threads, backbone, examples, versions."""
    started = started_of(events)
    if started is None:
        return ""
    examples = sorted({facts.examples for facts in started.facts})
    versions = [f"{name} {version}" for name, version in started.versions.items() if name not in ("python", "replora")]
    parts = [
        started.device,
        started.precision,
        counted(started.threads, "thread"),
        started.backbone,
        f"{' or '.join(count(each) for each in examples)} training examples",
        *versions,
    ]
    return " · ".join(parts)


def _runs(summary: RaceSummary | None) -> Sequence[RunSummary]:
    return summary.runs if summary else ()


def _method_card(name: str, runs: Sequence[RunSummary], tested: int) -> str:
    finals = [run.final_accuracy for run in runs if run.final_accuracy is not None and not run.diverged]
    lost = sum(run.diverged for run in runs)
    value = f"{100 * fmean(finals):.1f}<small> %</small>" if finals else BLANK
    notes = []
    if not has_adapter(name):
        notes.append("no adapter")
    elif runs:
        notes.append(f"{count(runs[0].trained_parameters)} parameters, {count(runs[0].deployed_parameters)} deployed")
    else:
        notes.append("&nbsp;")
    if lost:
        notes.append(f"<b>{lost} of {len(runs)} diverged</b>" if len(runs) > 1 else "<b>diverged</b>")
    caption = f"mean of {len(finals)} seeds" if len(finals) > 1 else "test accuracy"
    if finals and tested:
        moved = 100 * sampling_half_width(fmean(finals), tested)
        notes.append(f"other test examples: \u00b1 {moved:.1f} at most")
    return card(name, f'<i class="swatch"></i>{METHOD_TITLES[name]}', value, caption, notes)


def _difference_card(summary: RaceSummary | None) -> str:
    found = [100 * each for each in paired_differences(summary)] if summary else []
    value = f"{signed(fmean(found))}<small> points</small>" if found else BLANK
    if len(found) > 1:
        note = f"{len(found)} seeds: {signed(min(found))} to {signed(max(found))}"
    else:
        note = "one seed" if found else "seed by seed"
    return card(
        "difference", "Difference", value, "", [f"{METHOD_TITLES[OURS]} {MINUS} {METHOD_TITLES[REFERENCE]}, {note}"]
    )


def _pace_card(summary: RaceSummary | None) -> str:
    pace = summary.steps_per_second if summary else None
    value = f"{pace:.1f}<small> steps/s</small>" if pace else BLANK
    note = f"{duration(summary.seconds)} elapsed, tests included" if summary else "tests included"
    return card("pace", "Pace", value, "", [note])
