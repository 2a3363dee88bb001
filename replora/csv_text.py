"""Rows as CSV that a spreadsheet opens without running anything in it. Whatever is exported as CSV is written here."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

RUNNABLE = re.compile(r"[\t\r\n]|\s*[-=+@－＝＋＠]")  # what makes a spreadsheet take a cell for a formula


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""A header line and a line a row, each ended by '\n'.

    None is an empty cell, True and False are lower case, and numbers stay numbers, negative ones too. A string that a
    spreadsheet would run begins with an apostrophe instead.
    """
    return "".join(_line(row) for row in (names, *rows))


def rows_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows by column, all with the columns of the first, as `csv_text`; empty text where there are none."""
    names = list(rows[0]) if rows else []
    return csv_text(names, ([row[name] for name in names] for row in rows)) if rows else ""


def _line(row: Sequence[Any]) -> str:
    sink = io.StringIO(newline="")
    csv.writer(sink, lineterminator="\r\n").writerow(
        [_cell(value) for value in row]
    )  # so that both are quoted in cells
    return sink.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and RUNNABLE.match(value) else value
