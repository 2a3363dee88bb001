"""From an uploaded file to a table, a text to continue or to pictures, by its suffix."""

from __future__ import annotations

from pathlib import PurePath

from replora.own_data.examples import Examples
from replora.own_data.limits import MEGABYTE, Limits, OwnError, shown
from replora.own_data.tables.delimited import read_delimited
from replora.own_data.tables.dialect import SEPARATORS
from replora.own_data.tables.json_lines import read_json_lines
from replora.own_data.tables.parquet import read_parquet
from replora.own_data.tables.table import Table
from replora.own_data.texts.corpus import plain_corpus
from replora.own_data.zips.archive import read_archive

SUFFIXES = ("csv", "tsv", "jsonl", "parquet", "txt", "zip")
INSTEAD = {
    "xlsx": "is an Excel workbook; save its sheet as CSV UTF-8",
    "xls": "is an Excel workbook; save its sheet as CSV UTF-8",
    "ods": "is a spreadsheet; save its sheet as CSV in UTF-8",
    "json": "is JSON; bring JSON lines (.jsonl), an object a line, or CSV",
    "ndjson": "is taken as JSON lines under the suffix .jsonl",
    "arrow": "is an Arrow file; save it as Parquet",
    "feather": "is an Arrow file; save it as Parquet",
    "rar": "is a RAR archive; pack the class folders as a zip",
    "7z": "is a 7-Zip archive; pack the class folders as a zip",
    "tar": "is a tar archive; pack the class folders as a zip",
    "gz": "is packed by gzip; bring the file itself, or class folders as a zip",
    **dict.fromkeys(
        ("png", "jpg", "jpeg", "webp", "gif", "bmp"), "is one picture; pack class folders of them as a zip"
    ),
}  # what people bring, and what they may do


def read_upload(data: bytes, file: str, limits: Limits) -> Table | Examples:
    """A table to choose columns of, a text in pieces, or the pictures of a zip.

    `OwnError`, one sentence, where it cannot be taken.
    """
    name, suffix = shown(PurePath(file).name, 60).strip("'"), PurePath(file).suffix.lower().removeprefix(".")
    if suffix in INSTEAD:
        raise OwnError(f"{name} {INSTEAD[suffix]}.")
    if suffix not in SUFFIXES:
        raise OwnError(f"{name} must be a file of one of {', '.join(SUFFIXES)}.")
    if len(data) > limits.upload_bytes:
        raise OwnError(
            f"{name} has {len(data) / MEGABYTE:,.1f} MB, more than the {limits.max_upload_mb:,} MB that are taken."
        )
    if not data:
        raise OwnError(f"{name} is empty.")
    if f".{suffix}" in SEPARATORS:
        return read_delimited(data, name, f".{suffix}", limits)
    if suffix == "txt":
        return plain_corpus(data, name, limits)
    if suffix == "jsonl":
        return read_json_lines(data, name, limits)
    return read_parquet(data, name, limits) if suffix == "parquet" else read_archive(data, name, limits)
