"""Rows of text as CSV that a spreadsheet opens without running anything in it, and that opens nobody's own data."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from replora.catalog import OWN_PREFIX, OWN_TASK

RUNNABLE = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet take a cell for a formula


def history_csv(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A header line and a line a row; a cell that would be run begins with an apostrophe instead."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\r\n")  # so that cells with either of the two are quoted
    writer.writerow(names)
    writer.writerows([inert(cell) for cell in row] for row in rows)
    return sink.getvalue()


def inert(cell: str) -> str:
    """The cell, after an apostrophe where it begins like a formula, and without the names of own data."""
    masked = re.sub(OWN_TASK, f"{OWN_PREFIX}…", cell)
    return f"'{masked}" if masked.startswith(RUNNABLE) else masked
