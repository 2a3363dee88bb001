"""Parquet files: columns of text, numbers or booleans; their sizes are checked before they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replora.own_data.limits import MEGABYTE, Limits, OwnError, check_count
from replora.own_data.tables.table import Cell, Table, column_names

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
    coded = _class_names(schema)
    usable = {each.name: label for each, label in zip(schema, names, strict=True) if _is_plain(each.type)}
    if not usable or len(usable) < min(2, len(names)):
        kinds = ", ".join(f"{each.name}: {each.type}" for each in list(schema)[:4])
        raise OwnError(f"{name} must have a column of texts and one of labels; it has {kinds}.")
    try:
        columns = _columns(file, usable, coded, name, limits)
    except (OwnError, MemoryError):
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise OwnError(f"{name} is damaged ({_reason(error)}).") from error
    return Table(name, columns, tuple(each for each in names if each not in columns))


def _is_plain(kind: Any) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    kinds = pa.types
    tests = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal)
    return _is_text(value) or any(test(value) for test in tests)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _class_names(schema: Any) -> dict[str, list[str]]:
    """The names of classes by column, where the metadata of Hugging Face's datasets have them for its numbers."""
    try:
        facts = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = facts["info"]["features"]
        found = {column: feature["names"] for column, feature in features.items() if "names" in feature}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # somebody else's metadata
        return {}
    return {
        column: names
        for column, names in found.items()
        if isinstance(names, list) and all(isinstance(name, str) for name in names)
    }


def _columns(
    file: Any, usable: Mapping[str, str], coded: Mapping[str, Sequence[str]], name: str, limits: Limits
) -> dict[str, list[Cell]]:
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
            for value in _texts(batch.column(column), coded.get(column, ()), name):
                if value is not None and value not in known:
                    known[value] = value
                    size += len(value)
                columns[label].append(None if value is None else known[value])
            if size > limits.unpacked_bytes:
                most = limits.unpacked_bytes // MEGABYTE
                raise OwnError(f"{name} unpacks to more than {size // MEGABYTE:,} MB; at most {most:,} MB are taken.")
    return columns


def _texts(column: Any, classes: Sequence[str], name: str) -> list[Cell]:
    """The values of a few rows; classes: the names of numbers, where they have some."""
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    if _is_text(plain.type):
        whole = plain.cast(pa.large_string())
        longest = pc.max(pc.binary_length(whole)).as_py() or 0
        if longest > LONGEST_VALUE:
            raise OwnError(f"{name} holds a text of {longest:,} bytes; at most {LONGEST_VALUE:,} are taken.")
        return [value or None for value in whole.to_pylist()]
    if classes and pa.types.is_integer(plain.type):  # below zero there is no label
        return [_class_name(value, classes) for value in plain.to_pylist()]
    if pa.types.is_float32(plain.type) or pa.types.is_float16(plain.type):
        return [_number(value) for value in plain.to_numpy(zero_copy_only=False)]
    return [_number(value) for value in plain.to_pylist()]


def _class_name(value: int | None, classes: Sequence[str]) -> Cell:
    if value is None or value < 0:
        return None
    return classes[value] if value < len(classes) else str(value)


def _number(value: Any) -> Cell:
    """A number as a CSV file would hold it: whole ones without a point, others with the digits that tell them apart."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return str(int(value)) if float(value).is_integer() else np.format_float_positional(value, trim="-")
    return str(value)


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120].rstrip(".")
