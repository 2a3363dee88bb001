"""Two runs of the history beside each other: results, settings that differ, and of two races their measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean

import streamlit as st

from replora.config import METHOD_TITLES
from replora.events import Event, EventError, from_line, started_of
from replora.figures.race.figures import PlottedRace, metric_figure
from replora.jobs.engine import Engine, UnknownJob
from replora.jobs.storage.rows import RunRow
from replora.statistics.metrics import ACCURACY, NATS, metric_of
from replora.ui.parts.clock import started
from replora.ui.parts.figure import show_figure
from replora.ui.parts.run_kinds import facts_of, kind_title
from replora.ui.parts.text import plain
from replora.ui.runs.table import result_line

NAMES = ("A", "B")


def runs_compare(engine: Engine, first: RunRow, second: RunRow) -> None:
    """The comparison, A before B."""
    pair = (first, second)
    columns = st.columns(2, gap="medium")
    for name, column, row in zip(NAMES, columns, pair, strict=True):
        with column:
            st.html(run_card(row, name))
    if first.kind != second.kind:
        st.caption("Runs of different kinds have no settings in common to compare.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _settings(first, second)
    if first.kind == "race":
        with right:
            _pictured(engine, pair)


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[dict[str, str]]:
    """A row a setting that is not the same in both, '–' where one has no such setting."""
    return [
        {"Setting": name, NAMES[0]: first.get(name, "–"), NAMES[1]: second.get(name, "–")}
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def _settings(first: RunRow, second: RunRow) -> None:
    rows = differences(*(facts_of(each.kind, each.spec) for each in (first, second)))
    st.html('<h2 class="figure">What differs<span>settings</span></h2>')
    if rows:
        st.html(_table(rows))
    elif first.spec == second.spec:
        st.caption(f"Nothing: both have the spec {first.spec_hash}.")
    else:
        st.caption("Nothing that the form shows; the specs differ in single runs.")


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as HTML that wraps its cells, so that none is cut."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(each)}</td>" for each in rest)}</tr>'
        for first, *rest in (row.values() for row in rows)
    )
    return f'<table class="differs"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def run_card(row: RunRow, name: str = "", notice: str = "") -> str:
    """One run's result as HTML, under a name where there are two, and what there is to say of its files."""
    lines = [
        result_line(row) or f"{row.state.capitalize()}; no result yet.",
        *_means(row),
        f"{row.state.capitalize()}, started {' '.join(started(row.created))}" + (row.device and f", {row.device}"),
        f"Spec {row.spec_hash}, run {row.id}",
        *filter(None, (notice,)),
    ]
    first, *rest = (escape(each) for each in lines)
    notes = "".join(f"<p>{each}</p>" for each in rest)
    return (
        f'<section class="card compared"><h2>{escape(name)}<span>{escape(kind_title(row.kind))}</span></h2>'
        f'<p class="result">{first}</p>{notes}</section>'
    )


def _means(row: RunRow) -> list[str]:
    """Each method's mean in a race's summary, by what it is judged by."""
    metric = next((each for each in (ACCURACY, NATS) if each.field in row.summary), ACCURACY)
    means, lines = row.summary.get(metric.field), []
    for method, by_seed in means.items() if isinstance(means, Mapping) else ():
        known = [each for each in by_seed.values() if each is not None]
        lost = len(by_seed) - len(known)
        title = METHOD_TITLES.get(method, method)
        value = metric.value(fmean(known)) if known else "no result"
        seeds = f", {len(by_seed)} seeds" if len(by_seed) > 1 else ""
        lines.append(f"{title}: {value}{seeds}" + (f", {lost} without a result" if lost else ""))
    return lines


def _pictured(engine: Engine, pair: Sequence[RunRow]) -> None:
    """Both races in one figure: A in colour, B in grey."""
    try:
        told: list[list[Event]] = [[from_line(line) for line in engine.events(each.id)] for each in pair]
    except (UnknownJob, EventError) as error:
        st.warning(plain(f"These runs cannot be drawn: {error}"))
        return
    specs = [begun.spec for events in told if (begun := started_of(events))]
    if len(specs) < 2:
        st.caption("One of these races ended before its first step; there is nothing to draw.")
        return
    measures = [metric_of(spec.task) for spec in specs]
    if measures[0] is not measures[1]:
        nouns = " and ".join(f"{NAMES[place]} by {measure.noun}" for place, measure in enumerate(measures))
        st.caption(f"The two are judged by different measures, {nouns}; no picture holds both.")
        return
    longest = dataclasses.replace(specs[0], steps=max(spec.steps for spec in specs))
    show_figure(metric_figure(PlottedRace(longest, told[0], (told[1],), NAMES[1], means_only=True)), "runs")
    st.html('<p class="footnote">A in colour, B in grey; of several seeds their means.</p>')
