"""The numbers behind a plot, as rows of a table: whatever is drawn, in the order of drawing."""

from __future__ import annotations

from typing import Any

from replora.figures.figure import Figure
from replora.figures.style import SERIES_NAMES

Row = dict[str, Any]
KINDS = {"lines": "line", "bands": "interval", "spans": "interval", "points": "point", "rules": "rule"}


def plot_rows(figure: Figure) -> list[Row]:
    """One row a drawn value: which kind of mark, whose, its name, x and y, and the other end where it has two."""
    rows: list[Row] = []
    for name, kind in KINDS.items():
        for mark in figure.data.get(name, ()):
            role = mark.get("role", "")
            rows.append(
                {
                    "drawn as": f"{kind}, {role}" if role else kind,
                    "of": SERIES_NAMES.get(mark["series"], mark["series"]),
                    "name": mark.get("tip") or mark.get("line") or "",
                    "x": mark.get("x"),
                    "x to": mark.get("x2"),
                    "y": mark.get("y"),
                    "y to": mark.get("y2"),
                }
            )
    empty = [name for name in ("x to", "y to", "name") if all(row[name] in (None, "") for row in rows)]
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]
