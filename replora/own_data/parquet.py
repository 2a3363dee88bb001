"""Parquet files: columns of text, numbers or booleans; their sizes are checked before they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replora.own_data.limits import MEGABYTE, Limits, OwnError, check_count
from replora.own_data.table import Cell, Table, column_names

BATCH_ROWS = 16  # each may be of the largest size
LONGEST_VALUE = 1_000_000  # bytes; a value that repeats is stored once, and would fill the memory as rows


def read_parquet(data: bytes, name: str, limits: Limits) -> Table:
    """The table of a file's bytes, nested and binary columns left out; `OwnError` where it cannot be had."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        facts, schema = file.metadata, file.schema_arrow
    except (OSError, ValueError, pa.ArrowException) as error:
        raise OwnError(f"{name} is no Parquet file that can be read ({_reason(error)}).") from error
    check_count(name, facts.num_rows, limits)
    size = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
    if size > limits.unpacked_bytes:
        most = limits.unpacked_bytes // MEGABYTE
        raise OwnError(f"{name} unpacks to {size / MEGABYTE:,.0f} MB; at most {most:,} MB are taken.")
    names = column_names(name, schema.names)
    usable = {each.name: label for each, label in zip(schema, names, strict=True) if _is_plain(each.type)}
    if len(usable) < 2:
        kinds = ", ".join(f"{each.name}: {each.type}" for each in list(schema)[:4])
        raise OwnError(f"{name} must have a column of texts and one of labels; it has {kinds}.")
    try:
        columns = _columns(file, usable, name, limits)
    except (OwnError, MemoryError):
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise OwnError(f"{name} is damaged ({_reason(error)}).") from error
    return Table(name, columns, tuple(each for each in names if each not in columns))


def _is_plain(kind: Any) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    kinds = pa.types
    tests = (kinds.is_string, kinds.is_large_string, kinds.is_integer, kinds.is_floating, kinds.is_boolean)
    return any(test(value) for test in tests)


def _columns(file: Any, usable: Mapping[str, str], name: str, limits: Limits) -> dict[str, list[Cell]]:
    """The values of each column as text, a few rows at a time: what a footer says of rows and sizes need not be so.

    A value that repeats is held, and counted, once.
    """
    columns: dict[str, list[Cell]] = {label: [] for label in usable.values()}
    known: dict[str, str] = {}
    rows = size = 0
    for batch in file.iter_batches(BATCH_ROWS, columns=list(usable)):
        rows += batch.num_rows
        check_count(name, rows, limits)
        for column, label in usable.items():
            for value in _texts(batch.column(column), name):
                if value is not None and value not in known:
                    known[value] = value
                    size += len(value)
                columns[label].append(None if value is None else known[value])
            if size > limits.unpacked_bytes:
                most = limits.unpacked_bytes // MEGABYTE
                raise OwnError(f"{name} unpacks to more than {size // MEGABYTE:,} MB; at most {most:,} MB are taken.")
    return columns


def _texts(column: Any, name: str) -> list[Cell]:
    """The values of a few rows."""
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    if pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type):
        longest = pc.max(pc.binary_length(plain)).as_py() or 0
        if longest > LONGEST_VALUE:
            raise OwnError(f"{name} holds a text of {longest:,} bytes; at most {LONGEST_VALUE:,} are taken.")
    return [_text(value) for value in plain.to_pylist()]


def _text(value: Any) -> Cell:
    """A value as a CSV file would hold it: whole numbers without a point, None for what is missing."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else f"{value:g}"
    return None if value is None else str(value) or None


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120].rstrip(".")
