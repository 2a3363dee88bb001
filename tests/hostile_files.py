"""Files that small uploads make large: a Parquet file whose footer lies, and pictures of few bytes and many pixels."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 100


def forged_parquet(rows: int = 2000, size: int = 999_000, *, same: bool = False) -> bytes:
    """Texts of `size` bytes that compress ten thousandfold, in a file whose footer calls them a few kilobytes."""
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink, schema, compression="zstd", compression_level=9, use_dictionary=False, write_statistics=False
    ) as writer:
        for start in range(0, rows, GROUP_ROWS):
            places = range(start, min(rows, start + GROUP_ROWS))
            texts = ["x" * size + ("" if same else f"{place:09d}") for place in places]
            writer.write_table(pa.table({"text": texts, "label": [str(place % 2) for place in places]}, schema=schema))
    data = sink.getvalue()
    facts = pq.ParquetFile(pa.BufferReader(data)).metadata
    head = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[head:-8]
    for group in (facts.row_group(place) for place in range(facts.num_row_groups)):
        for true in (group.total_byte_size, group.column(0).total_uncompressed_size):
            number = _varint(true)
            footer = footer.replace(number, _varint(1000, len(number)))
    return data[:head] + footer + data[-8:]


def large_pictures(count: int, width: int, height: int) -> bytes:
    """A zip of grey PNGs of two classes; the pictures are of one shade, a few kilobytes each."""
    rows = (b"\x00" + b"\x50" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows, 9)), _chunk(b"IEND", b"")]
    picture = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in range(count):
            archive.writestr(f"{'ab'[place % 2]}/{place}.png", picture)
    return sink.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _varint(number: int, length: int = 0) -> bytes:
    """A number of Thrift's compact protocol, zigzag, in at least `length` bytes."""
    left = number << 1
    parts: list[int] = []
    while left >= 0x80 or len(parts) + 1 < length:
        parts.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*parts, left])
