"""The numbers behind a plot, as rows for a table and as CSV: whatever is drawn, in the order of drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from replora.csv_text import csv_text
from replora.figures.figure import Figure
from replora.figures.style import SERIES_NAMES

Row = dict[str, Any]
KINDS = {"lines": "line", "bands": "interval", "spans": "interval", "points": "point", "rules": "rule"}


def plot_rows(figure: Figure) -> list[Row]:
    """One row a drawn value: which kind of mark, whose, its name, x and y, and the other end where it has two."""
    rows: list[Row] = []
    for name, kind in KINDS.items():
        for each in figure.data.get(name, ()):
            role = each.get("role", "")
            rows.append(
                {
                    "drawn as": f"{kind}, {role}" if role else kind,
                    "of": SERIES_NAMES.get(each["series"], each["series"]),
                    "name": each.get("tip") or each.get("line") or "",
                    "x": each.get("x"),
                    "x to": each.get("x2"),
                    "y": each.get("y"),
                    "y to": each.get("y2"),
                }
            )
    empty = [name for name in ("x to", "y to", "name") if all(row[name] in (None, "") for row in rows)]
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]


def plot_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header line; empty text where there are none."""
    if not rows:
        return ""
    names = list(rows[0])
    return csv_text(names, ([row[name] for name in names] for row in rows))
