"""CSV and TSV files: UTF-8, rows of equal length, with a header line or without."""

from __future__ import annotations

from replora.own_data.limits import Limits, OwnError, check_count
from replora.own_data.tables.columns import LABEL_NAMES, TEXT_NAMES
from replora.own_data.tables.dialect import Row, header_is_data, repeats_header, rows_of
from replora.own_data.tables.table import Table, column_names

NO_HEADER = "The first row looks like an example and is read as one; the columns are numbered."


def read_delimited(data: bytes, name: str, suffix: str, limits: Limits) -> Table:
    """The table of a file's bytes; `OwnError` names the place of what cannot be read."""
    found = rows_of(decoded(data, name), suffix, name)
    if not found.rows:
        raise OwnError(f"{name} is empty.")
    header, rows, notes = found.rows[0], list(found.rows[1:]), list(found.notes)
    if header_is_data(header, rows, (*TEXT_NAMES, *LABEL_NAMES)):
        rows.insert(0, header)
        header = Row(header.line, [""] * len(header.fields))
        notes.append(NO_HEADER)
    names = column_names(name, header.fields)
    kept = [row for row in rows if not repeats_header(row, header)]
    check_count(name, len(kept), limits)
    if again := len(rows) - len(kept):
        notes.append(f"The header comes {again:,} more time{'s' if again > 1 else ''} and is left out there.")
    columns = {title: [row.fields[place] or None for row in kept] for place, title in enumerate(names)}
    return Table(name, columns, lines=[row.line for row in kept], notes=tuple(notes))


def decoded(data: bytes, name: str) -> str:
    """The text of a file, without byte-order marks; `OwnError` where it is not UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise OwnError(f"{name} is UTF-16, it begins with {data[:2].hex(' ').upper()}; save it as UTF-8.")
    empty = data.find(b"\x00")
    if empty >= 0:
        raise OwnError(f"{name} is no text file: byte {empty:,} is zero; save it as UTF-8.")
    try:
        return data.decode("utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OwnError(
            f"{name} is not UTF-8: byte {error.start:,} (line {line:,}) is {data[error.start]:#04x}; save it as UTF-8."
        ) from None
