"""From an uploaded file to a table or to pictures, by its suffix."""

from __future__ import annotations

from pathlib import PurePath

from replora.own_data.archive import read_archive
from replora.own_data.delimited import DELIMITERS, read_delimited
from replora.own_data.examples import Examples
from replora.own_data.limits import MEGABYTE, Limits, OwnError, shown
from replora.own_data.parquet import read_parquet
from replora.own_data.table import Table

SUFFIXES = ("csv", "tsv", "parquet", "zip")


def read_upload(data: bytes, file: str, limits: Limits) -> Table | Examples:
    """A table to choose columns of, or the pictures of a zip; `OwnError`, one sentence, where it cannot be taken."""
    name, suffix = shown(PurePath(file).name, 60).strip("'"), PurePath(file).suffix.lower()
    if suffix.removeprefix(".") not in SUFFIXES:
        raise OwnError(f"{name} must be a file of one of {', '.join(SUFFIXES)}.")
    if len(data) > limits.upload_bytes:
        raise OwnError(
            f"{name} has {len(data) / MEGABYTE:,.1f} MB, more than the {limits.max_upload_mb:,} MB that are taken."
        )
    if not data:
        raise OwnError(f"{name} is empty.")
    if suffix in DELIMITERS:
        return read_delimited(data, name, suffix, limits)
    return read_parquet(data, name, limits) if suffix == ".parquet" else read_archive(data, name, limits)
