"""How a delimited file is written: by which separator, with quotes or without, with a header or from the first row on.

Nothing is guessed where two readings are possible: quotes that may belong to one row or to several are refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from replora.own_data.limits import OwnError

SEPARATORS = {".csv": ",;\t|", ".tsv": "\t"}  # the candidates, by suffix
LONGEST_FIELD = csv.field_size_limit()  # characters
LOOKED_AT = 50  # rows by which a separator is chosen
TOLD = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # a line by which Excel is told the separator


@dataclass(frozen=True)
class Row:
    """The fields of a row, and the line of the file at which it begins, counted from 1."""

    line: int
    fields: Sequence[str]


@dataclass(frozen=True)
class Reading:
    """The rows of a text that are not blank, the header among them; notes: sentences on how they were read."""

    rows: Sequence[Row]
    notes: tuple[str, ...] = ()


def rows_of(text: str, suffix: str, name: str) -> Reading:
    """All rows of a file; `OwnError` names the line that cannot be read, or that can be read in two ways."""
    told = TOLD.match(text)
    first = 2 if told else 1
    body = text[told.end() :] if told else text
    separator = told[1] if told else _separator(body, SEPARATORS[suffix])
    if '"' not in body:
        return Reading(_even(_plain(body, separator, first), name))
    plain = _plain(body, separator, first)
    try:
        quoted = _even(list(_quoted(body, separator, name, first)), name)
    except OwnError:
        if separator == "\t" and _is_even(plain):  # its quotes are no CSV quotes
            return Reading(plain, ("Quotes in the file are part of its texts.",))
        raise
    _check_one_reading(plain, quoted, name)
    return Reading(quoted)


def _separator(text: str, candidates: str) -> str:
    """The one by which the first rows have the most even, and then the most, fields; the first where none does."""

    def evenness(separator: str) -> tuple[float, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            widths = [len(row) for row in islice(reader, LOOKED_AT) if any(field.strip() for field in row)]
        except csv.Error:
            return 0.0, 0
        if not widths or widths[0] < 2:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    return max(candidates, key=evenness)


def _plain(text: str, separator: str, first: int) -> list[Row]:
    """Rows as lines, quotes as any other sign."""
    lines = re.split(r"\r\n|\n|\r", text)
    return [
        Row(number, line.split(separator))
        for number, line in enumerate(lines, start=first)
        if line.replace(separator, "").strip()
    ]


def _quoted(text: str, separator: str, name: str, first: int) -> Iterator[Row]:
    """Rows by the rules of CSV; `OwnError` for quotes that keep to none."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        begin = reader.line_num + first
        try:
            fields = next(reader, None)
        except csv.Error as error:
            why = str(error)
            if "unexpected end" in why:
                raise OwnError(f"{name}, line {begin}: a quote opens here and never closes.") from None
            if "field larger" in why:
                raise OwnError(_too_long(name, begin)) from None
            line = reader.line_num + first - 1
            raise OwnError(
                f"{name}, line {line}: a quote closes before the end of its field; inside a text write it twice."
            ) from None
        if fields is None:
            return
        if any(field.strip() for field in fields):
            yield Row(begin, fields)


def _too_long(name: str, line: int) -> str:
    return f"{name}, line {line}: a field has more than {LONGEST_FIELD:,} characters."


def _even(rows: list[Row], name: str) -> list[Row]:
    """The rows; `OwnError` for the first that has another number of fields than the header, or too long a one."""
    for row in rows:
        if max(map(len, row.fields), default=0) > LONGEST_FIELD:
            raise OwnError(_too_long(name, row.line))
        if len(row.fields) != len(rows[0].fields):
            found = f"{len(row.fields)} field" + ("s" if len(row.fields) != 1 else "")
            raise OwnError(f"{name}, line {row.line}: {found}, but the header has {len(rows[0].fields)}.")
    return rows


def _is_even(rows: Sequence[Row]) -> bool:
    return len(rows) > 1 and len(rows[0].fields) > 1 and all(len(row.fields) == len(rows[0].fields) for row in rows)


def _check_one_reading(plain: Sequence[Row], quoted: Sequence[Row], name: str) -> None:
    """`OwnError` where quotes reach over lines each of which is a row by itself too."""
    if not _is_even(plain) or len(plain) == len(quoted):
        return
    starts = {row.line for row in quoted}
    inside = next(row for row in plain if row.line not in starts)
    opened = max(line for line in starts if line < inside.line)
    raise OwnError(
        f"{name}, line {opened}: a quote opens here and closes in a later line, and each line between has the fields "
        "of a row of its own; take the quote out, or the line breaks inside the text."
    )


def repeats_header(row: Row, header: Row) -> bool:
    """Whether a row says the header again, as where files were put one behind the other."""
    return list(row.fields) == list(header.fields)


def header_is_data(header: Row, rows: Sequence[Row], known: Sequence[str]) -> bool:
    """Whether the first row looks like an example: one of its fields comes at least twice below, in its own column.

    Names that are `known` for columns, and columns that are only counted (0, 1, 2, …), are a header.
    """
    fields = [field.strip() for field in header.fields]
    if fields == [str(place) for place in range(len(fields))]:
        return False
    if any(field.lower() in known for field in fields):
        return False
    for place, field in enumerate(fields):
        if field and Counter(row.fields[place].strip() for row in rows)[field] >= 2:
            return True
    return False
