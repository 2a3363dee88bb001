"""What a class takes away: every number with the command that gives it again, as CSV and as one HTML file.

The HTML holds plotly itself, so that it opens offline and within a learning platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from replora.classroom.codes import shown_code
from replora.classroom.expectations import calibration, scored
from replora.classroom.results import Group, command_of, pooled
from replora.classroom.room import Room, Seat
from replora.csv_text import csv_text
from replora.methods import METHOD_TITLES, OURS, REFERENCE

Rounds = Sequence[tuple[int, Sequence[Seat]]]
COLUMNS = (
    "round",
    "seat",
    "method",
    "seed",
    "learning_rate",
    "accuracy",
    "diverged",
    "chosen",
    "expected_low",
    "expected_high",
    "device",
    "precision",
    "command",
)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.75rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } .verdict { font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #d5dadf; vertical-align: top; }
code { font-size: .8125rem; overflow-wrap: anywhere; } .quiet { color: #5b6672; }
"""


def report_csv(rounds: Rounds) -> str:
    """A row a run, whatever became of it."""
    return csv_text(COLUMNS, _rows(rounds))


def report_html(room: Room, rounds: Rounds) -> str:
    """One page: a round's verdict, histogram, calibration and table, one below the other."""
    parts = [_round_html(number, seats, first=place == 0) for place, (number, seats) in enumerate(_told(rounds))]
    body = "".join(parts) or "<p>No seat has finished a race.</p>"
    title = f"Room {shown_code(room.code)}"
    names = f"{METHOD_TITLES[OURS]} and {METHOD_TITLES[REFERENCE]}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1><p>{names} in a class: each seat trained a race of its "
        "own, on its seed or cell; differences are of final test accuracy, in points. The same command on the same "
        "device with the same precision, threads and versions gives the same numbers; elsewhere they differ by "
        "rounding.</p>"
        f"{body}</body></html>"
    )


def _told(rounds: Rounds) -> Rounds:
    """Those of which anything has finished."""
    return [(number, seats) for number, seats in rounds if any(seat.result is not None for seat in seats)]


def _rows(rounds: Rounds) -> Sequence[Sequence[Any]]:
    rows: list[Sequence[Any]] = []
    for number, seats in rounds:
        for seat in seats:
            if seat.result is None:
                continue
            result, expected = seat.result, seat.expectation
            ends = (expected.low, expected.high) if expected else (None, None)
            chosen = "; ".join(f"{name} {value}" for name, value in result["own"].items())
            machine = (result["device"], result["precision"], command_of(result))
            rows += [
                (number, seat.number, *(run[name] for name in COLUMNS[2:7]), chosen, *ends, *machine)
                for run in result["runs"]
            ]
    return rows


def _round_html(number: int, seats: Sequence[Seat], *, first: bool) -> str:
    pool = pooled(seats)
    verdicts = "".join(f'<p class="verdict">{escape(line)}</p>' for line in pool.verdicts)
    known = calibration(scored(seats, pool))
    return (
        f"<h2>Round {number}</h2>{verdicts}{_histogram_html(pool.groups, with_plotly=first)}"
        f'<p class="quiet">{escape(known)}</p>{_table(number, seats)}'
    )


def _histogram_html(groups: Sequence[Group], *, with_plotly: bool) -> str:
    """All groups' differences; the first picture of the page brings plotly for all."""
    import plotly.graph_objects as go

    picture = go.Figure(
        [
            go.Histogram(
                x=[100 * each for each in group.differences.values()],
                name=group.label or f"{METHOD_TITLES[OURS]} minus {METHOD_TITLES[REFERENCE]}",
                opacity=0.75,
            )
            for group in groups
        ]
    )
    picture.add_vline(x=0, line_color="#1f2933")
    picture.update_layout(
        barmode="overlay",
        height=360,
        margin={"t": 20, "b": 50, "l": 50, "r": 20},
        template="plotly_white",
        xaxis_title=f"{METHOD_TITLES[OURS]} minus {METHOD_TITLES[REFERENCE]}, points",
        yaxis_title="seeds",
        legend={"orientation": "h", "y": 1.1},
    )
    drawn: str = picture.to_html(full_html=False, include_plotlyjs=with_plotly, config={"displaylogo": False})
    return drawn


def _table(number: int, seats: Sequence[Seat]) -> str:
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in COLUMNS[1:])
    body = "".join(
        f"<tr>{''.join(_cell(name, value) for name, value in zip(COLUMNS[1:], row[1:], strict=True))}</tr>"
        for row in _rows([(number, seats)])
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "<td></td>"
    if name == "command":
        return f"<td><code>{escape(value)}</code></td>"
    if name == "accuracy":
        return f"<td>{100 * value:.1f} %</td>"
    if isinstance(value, bool):
        return f"<td>{'diverged' if value else ''}</td>"
    return f"<td>{escape(METHOD_TITLES[value] if name == 'method' else str(value))}</td>"
