"""JSON lines: an object a line, its values texts, numbers or booleans."""

from __future__ import annotations

import json
from collections.abc import Mapping

from replora.own_data.limits import Limits, OwnError, check_count
from replora.own_data.tables.delimited import decoded
from replora.own_data.tables.table import Cell, Table, column_names


def read_json_lines(data: bytes, name: str, limits: Limits) -> Table:
    """The table of a file's bytes, columns of lists and objects left out; `OwnError` names the line that is wrong."""
    lines: list[int] = []
    rows: list[Mapping[str, object]] = []
    for number, line in enumerate(decoded(data, name).split("\n"), start=1):
        if line.strip():
            rows.append(_object(line, name, number))
            lines.append(number)
            if len(rows) > limits.max_examples:
                check_count(name, len(rows), limits)
    check_count(name, len(rows), limits)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    titles = column_names(name, keys)
    columns: dict[str, list[Cell]] = {}
    for key, title in zip(keys, titles, strict=True):
        values = [row.get(key) for row in rows]
        if not any(isinstance(value, list | dict) for value in values):
            columns[title] = [_cell(value) for value in values]
    if not columns or len(columns) < min(2, len(titles)):
        raise OwnError(f'{name} must have a text and a label in each line, as in {{"text": "…", "label": "…"}}.')
    return Table(name, columns, tuple(title for title in titles if title not in columns), lines)


def _object(line: str, name: str, number: int) -> Mapping[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise OwnError(f"{name}, line {number}: this is no JSON; write one object a line.") from None
    if not isinstance(found, dict):
        raise OwnError(f"{name}, line {number}: this is no object; write one a line, with a text and a label.")
    return found


def _cell(value: object) -> Cell:
    """A value as a CSV file would hold it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else str(value) or None
