"""CSV and TSV files: UTF-8, a header line, rows of equal length."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from replora.own_data.limits import Limits, OwnError, check_count
from replora.own_data.table import Table, column_names

DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}  # the candidates, by suffix


def read_delimited(data: bytes, name: str, suffix: str, limits: Limits) -> Table:
    """The table of a file's bytes; `OwnError` names the place of what cannot be read."""
    text = _decoded(data, name)
    candidates = DELIMITERS[suffix]
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(candidates, key=header.count)
    lines = _lines(text, delimiter, name)
    _, first = next(lines, (0, ()))
    if not first:
        raise OwnError(f"{name} is empty.")
    names = column_names(name, first)
    rows: list[Sequence[str]] = []
    for number, fields in lines:
        if len(fields) != len(names):
            found = f"{len(fields)} field" + ("s" if len(fields) != 1 else "")
            raise OwnError(f"{name}, line {number}: {found}, but the header has {len(names)}.")
        rows.append(fields)
    check_count(name, len(rows), limits)
    return Table(name, {each: [row[place] or None for row in rows] for place, each in enumerate(names)})


def _decoded(data: bytes, name: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise OwnError(f"{name} is UTF-16, it begins with {data[:2].hex(' ').upper()}; save it as UTF-8.")
    empty = data.find(b"\x00")
    if empty >= 0:
        raise OwnError(f"{name} is no text file: byte {empty:,} is zero; save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OwnError(
            f"{name} is not UTF-8: byte {error.start:,} (line {line:,}) is {data[error.start]:#04x}; save it as UTF-8."
        ) from None


def _lines(text: str, delimiter: str, name: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Rows that are not blank, each with the number of the line it ends in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise OwnError(f"{name}, line {reader.line_num}: the quotes or fields cannot be read ({error}).") from None
        if fields is None:
            return
        if any(each.strip() for each in fields):
            yield reader.line_num, fields
