"""Rows as CSV that a spreadsheet opens without running anything in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

RUNNABLE = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet take a cell for a formula


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""A header line and a line a row, each ended by '\n'.

    None is an empty cell, True and False are lower case, and numbers stay numbers, negative ones too. A string that a
    spreadsheet would run begins with an apostrophe instead.
    """
    return "".join(_line(row) for row in (names, *rows))


def _line(row: Sequence[Any]) -> str:
    sink = io.StringIO(newline="")
    csv.writer(sink, lineterminator="\r\n").writerow(
        [_cell(value) for value in row]
    )  # so that both are quoted in cells
    return sink.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(RUNNABLE) else value
